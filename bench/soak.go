package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/whatsappsim"
)

const (
	soakDefault   = 5 * time.Minute
	soakCustomers = 10
	soakMinGap    = 500 * time.Millisecond // between two messages of a customer
	soakMaxGap    = 3 * time.Second
	replyMinGap   = 8 * time.Second // between two messages to one: together below soakPerMinute
	replyMaxGap   = 20 * time.Second
	soakPerMinute = 60 // messages that the slice sends, the most that it can be set to
	faultMinGap   = 15 * time.Second
	faultMaxGap   = 45 * time.Second
	memoryEvery   = 10 * time.Second
	soakDrain     = 5 * time.Minute // after the last fault, until all must have arrived
)

type soakResult struct {
	Minutes     float64        `json:"minutes"`
	In          int            `json:"in"`
	Out         int            `json:"out"`
	Lost        int            `json:"lost"`
	Double      int            `json:"double"`
	Faults      map[string]int `json:"faults"`
	MemoryFirst float64        `json:"memory_first_mib"` // median of the first third
	MemoryLast  float64        `json:"memory_last_mib"`  // and of the last
	LeftOver    int            `json:"processes_left_over"`
}

// soak is one run's state.
type soak struct {
	*fixture
	t   *tenant
	sim *whatsappsim.Client
	out io.Writer

	mu     sync.Mutex // guards the following fields
	sentIn []string   // texts that a customer wrote
	sentTo []string   // texts that the API accepted
	faults map[string]int
	memory []float64
	phone  map[string]string // texts by id that the phone had at any time: it forgets the oldest of many
}

// soakSlice has customers and a user write to each other while things break, and
// then counts every message on both sides.
func soakSlice(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	length := soakDefault
	if s := os.Getenv("MINUTES"); s != "" {
		minutes, err := strconv.ParseFloat(s, 64)
		if err != nil || minutes <= 0 || minutes > 24*60 {
			return nil, fmt.Errorf("MINUTES: %q: want a number above 0, at most 1440", s)
		}
		length = time.Duration(minutes * float64(time.Minute))
	}
	const phone = "4915100000009"
	t, err := f.newTenant(ctx, phone)
	if err != nil {
		return nil, err
	}
	s := &soak{fixture: f, t: t, sim: &whatsappsim.Client{BaseURL: f.SimURL()}, out: out, faults: map[string]int{}, phone: map[string]string{}}
	for n := range soakCustomers { // makes the chats
		if err := s.customerWrites(ctx, n, 0); err != nil {
			return nil, err
		}
	}
	if err := t.do(ctx, http.MethodPatch, "/api/settings", map[string]int{"send_per_minute": soakPerMinute}, nil); err != nil {
		return nil, err
	}
	running, stop := context.WithTimeout(ctx, length)
	defer stop()
	g, gctx := errgroup.WithContext(running)
	for n := range soakCustomers {
		g.Go(func() error { return s.write(gctx, n) })
		g.Go(func() error { return s.reply(gctx, n) })
	}
	g.Go(func() error { return s.breakThings(gctx) })
	g.Go(func() error { return s.watchMemory(gctx) })
	g.Go(func() error { return s.watchPhone(gctx) })
	if err := g.Wait(); err != nil && running.Err() == nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return s.settle(ctx, length)
}

func customerPhone(n int) string { return fmt.Sprintf("49170000%04d", n+1) }

func (s *soak) customerWrites(ctx context.Context, n, i int) error {
	text := fmt.Sprintf("in %d/%d", n, i)
	if _, err := s.sim.CustomerWrites(ctx, s.t.phone, customerPhone(n), fmt.Sprintf("Customer %d", n), text); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sentIn = append(s.sentIn, text)
	return nil
}

// write writes as a customer.
func (s *soak) write(ctx context.Context, n int) error {
	for i := 1; pause(ctx, soakMinGap, soakMaxGap); i++ {
		if err := s.customerWrites(ctx, n, i); err != nil {
			return fmt.Errorf("customer: %w", err)
		}
	}
	return nil
}

// reply writes as the user. What the user's client gets no answer for it repeats,
// as the app does, under the same client id.
func (s *soak) reply(ctx context.Context, n int) error {
	for i := 1; pause(ctx, replyMinGap, replyMaxGap); i++ {
		text := fmt.Sprintf("out %d/%d", n, i)
		// An attempt that was begun is seen through: nobody else knows of it.
		sending := context.WithoutCancel(ctx)
		err := until(sending, soakDrain, func() error {
			err := s.t.do(sending, http.MethodPost, "/api/chats/"+customerPhone(n)+"@c.us/messages",
				map[string]string{"text": text, "client_id": "soak-" + strings.NewReplacer(" ", "-", "/", "-").Replace(text)}, nil)
			var status *statusError
			if errors.As(err, &status) && status.status == http.StatusBadRequest {
				return fmt.Errorf("refused for good: %w", err)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("user: %w", err)
		}
		s.mu.Lock()
		s.sentTo = append(s.sentTo, text)
		s.mu.Unlock()
	}
	return nil
}

// breakThings plays one fault after the other, in random order.
func (s *soak) breakThings(ctx context.Context) error {
	played := map[string]func(context.Context) error{
		whatsappsim.FaultDoubleNewMessage: s.play(whatsappsim.FaultDoubleNewMessage),
		whatsappsim.FaultSilentMessage:    s.play(whatsappsim.FaultSilentMessage),
		whatsappsim.FaultDisconnect:       s.play(whatsappsim.FaultDisconnect),
		whatsappsim.FaultRendererHang:     s.play(whatsappsim.FaultRendererHang),
		"browser_killed":                  func(context.Context) error { return s.killProcess("type=", false) },
		"renderer_killed":                 func(context.Context) error { return s.killProcess("type=renderer", true) },
		"program_killed":                  func(context.Context) error { return s.killProgram() },
		"database_cut":                    s.cutDatabase,
	}
	names := make([]string, 0, len(played))
	for name := range played {
		names = append(names, name)
	}
	slices.Sort(names)
	for pause(ctx, faultMinGap, faultMaxGap) {
		name := names[rand.IntN(len(names))] //nolint:gosec // which fault is no secret
		if err := played[name](ctx); err != nil {
			fmt.Fprintf(s.out, "fault %s could not be played: %v\n", name, err)
			continue
		}
		s.mu.Lock()
		s.faults[name]++
		s.mu.Unlock()
		fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format(time.TimeOnly), name)
	}
	return nil
}

func (s *soak) play(fault string) func(context.Context) error {
	return func(ctx context.Context) error { return s.sim.Fault(ctx, s.t.phone, fault) }
}

// cutDatabase ends the slice's connections, as a restart of the server does.
func (s *soak) cutDatabase(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, platform.SliceDatabase(s.t.number))
	return err
}

func (s *soak) processes() ([]process, error) {
	id, err := s.SliceContainer(s.t.number)
	if err != nil {
		return nil, err
	}
	return processesOf(id)
}

// killProcess kills one of Chromium's processes: one with the text among its
// arguments, or the browser itself, which has none.
func (s *soak) killProcess(argument string, with bool) error {
	all, err := s.processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if strings.HasPrefix(p.name, "chromium") && strings.Contains(p.arguments, argument) == with {
			return p.kill()
		}
	}
	return errors.New("there is no such process")
}

func (s *soak) killProgram() error {
	all, err := s.processes()
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.name == "slice" {
			return p.kill()
		}
	}
	return errors.New("the program does not run")
}

func (s *soak) watchMemory(ctx context.Context) error {
	for pause(ctx, memoryEvery, memoryEvery) {
		id, err := s.SliceContainer(s.t.number)
		if err != nil {
			continue // between two containers
		}
		m, err := containerMemory(id)
		if err != nil {
			continue
		}
		s.mu.Lock()
		s.memory = append(s.memory, m.total())
		s.mu.Unlock()
	}
	return nil
}

// settle waits until nothing is on its way and counts.
func (s *soak) settle(ctx context.Context, length time.Duration) (any, error) {
	fmt.Fprintf(s.out, "%s  no more faults; what is on its way arrives\n", time.Now().Format(time.TimeOnly))
	if err := s.t.waitReady(ctx, soakDrain); err != nil {
		return nil, fmt.Errorf("after the last fault: %w", err)
	}
	conn, err := pgx.Connect(ctx, s.DatabaseURL(platform.SliceDatabase(s.t.number)))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var here, there map[string]int
	missing := func() (lost, double int) {
		for _, side := range []map[string]int{here, there} {
			for _, text := range slices.Concat(s.sentIn, s.sentTo) {
				switch n := side[text]; {
				case n == 0:
					lost++
				case n > 1:
					double += n - 1
				}
			}
		}
		return lost, double
	}
	if err := until(ctx, soakDrain, func() error {
		if here, err = stored(ctx, conn); err != nil {
			return err
		}
		if there, err = s.onPhone(ctx); err != nil {
			return err
		}
		if lost, _ := missing(); lost > 0 {
			return fmt.Errorf("%d messages are missing", lost)
		}
		return nil
	}); err != nil {
		fmt.Fprintf(s.out, "%v\n", err)
	}
	lost, double := missing()
	r := soakResult{Minutes: length.Minutes(), In: len(s.sentIn), Out: len(s.sentTo), Lost: lost, Double: double, Faults: s.faults}
	third := len(s.memory) / 3
	if third > 0 {
		r.MemoryFirst, r.MemoryLast = round1(median(s.memory[:third])), round1(median(s.memory[len(s.memory)-third:]))
	}
	if r.LeftOver, err = s.leftOver(); err != nil {
		return nil, err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nin\tout\tlost\tdouble\tMiB, first third\tMiB, last third\tprocesses left over\t")
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.0f\t%.0f\t%d\t\n", r.In, r.Out, r.Lost, r.Double, r.MemoryFirst, r.MemoryLast, r.LeftOver)
	w.Flush()
	return r, nil
}

// stored counts, by text, the messages in the slice's database. One that failed
// or still waits does not count.
func stored(ctx context.Context, conn *pgx.Conn) (map[string]int, error) {
	rows, err := conn.Query(ctx, `SELECT text, count(*) FROM messages WHERE direction = 'in' OR ack > 0 GROUP BY text`)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	var text string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&text, &n}, func() error { counts[text] = n; return nil })
	return counts, err
}

// watchPhone looks at the phone before it forgets anything.
func (s *soak) watchPhone(ctx context.Context) error {
	for pause(ctx, time.Minute, time.Minute) {
		if _, err := s.onPhone(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("phone: %w", err)
		}
	}
	return nil
}

// onPhone counts the messages that the phone has or had.
func (s *soak) onPhone(ctx context.Context) (map[string]int, error) {
	messages, err := s.sim.Messages(ctx, s.t.phone, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.phone[m.ID] = m.Text
	}
	counts := map[string]int{}
	for _, text := range s.phone {
		counts[text]++
	}
	return counts, nil
}

// leftOver counts processes in the container beyond one program, its init and
// one browser with its children.
func (s *soak) leftOver() (int, error) {
	all, err := s.processes()
	if err != nil {
		return 0, err
	}
	browsers, zombies, others := 0, 0, 0
	for _, p := range all {
		switch {
		case p.zombie:
			zombies++
		case strings.HasPrefix(p.name, "chromium") && !strings.Contains(p.arguments, "--type="):
			browsers++
		case p.name != "tini" && p.name != "slice" && !strings.HasPrefix(p.name, "chromium"):
			others++
		}
	}
	return max(browsers-1, 0) + zombies + others, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// pause waits a random time and reports whether ctx still goes on.
func pause(ctx context.Context, least, most time.Duration) bool {
	d := least
	if most > least {
		d += rand.N(most - least) //nolint:gosec // a pause is no secret
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
