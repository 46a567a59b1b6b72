package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/postgres"
)

const (
	claimsPerSecond = 100
	claimsSeconds   = 30
	claimsWarmUp    = 3   // seconds at the same pace, which are not counted
	claimsProfiled  = 10  // seconds, where PROFILE names a file
	claimsSpare     = 100 // slices that are left over in the end
	claimsGoal      = 25 * time.Millisecond
	claimsProbes    = 10 // sign-ups one by one, to see what a hash takes
)

type claimsResult struct {
	P99WithoutHash float64 `json:"p99_without_hash_ms"`
	Hits           int     `json:"hits"`
	Lost           int     `json:"lost"`
	Double         int     `json:"double"`
}

// claimsBench signs up 100 people a second for 30 seconds, while there are warm
// slices for all of them. They come whether or not those before were served,
// each from an address of their own and at a moment drawn at random within its
// second, from where their wait counts. PostgreSQL waits for the disk as it does
// in service; nothing refills the pool.
//
// A password hash is meant to keep a core busy for tens of milliseconds, so that
// 100 a second are more than a small machine has cores for. The gateway that
// counts is therefore built with the lowest cost that argon2id takes, and
// everything else of it as it is shipped, the worker process included; what a
// hash still takes is subtracted by what the gateway says of it. The gateway as
// it is shipped is measured as well, at half of what one worker can hash.
func claimsBench(ctx context.Context, args []string, out io.Writer) (any, error) {
	if len(args) > 0 {
		return nil, errors.New("claims takes no arguments")
	}
	r, err := openRig(ctx, "bench-claims", os.Stderr)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.durable = true
	if err := r.startAll(ctx); err != nil {
		return nil, err
	}
	shipped, err := newClaims(ctx, r, "gateway", false)
	if err != nil {
		return nil, err
	}
	cheap, err := newClaims(ctx, r, "gateway-cheap-hash", true)
	if err != nil {
		return nil, err
	}
	if err := r.addWarm(ctx, claimsPerSecond*(2*claimsWarmUp+2*claimsSeconds+claimsProfiled)+claimsProbes+claimsSpare); err != nil {
		return nil, err
	}
	hash, err := shipped.probe(ctx)
	if err != nil {
		return nil, shipped.gateway.failed(err)
	}
	pace := min(claimsPerSecond, max(1, int(time.Second/(2*hash))))
	if err := waitQuiet(ctx, out); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		*claims
		perSecond int
	}{{cheap, claimsPerSecond}, {shipped, pace}} {
		if err := c.run(ctx, c.perSecond); err != nil {
			return nil, c.gateway.failed(err)
		}
		if err := c.check(ctx); err != nil {
			return nil, err
		}
	}
	printClaims(out, hash, cheap, shipped)
	err = writeProfile(ctx, cheap.gateway, r.Dir, out, func() error { return cheap.come(ctx, claimsProfiled, false) })
	if err != nil {
		return nil, err
	}
	return claimsResult{ms(percentile(cheap.rest(), 99)), cheap.hits, cheap.lost, cheap.double}, nil
}

// addWarm fills the pool. To a claim a slice is a row; who claimed one and looks
// for it in Consul is not measured here.
func (r *rig) addWarm(ctx context.Context, n int) error {
	conn, err := pgx.Connect(ctx, r.databaseURL("postgres", postgres.DefaultDatabase))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := addGeneration(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO gateway.slices (state, generation, warm_at) SELECT 'warm', $1, now() FROM generate_series(1, $2)`,
			sliceGeneration, n)
		return err
	})
}

// claims is a gateway that people sign up with.
type claims struct {
	rig       *rig
	gateway   *program
	addr      string
	client    *http.Client
	perSecond int
	cpu       [2]time.Duration // of the gateway, its hash worker included, and of PostgreSQL
	others    float64
	came      int // people, of all runs

	mu      sync.Mutex
	signUps []signedUp // guarded by mu; those that count
	emails  []string   // guarded by mu; of all that were answered with an account
	failed  []error    // guarded by mu

	hits, lost, double int
}

type signedUp struct {
	took, hash time.Duration
	hit        bool
}

func newClaims(ctx context.Context, r *rig, name string, cheapHash bool) (*claims, error) {
	c := &claims{rig: r, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: time.Minute}}
	var err error
	c.gateway, c.addr, err = r.startGatewayAs(ctx, name, cheapHash, "SERVER_TIMING=true")
	return c, err
}

// probe returns what one hash takes when nothing else happens.
func (c *claims) probe(ctx context.Context) (time.Duration, error) {
	for range claimsProbes {
		c.signUp(ctx, time.Now(), true)
	}
	hashes := c.hashes()
	c.signUps = nil
	return percentile(hashes, 50), errors.Join(c.failed...)
}

// run has people come at this pace.
func (c *claims) run(ctx context.Context, perSecond int) error {
	c.perSecond = perSecond
	if err := c.come(ctx, claimsWarmUp, false); err != nil {
		return err
	}
	server := c.rig.named("postgres").cmd.Process.Pid
	before, err := sampleCPU(c.gateway.cmd.Process.Pid, server)
	if err != nil {
		return err
	}
	if err := c.come(ctx, claimsSeconds, true); err != nil {
		return err
	}
	after, err := sampleCPU(c.gateway.cmd.Process.Pid, server)
	c.cpu = [2]time.Duration{after.of - before.of, after.beside[0] - before.beside[0]}
	c.others = after.othersSince(before)
	return err
}

// come has people sign up for some seconds, and waits for the last one's answer.
func (c *claims) come(ctx context.Context, seconds int, counts bool) error {
	var planned []time.Duration
	for s := range seconds {
		for range c.perSecond {
			planned = append(planned, time.Duration(s)*time.Second+rand.N(time.Second))
		}
	}
	slices.Sort(planned)
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := time.Now()
	for _, at := range planned {
		if err := sleep(ctx, time.Until(begin.Add(at))); err != nil {
			return err
		}
		wg.Go(func() { c.signUp(ctx, begin.Add(at), counts) })
	}
	return nil
}

func (c *claims) signUp(ctx context.Context, planned time.Time, counts bool) {
	c.mu.Lock()
	c.came++
	client := c.came
	c.mu.Unlock()
	email := fmt.Sprintf("%s-%d@example.com", c.gateway.name, client)
	s, err := c.post(ctx, email, client)
	s.took = time.Since(planned)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.emails = append(c.emails, email)
	if counts {
		c.signUps = append(c.signUps, s)
	}
}

// post comes from an address that is kept for benchmarks (RFC 2544), as the edge
// passes it on.
func (c *claims) post(ctx context.Context, email string, client int) (s signedUp, err error) {
	body, err := json.Marshal(map[string]string{"email": email, "password": "three words that nobody guesses"})
	if err != nil {
		return s, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/auth/signup", bytes.NewReader(body))
	if err != nil {
		return s, err
	}
	req.Host = publicHost
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://"+publicHost)
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.%d.%d.%d", 18+client>>16&1, client>>8&0xff, client&0xff))
	res, err := c.client.Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return s, err
	}
	var me struct{ Slice struct{ State string } }
	if err := json.Unmarshal(answer, &me); err != nil || res.StatusCode != http.StatusCreated {
		return s, fmt.Errorf("sign-up: status %d: %s", res.StatusCode, answer)
	}
	s.hit = me.Slice.State == "assigned"
	s.hash, err = hashTime(res.Header.Get("Server-Timing"))
	return s, err
}

// check asks the database what became of those who came. Lost is who has no
// account, or one without exactly one slice and the claim of it; double are
// slices that more than one user was given.
func (c *claims) check(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.rig.databaseURL("postgres", postgres.DefaultDatabase))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var kept int
	err = conn.QueryRow(ctx, `
		SELECT count(*) FROM gateway.users u
		WHERE u.email = ANY($1)
			AND (SELECT count(*) FROM gateway.slices s WHERE s.user_id = u.id AND s.state = 'assigned') = 1
			AND (SELECT array_agg(c.slice_number) = array_agg(s.number) FROM gateway.claims c JOIN gateway.slices s USING (user_id) WHERE c.user_id = u.id)`,
		c.emails).Scan(&kept)
	if err != nil {
		return err
	}
	err = conn.QueryRow(ctx, `SELECT count(*) FROM (
		SELECT slice_number FROM gateway.claims GROUP BY slice_number HAVING count(*) > 1) twice`).Scan(&c.double)
	if err != nil {
		return err
	}
	c.lost = c.came - kept
	for _, s := range c.signUps {
		if s.hit {
			c.hits++
		}
	}
	return nil
}

func (c *claims) of(f func(signedUp) time.Duration) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Duration
	for _, s := range c.signUps {
		all = append(all, f(s))
	}
	return all
}

func (c *claims) hashes() []time.Duration {
	return c.of(func(s signedUp) time.Duration { return s.hash })
}

func (c *claims) rest() []time.Duration {
	return c.of(func(s signedUp) time.Duration { return s.took - s.hash })
}

func printClaims(out io.Writer, hash time.Duration, cheap, shipped *claims) {
	fmt.Fprintf(out, "\nSign-ups with warm slices there, for %d s; in ms from the moment planned, whatever came of those before\n\n", claimsSeconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "password hash\ta second\t\tp50\tp90\tp99\tlongest\t")
	for _, c := range []struct {
		*claims
		title string
	}{{cheap, "of the lowest cost"}, {shipped, "as shipped"}} {
		for _, row := range []struct {
			name string
			d    []time.Duration
		}{{"answer", c.of(func(s signedUp) time.Duration { return s.took })}, {"of it hashing", c.hashes()}, {"without hashing", c.rest()}} {
			fmt.Fprintf(w, "%s\t%d\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", c.title, c.perSecond, row.name,
				ms(percentile(row.d, 50)), ms(percentile(row.d, 90)), ms(percentile(row.d, 99)), ms(percentile(row.d, 100)))
		}
	}
	w.Flush()
	fmt.Fprintln(out)
	for _, c := range []*claims{cheap, shipped} {
		each := float64(max(len(c.signUps), 1)) * float64(time.Millisecond)
		fmt.Fprintf(out, "%s, %d a second: %d came, %d of %d at once with a slice; lost %d, double %d; CPU ms per sign-up: gateway %.1f, PostgreSQL %.1f; other work %.0f %%\n",
			c.gateway.name, c.perSecond, c.came, c.hits, len(c.signUps), c.lost, c.double,
			float64(c.cpu[0])/each, float64(c.cpu[1])/each, 100*c.others)
		for i, err := range c.failed {
			if i == 3 {
				fmt.Fprintf(out, "  and %d more\n", len(c.failed)-i)
				break
			}
			fmt.Fprintf(out, "  not served: %v\n", err)
		}
	}
	fmt.Fprintf(out, "a hash as shipped takes %.0f ms of a core when nothing else happens: %d a second need %.1f cores\n", ms(hash), claimsPerSecond, claimsPerSecond*hash.Seconds())
	p99 := percentile(cheap.rest(), 99)
	fmt.Fprintf(out, "goal: at most %s without hashing, none lost, none double: %.1f ms, %s\n", claimsGoal, ms(p99),
		map[bool]string{true: "reached", false: "missed"}[p99 <= claimsGoal && cheap.lost == 0 && cheap.double == 0])
}
