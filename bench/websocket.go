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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

	before, err := residentOf(gateway)
	if err != nil {
		return nil, err
	}
	ours, err := openSockets(ctx, gatewayAddr, tokens, idleSockets)
	if err != nil {
		return nil, fmt.Errorf("through the gateway: %w", err)
	}
	defer ours.close()
	opened, err := residentOf(gateway)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, idleTime); err != nil {
		return nil, err
	}
	idle, err := residentOf(gateway)
	if err != nil {
		return nil, err
	}
	if n := ours.open.Load(); n != idleSockets {
		return nil, fmt.Errorf("%d of %d sockets are open", n, idleSockets)
	}

	nginxBefore, err := residentOfAll(nginx)
	if err != nil {
		return nil, err
	}
	theirs, err := openSockets(ctx, nginxAddr, tokens, idleSockets)
	if err != nil {
		return nil, fmt.Errorf("through nginx: %w", err)
	}
	defer theirs.close()
	if err := sleep(ctx, settleTime); err != nil {
		return nil, err
	}
	nginxIdle, err := residentOfAll(nginx)
	if err != nil {
		return nil, err
	}
	direct, err := openSockets(ctx, r.upstream, tokens, directSockets)
	if err != nil {
		return nil, err
	}
	defer direct.close()

	fmt.Fprintf(out, "\nMemory per proxied WebSocket, %d of them, in KiB\n\n", idleSockets)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tPSS\tRSS\tanonymous\t")
	for _, row := range []struct {
		title string
		m     resident
	}{
		{"gateway, all just opened", opened.since(before)},
		{fmt.Sprintf("gateway, %s idle", idleTime), idle.since(before)},
		{"nginx", nginxIdle.since(nginxBefore)},
	} {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t\n", row.title, row.m.pss/idleSockets, row.m.rss/idleSockets, row.m.anonymous/idleSockets)
	}
	w.Flush()
	fmt.Fprintf(out, "the gateway's PSS: %.0f MiB before, %.0f MiB with them; goal: at most 20 KiB each\n", before.pss/1024, idle.pss/1024)

	result := websocketResult{KiB: math.Round(10*idle.since(before).pss/idleSockets) / 10}
	subjects := []struct {
		title  string
		s      *socketSet
		rounds [][]time.Duration
	}{{"gateway", ours, nil}, {"nginx", theirs, nil}, {"no proxy", direct, nil}}
	for round := range relayRounds {
		for i := range subjects {
			s := &subjects[(i+round)%len(subjects)]
			took, err := s.s.relay(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.title, err)
			}
			s.rounds = append(s.rounds, took)
		}
	}
	fmt.Fprintf(out, "\nA message there and back on a random one of them, %d a second; median of %d rounds of %s, in µs\n\n",
		relayPerTick*int(time.Second/relayEvery), relayRounds, relayTime)
	fmt.Fprintln(w, "\tp50\tp99\tlowest p99\thighest p99\t")
	for _, s := range subjects {
		at := func(p float64) []float64 {
			var all []float64
			for _, took := range s.rounds {
				all = append(all, micros(percentile(took, p)))
			}
			return all
		}
		p99 := at(99)
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t\n", s.title, median(at(50)), median(p99), slices.Min(p99), slices.Max(p99))
		switch s.s {
		case ours:
			result.RelayP99 = median(p99)
		case theirs:
			result.NginxRelayP99 = median(p99)
		}
	}
	w.Flush()
	return result, nil
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
	return sleep(ctx, settleTime)
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

// resident is memory in KiB.
type resident struct{ pss, rss, anonymous float64 }

func (m resident) since(before resident) resident {
	return resident{m.pss - before.pss, m.rss - before.rss, m.anonymous - before.anonymous}
}

func residentOf(p *program) (resident, error) { return residentOfProcess(p.cmd.Process.Pid) }

// residentOfAll adds up a program and its children.
func residentOfAll(p *program) (sum resident, err error) {
	all, err := childrenOf(p.cmd.Process.Pid)
	for _, pid := range append(all, p.cmd.Process.Pid) {
		m, processErr := residentOfProcess(pid)
		err = errors.Join(err, processErr)
		sum = resident{sum.pss + m.pss, sum.rss + m.rss, sum.anonymous + m.anonymous}
	}
	return sum, err
}

func childrenOf(pid int) (all []int, err error) {
	id := strconv.Itoa(pid)
	list, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		all = append(all, child)
	}
	return all, nil
}

func residentOfProcess(pid int) (m resident, err error) {
	rollup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return m, err
	}
	wanted := map[string]*float64{"Pss:": &m.pss, "Rss:": &m.rss, "Anonymous:": &m.anonymous}
	for line := range strings.Lines(string(rollup)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || wanted[fields[0]] == nil {
			continue
		}
		if *wanted[fields[0]], err = strconv.ParseFloat(fields[1], 64); err != nil {
			return m, fmt.Errorf("smaps_rollup: %q", line)
		}
	}
	return m, nil
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
