// Bench measures the platform on its real parts and prints, for each benchmark,
// a readable table and one line of JSON.
//
//	bench claim         from a sign-up to its answer, with warm slices there
//	bench provision     from requested to warm, beside a bare docker run
//	bench slice-start   from container start to the QR code, beside Chromium's own start
//	bench slice-memory  a slice's memory, beside the prototype's
//	bench inbox         list, thread, search and inbound messages at 200,000 messages
//	bench soak-slice    messages in and out for MINUTES while things break
//	bench gateway       CPU time per proxied request, beside other proxies
//	bench websocket     memory and delay of proxied WebSockets, beside nginx
//	bench routes        CPU time per proxied request with 10, 1,000 and 10,000 slices
//	bench claims        100 sign-ups a second, with warm slices for all
//
// The last four start the programs that they need by themselves; the others start
// a stack of their own and remove it again.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/internal/stack"
)

// benchmark is one measurement on a running stack.
type benchmark struct {
	name string
	warm int // slices that the stack keeps warm
	run  func(context.Context, *fixture, io.Writer) (result any, err error)
}

var benchmarks = []benchmark{
	{"claim", signUpsAtOnce, claim},
	{"provision", 1, provision},
	{"slice-start", 1, sliceStart},
	{"slice-memory", 1, sliceMemory},
	{"inbox", 1, inboxBench},
	{"soak-slice", 1, soakSlice},
}

// alone are the measurements that need no stack. Their arguments are their own.
var alone = map[string]func(ctx context.Context, args []string, out io.Writer) (result any, err error){
	"gateway":   gatewayBench,
	"routes":    routesBench,
	"claims":    claimsBench,
	"websocket": websocketBench,
}

// fixture is a running stack and its gateway schema.
type fixture struct {
	*stack.Stack
	db *pgxpool.Pool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "\nbench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && alone[args[0]] != nil {
		result, err := alone[args[0]](ctx, args[1:], os.Stdout)
		if err != nil {
			return err
		}
		return printResult(result)
	}
	switch { // what the benchmarks start of this program
	case len(args) == 2 && args[0] == "upstream":
		return runUpstream(args[1])
	case len(args) == 3 && args[0] == "reverse-proxy":
		return runReverseProxy(args[1], args[2])
	}
	i := slices.IndexFunc(benchmarks, func(b benchmark) bool { return len(args) == 1 && args[0] == b.name })
	if i < 0 {
		var names []string
		for _, b := range benchmarks {
			names = append(names, b.name)
		}
		names = slices.AppendSeq(names, maps.Keys(alone))
		slices.Sort(names)
		return fmt.Errorf("want one of: %s", strings.Join(names, ", "))
	}
	b := benchmarks[i]
	cfg := stack.Bench()
	cfg.WarmTarget = b.warm
	if err := stack.Destroy(ctx, cfg, io.Discard); err != nil {
		return err
	}
	defer func() {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
		defer cancel()
		if err := stack.Destroy(cleaning, cfg, io.Discard); err != nil {
			fmt.Fprintf(os.Stderr, "removing the bench stack: %v\n", err)
		}
	}()
	s, err := stack.Up(ctx, cfg, os.Stderr)
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, s.DatabaseURL("platform"))
	if err != nil {
		return err
	}
	defer db.Close()
	result, err := b.run(ctx, &fixture{s, db}, os.Stdout)
	if err != nil {
		return err
	}
	return printResult(result)
}

func printResult(result any) error {
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n", line)
	return nil
}

// waitWarm waits until n slices are warm and nothing is on its way in or out.
func (f *fixture) waitWarm(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var warm, moving int
		err := f.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'warm'),
			count(*) FILTER (WHERE state IN ('requested', 'provisioning', 'retiring', 'failed')) FROM gateway.slices`).Scan(&warm, &moving)
		if err != nil {
			return err
		}
		if warm >= n && moving == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d slices warm, %d on their way: %w", warm, n, moving, ctx.Err())
		case <-tick.C:
		}
	}
}

// waitQuiet waits until the machine has done little for a second: making and
// removing slices leaves work behind that is not to be measured. On a machine
// that has other work it gives up after a while.
func waitQuiet(ctx context.Context, out io.Writer) error {
	busy := 1.0
	for range 60 {
		var err error
		if busy, err = cpuBusy(ctx, time.Second); err != nil || busy < 0.2 {
			return err
		}
	}
	fmt.Fprintf(out, "note: the machine is %.0f %% busy with other work\n", 100*busy)
	return nil
}

// cpuBusy is the share of all processors' time that was used, from 0 to 1.
func cpuBusy(ctx context.Context, during time.Duration) (float64, error) {
	idle, total, err := cpuTimes()
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(during):
	}
	idleLater, totalLater, err := cpuTimes()
	return 1 - (idleLater-idle)/max(totalLater-total, 1), err
}

// cpuTimes reads the first line of /proc/stat: user, nice, system, idle, iowait …
func cpuTimes() (idle, total float64, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line)[1:] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, 0, err
		}
		total += ticks
		if i == 3 || i == 4 {
			idle += ticks
		}
	}
	return idle, total, nil
}

// retireAssigned gives back every slice that a user has, but one.
func (f *fixture) retireAssigned(ctx context.Context, kept int) error {
	_, err := f.db.Exec(ctx, `UPDATE gateway.slices SET state = 'retiring', user_id = NULL, state_changed_at = now()
		WHERE state = 'assigned' AND number <> $1`, kept)
	return err
}

// percentile of the sorted or unsorted durations, by the nearest rank.
func percentile(d []time.Duration, p float64) time.Duration {
	s := slices.Sorted(slices.Values(d))
	if len(s) == 0 {
		return 0
	}
	rank := int(p/100*float64(len(s))+0.999999) - 1
	return s[min(max(rank, 0), len(s)-1)]
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
