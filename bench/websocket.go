package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"ipnoelp.io/platform/gateway/sockets"
)

const (
	idleSockets   = 5000
	idleTime      = 150 * time.Second // several pings of each socket, and the collection that Go makes every two minutes
	socketTrial   = 32                // opened and closed before, so that what serves the first is not counted
	relayRounds   = 5
	relayTime     = 5 * time.Second
	relayEvery    = time.Millisecond // messages a second: twice as many as ticks
	relayPerTick  = 2
	openFiles     = 2*idleSockets + 1000
	settleTime    = 3 * time.Second
	directSockets = 256
)

type websocketResult struct {
	KiB           float64 `json:"ws_kib"`
	RelayP99      float64 `json:"relay_p99_us"`
	NginxRelayP99 float64 `json:"nginx_relay_p99_us"`
}

// websocketBench opens idle WebSockets through the gateway and looks at what its
// process takes more than before, then lets messages go there and back on
// random ones of them, beside as many through nginx.
func websocketBench(ctx context.Context, args []string, out io.Writer) (any, error) {
	if len(args) > 0 {
		return nil, errors.New("websocket takes no arguments")
	}
	if err := raiseOpenFiles(); err != nil {
		return nil, err
	}
	r, err := newRig(ctx, "bench-websocket", os.Stderr)
	if err != nil {
		return nil, err
	}
	defer r.close()
	tokens, err := r.addUsers(ctx, (idleSockets+sockets.MaxPerUser-1)/sockets.MaxPerUser)
	if err != nil {
		return nil, err
	}
	nginx, nginxAddr, err := r.startNginx(ctx, "nginx", false)
	if err != nil {
		return nil, err
	}
	gateway, gatewayAddr, err := r.startGateway(ctx)
	if err != nil {
		return nil, err
	}
	if err := warmUp(ctx, gatewayAddr, tokens); err != nil {
		return nil, err
	}
	if err := waitQuiet(ctx, out); err != nil {
		return nil, err
	}

	ours, perSocket, err := measureIdle(ctx, gateway, gatewayAddr, tokens, out)
	if err != nil {
		return nil, fmt.Errorf("through the gateway: %w", err)
	}
	defer ours.close()
	theirs, err := measureNginxIdle(ctx, nginx, nginxAddr, tokens, out)
	if err != nil {
		return nil, fmt.Errorf("through nginx: %w", err)
	}
	defer theirs.close()
	direct, err := openSockets(ctx, r.upstream, tokens, directSockets)
	if err != nil {
		return nil, err
	}
	defer direct.close()

	subjects := []*relayed{{title: "gateway", sockets: ours}, {title: "nginx", sockets: theirs}, {title: "no proxy", sockets: direct}}
	before, err := sampleCPU(gateway.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	for round := range relayRounds {
		for i := range subjects {
			s := subjects[(i+round)%len(subjects)]
			took, err := s.sockets.relay(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.title, err)
			}
			s.p50 = append(s.p50, micros(percentile(took, 50)))
			s.p99 = append(s.p99, micros(percentile(took, 99)))
		}
	}
	after, err := sampleCPU(gateway.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\nA message there and back on a random one of them, %d a second; median of %d rounds of %s, in µs\n\n",
		relayPerTick*int(time.Second/relayEvery), relayRounds, relayTime)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tp50\tp99\tlowest p99\thighest p99\t")
	for _, s := range subjects {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t\n", s.title, median(s.p50), median(s.p99), slices.Min(s.p99), slices.Max(s.p99))
	}
	w.Flush()
	fmt.Fprintf(out, "other work on the machine meanwhile: %.0f %%\n", 100*after.othersSince(before))
	return websocketResult{perSocket, median(subjects[0].p99), median(subjects[1].p99)}, nil
}

// relayed is one way of messages, with the percentiles of each round in µs.
type relayed struct {
	title    string
	sockets  *socketSet
	p50, p99 []float64
}

// measureIdle opens sockets through the gateway, lets them be, and returns them
// and what each takes, in KiB.
func measureIdle(ctx context.Context, gateway *program, addr string, tokens []string, out io.Writer) (_ *socketSet, perSocket float64, err error) {
	before, err := residentOf(gateway)
	if err != nil {
		return nil, 0, err
	}
	goBefore, err := goMemory(ctx, addr)
	if err != nil {
		return nil, 0, err
	}
	set, err := openSockets(ctx, addr, tokens, idleSockets)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			set.close()
		}
	}()
	opened, err := residentOf(gateway)
	if err != nil {
		return nil, 0, err
	}
	if err := sleep(ctx, idleTime); err != nil {
		return nil, 0, err
	}
	idle, err := residentOf(gateway)
	if err != nil {
		return nil, 0, err
	}
	goIdle, err := goMemory(ctx, addr)
	if err != nil {
		return nil, 0, err
	}
	if n := set.open.Load(); n != idleSockets {
		return nil, 0, fmt.Errorf("%d of %d sockets are open", n, idleSockets)
	}
	fmt.Fprintf(out, "\nMemory per proxied WebSocket, %d of them, in KiB\n\n", idleSockets)
	printResident(out, "gateway, all just opened", opened.since(before))
	printResident(out, fmt.Sprintf("gateway, %s idle", idleTime), idle.since(before))
	each := func(name string) float64 { return (goIdle[name] - goBefore[name]) / idleSockets }
	fmt.Fprintf(out, "%-26s heap %.1f, stacks %.1f; %.1f goroutines\n", "what Go counts then",
		each("go_memstats_heap_inuse_bytes")/1024, each("go_memstats_stack_inuse_bytes")/1024, each("go_goroutines"))
	fmt.Fprintf(out, "%-26s PSS %.1f MiB before, %.1f MiB with them; anonymous %.1f and %.1f\n", "the whole gateway",
		before.pss/1024, idle.pss/1024, before.anonymous/1024, idle.anonymous/1024)
	return set, math.Round(10*idle.since(before).pss/idleSockets) / 10, nil
}

// measureNginxIdle is measureIdle for nginx, which leaves nothing to collect.
func measureNginxIdle(ctx context.Context, nginx *program, addr string, tokens []string, out io.Writer) (*socketSet, error) {
	before, err := residentOfAll(nginx)
	if err != nil {
		return nil, err
	}
	set, err := openSockets(ctx, addr, tokens, idleSockets)
	if err != nil {
		return nil, err
	}
	if err = sleep(ctx, settleTime); err == nil {
		var idle resident
		if idle, err = residentOfAll(nginx); err == nil {
			printResident(out, "nginx", idle.since(before))
			return set, nil
		}
	}
	set.close()
	return nil, err
}

func printResident(out io.Writer, title string, m resident) {
	fmt.Fprintf(out, "%-26s PSS %.1f, RSS %.1f, anonymous %.1f\n", title, m.pss/idleSockets, m.rss/idleSockets, m.anonymous/idleSockets)
}

// warmUp brings the gateway into the state that it is in anyway: sessions
// remembered, addresses known, its first sockets served.
func warmUp(ctx context.Context, addr string, tokens []string) error {
	for _, token := range tokens {
		if err := identifies(ctx, addr, token); err != nil {
			return err
		}
	}
	trial, err := openSockets(ctx, addr, tokens, socketTrial)
	if err != nil {
		return err
	}
	trial.close()
	return waitCollected(ctx, addr)
}

// waitCollected waits for the collection that Go makes every two minutes: what
// is garbage before shall not make room for what is measured.
func waitCollected(ctx context.Context, addr string) error {
	since := float64(time.Now().Unix() + 1)
	for range 20 {
		if err := sleep(ctx, 10*time.Second); err != nil {
			return err
		}
		m, err := goMemory(ctx, addr)
		if err != nil {
			return err
		}
		if m["go_memstats_last_gc_time_seconds"] > since {
			return sleep(ctx, settleTime)
		}
	}
	return errors.New("the gateway's memory was never collected")
}

// relay sends messages on random sockets at a steady pace and returns how long
// each was on its way there and back.
func (s *socketSet) relay(ctx context.Context) ([]time.Duration, error) {
	s.collect(true)
	tick := time.NewTicker(relayEvery)
	defer tick.Stop()
	sent := 0
	for end := time.Now().Add(relayTime); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		for range relayPerTick {
			var payload [64]byte
			binary.BigEndian.PutUint64(payload[:], uint64(time.Since(epoch)))
			if _, err := s.conns[rand.IntN(len(s.conns))].Write(frame(opBinary, true, payload[:])); err != nil {
				return nil, err
			}
			sent++
		}
	}
	if err := sleep(ctx, time.Second); err != nil {
		return nil, err
	}
	took := s.collect(false)
	if len(took) != sent {
		return nil, fmt.Errorf("%d of %d messages came back", len(took), sent)
	}
	return took, nil
}

// raiseOpenFiles is for this program and those that it starts: each holds up to
// two files for a proxied socket.
func raiseOpenFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < openFiles {
		return fmt.Errorf("%d open files are allowed, %d are needed: ulimit -Hn", limit.Max, openFiles)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
