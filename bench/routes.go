package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	routesConns  = 32
	routesWindow = time.Second            // short: what slows the machine lasts longer, and meets all alike
	routesWarmUp = 100 * time.Millisecond // before each window
	routesBegin  = 2 * time.Second        // before the first

	// routesInARow is how many requests a connection carries for one user before
	// it goes on to the next: what the app asks of its slice when a page is
	// opened comes together.
	routesInARow = 10
)

type routesResult struct {
	Us10    float64 `json:"us_10"`
	Us1000  float64 `json:"us_1000"`
	Us10000 float64 `json:"us_10000"`
}

// traffic is how requests are spread over the users.
type traffic struct {
	title  string
	inARow int // requests of one user, before it is another's turn
	active int // users who send any, at most; 0: all of them
	rounds int // windows for each number of slices
}

var (
	wandering = traffic{fmt.Sprintf("all, %d requests each in turn", routesInARow), routesInARow, 0, 60}
	fewActive = traffic{fmt.Sprintf("%d at most, %d requests each in turn", routesConns, routesInARow), routesInARow, routesConns, 20}
	scattered = traffic{"all, every request another's", 1, 0, 30}
)

// routesBench measures what a proxied request costs with few slices and with
// many. There is a Consul, a PostgreSQL and a gateway for each number of
// slices, all running at once and loaded in turns of a second, so that what else
// happens on the machine meets all alike: with turns of five seconds, and a tenth as
// many, one and the same program was 1.02 and 1.20 times as dear within a quarter
// of an hour.
//
// Every user has a session and a slice at an address of its own. The traffic
// that counts goes to all of them: each of 32 connections sends ten requests of
// one user, as many as opening a page takes, and moves on to the next user, so
// that with 10,000 slices each sees ten requests in half a minute, and finds
// a gateway that has had many others to think of meanwhile. Two more kinds tell
// where a difference comes from: the same with 32 of the users active, where
// only the number of the registered slices differs, and every request another
// user's, which nobody's browser does and which makes each slice's part of the
// memory, in the gateway as in the kernel, as cold as it can be.
//
// Where there are many slices, what requests have looked up again as time goes by
// waits for the gateway's turn, and so weighs up to three times as much here as
// where requests come all the time; with ten, most of it falls into the warm-up.
// That is against many slices, by one to three hundredths.
func routesBench(ctx context.Context, args []string, out io.Writer) (any, error) {
	if len(args) > 0 {
		return nil, errors.New("routes takes no arguments")
	}
	if err := raiseOpenFiles(); err != nil {
		return nil, err
	}
	r, err := openRig(ctx, "bench-routes", os.Stderr)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.ownAddresses = true
	var sites []*routedSite
	for _, n := range []int{10, 1000, 10_000} {
		site, err := newRoutedSite(ctx, r, n)
		if err != nil {
			return nil, fmt.Errorf("%d slices: %w", n, err)
		}
		sites = append(sites, site)
	}
	if err := waitQuiet(ctx, out); err != nil {
		return nil, err
	}
	var all []*routed
	for _, t := range []traffic{wandering, fewActive, scattered} {
		measured, err := measureRoutes(ctx, sites, t)
		if err != nil {
			return nil, err
		}
		all = append(all, measured...)
	}
	if err := printRoutes(out, all); err != nil {
		return nil, err
	}
	find := func(n int) *routed {
		return all[slices.IndexFunc(all, func(m *routed) bool { return m.slices == n && m.traffic == wandering })]
	}
	most := find(10_000)
	result := routesResult{find(10).cpuMicros(), find(1000).cpuMicros(), most.cpuMicros()}
	err = writeProfile(ctx, most.gateway, most.rig.Dir, out, func() error {
		_, err := measureRoutes(ctx, []*routedSite{most.routedSite}, traffic{inARow: routesInARow, rounds: 5})
		return err
	})
	return result, err
}

// measureRoutes loads the sites in turns.
func measureRoutes(ctx context.Context, sites []*routedSite, t traffic) ([]*routed, error) {
	var all []*routed
	for _, site := range sites {
		m := &routed{routedSite: site, traffic: t}
		if err := m.begin(ctx); err != nil {
			return nil, m.gateway.failed(err)
		}
		defer m.load.close()
		all = append(all, m)
	}
	turns := slices.Clone(all)
	for range t.rounds {
		for _, m := range turns {
			if err := m.measure(ctx); err != nil {
				return nil, m.gateway.failed(err)
			}
		}
		slices.Reverse(turns)
	}
	return all, nil
}

// routedSite is a gateway with what it needs, and its users' requests.
type routedSite struct {
	rig            *rig
	slices         int
	gateway        *program
	addr           string
	requests       [][]byte
	consul, server *program
}

func newRoutedSite(ctx context.Context, r *rig, n int) (*routedSite, error) {
	own, err := r.beside(strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	if err := own.startAll(ctx); err != nil {
		return nil, err
	}
	s := &routedSite{rig: own, slices: n}
	begun := time.Now()
	tokens, err := own.addUsers(ctx, n)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%d slices are registered, after %s\n", n, time.Since(begun).Round(time.Millisecond))
	for _, token := range tokens {
		s.requests = append(s.requests, apiRequest(token))
	}
	if s.gateway, s.addr, err = own.startGateway(ctx); err != nil {
		return nil, err
	}
	if err := identifies(ctx, s.addr, tokens[n-1]); err != nil {
		return nil, err
	}
	s.consul, s.server = own.named("consul"), own.named("postgres")
	return s, nil
}

// routed is one kind of traffic to a site, with its rounds.
type routed struct {
	*routedSite
	traffic
	load   *loader
	rounds []loadResult
	counts routedCounts // of all rounds, warm-ups included
}

// routedCounts is what a gateway did beside passing on.
type routedCounts struct{ requests, lookups, sessions, connections float64 }

// begin makes every user who is to be active be there once.
func (m *routed) begin(ctx context.Context) error {
	requests := m.requests
	if m.active > 0 && m.active < len(requests) {
		requests = nil
		for i := range m.active {
			requests = append(requests, m.requests[i*len(m.requests)/m.active])
		}
	}
	if err := m.visitAll(ctx, requests); err != nil {
		return err
	}
	var err error
	if m.load, err = newMovingLoader(m.addr, requests, routesConns, m.inARow); err != nil {
		return err
	}
	_, err = m.load.until(ctx, time.Now().Add(routesBegin))
	return err
}

// measure is one round. It goes on with the users where the last one ended.
func (m *routed) measure(ctx context.Context) error {
	before, err := m.count(ctx)
	if err != nil {
		return err
	}
	warm, err := m.load.until(ctx, time.Now().Add(routesWarmUp))
	if err != nil {
		return err
	}
	res, err := m.load.run(ctx, m.gateway.cmd.Process.Pid, 0, routesWindow, m.consul.cmd.Process.Pid, m.server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	after, err := m.count(ctx)
	if err != nil {
		return err
	}
	m.rounds = append(m.rounds, res)
	m.counts.requests += float64(len(warm) + res.requests)
	m.counts.lookups += after.lookups - before.lookups
	m.counts.sessions += after.sessions - before.sessions
	m.counts.connections += after.connections - before.connections
	return os.Truncate(m.gateway.log, 0) // one line per request
}

// visitAll sends each request at least once.
func (m *routed) visitAll(ctx context.Context, requests [][]byte) error {
	l, err := newMovingLoader(m.addr, requests, routesConns, 1)
	if err != nil {
		return err
	}
	defer l.close()
	for sent := 0; sent < len(requests); {
		took, err := l.until(ctx, time.Now().Add(100*time.Millisecond))
		if err != nil {
			return err
		}
		sent += len(took)
	}
	return nil
}

func (m *routed) count(ctx context.Context) (c routedCounts, err error) {
	metrics, err := get(ctx, "http://"+m.addr+"/metrics", nil)
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "gateway_catalog_lookups_total"):
			c.lookups += n
		case name == `gateway_session_cache_total{result="miss"}`, name == `gateway_session_cache_total{result="renewed"}`:
			c.sessions += n
		}
	}
	accepted, err := get(ctx, "http://"+m.rig.upstream+acceptedPath, nil)
	if err != nil {
		return c, err
	}
	c.connections, err = strconv.ParseFloat(accepted, 64)
	return c, err
}

// cpuMicros is what a request costs over all rounds.
func (m *routed) cpuMicros() float64 {
	return math.Round(10*m.overAll(func(r loadResult) time.Duration { return r.cpu })) / 10
}

// overAll is the processor time per request, in µs.
func (m *routed) overAll(of func(loadResult) time.Duration) float64 {
	var sum time.Duration
	var requests int
	for _, r := range m.rounds {
		sum += of(r)
		requests += r.requests
	}
	return micros(sum) / float64(max(requests, 1))
}

func printRoutes(out io.Writer, all []*routed) error {
	fmt.Fprintf(out, "\nCPU time per proxied request by the number of slices: 1 KiB JSON, keep-alive, %d connections; in turns of %s\n\n",
		routesConns, routesWindow)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "active users\tslices\tturns\tµs/request\tmiddle half\t/ with 10\tmedian of turns\trequests/s\tp99 ms\tlook-ups\tsessions read\tconnections\tConsul µs\tPostgreSQL µs\tother work\t")
	few := make(map[string]*routed) // by title
	for _, m := range all {
		if m.slices == 10 {
			few[m.title] = m
		}
		ten := few[m.title]
		var rates, others, ratios []float64
		for i, r := range m.rounds {
			rates, others = append(rates, r.perSecond()), append(others, r.others)
			ratios = append(ratios, float64(r.cpuPerRequest())/float64(ten.rounds[i].cpuPerRequest()))
		}
		slices.Sort(rates)
		slices.Sort(ratios)
		sorted := slices.SortedFunc(slices.Values(m.rounds), byCPU)
		each := 1000 / max(m.counts.requests, 1)
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f to %.1f\t%.3f\t%.3f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f %%\t\n", m.title, m.slices, len(m.rounds),
			m.cpuMicros(), micros(sorted[len(sorted)/4].cpuPerRequest()), micros(sorted[len(sorted)*3/4].cpuPerRequest()),
			m.cpuMicros()/ten.cpuMicros(), ratios[len(ratios)/2], rates[len(rates)/2],
			float64(medianOf(m.rounds, func(r loadResult) time.Duration { return r.p99 }))/1e6,
			each*m.counts.lookups, each*m.counts.sessions, each*m.counts.connections,
			m.overAll(func(r loadResult) time.Duration { return r.beside[0] }), m.overAll(func(r loadResult) time.Duration { return r.beside[1] }),
			100*slices.Max(others))
	}
	w.Flush()
	fmt.Fprintln(out, "\nlook-ups in Consul, sessions read from PostgreSQL and new connections to slices: for 1,000 requests")
	for _, m := range all {
		if m.traffic == wandering {
			memory, err := residentOf(m.gateway)
			if err != nil {
				return err
			}
			ratio := m.cpuMicros() / few[m.title].cpuMicros()
			fmt.Fprintf(out, "%d slices: the gateway has %.0f MiB; goal, within 10 %% of 10 slices: %.2f, %s\n", m.slices, memory.pss/1024,
				ratio, map[bool]string{true: "reached", false: "missed"}[ratio <= 1.1])
		}
	}
	return nil
}
