package consul

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"ipnoelp.io/platform"
)

// agent is a Consul agent's health endpoint that a test can steer.
type agent struct {
	mu       sync.Mutex
	services []*api.ServiceEntry // guarded by mu
	down     bool                // guarded by mu
	gate     chan struct{}       // guarded by mu; when set, each answer waits for it
	queries  []url.Values        // guarded by mu
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.queries = append(a.queries, r.URL.Query())
	services, down, gate := a.services, a.down, a.gate
	a.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if down {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
		return
	}
	json.NewEncoder(w).Encode(services)
}

func (a *agent) set(f func()) { a.mu.Lock(); defer a.mu.Unlock(); f() }

func (a *agent) asked() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.queries) }

func instance(host string, port int, index uint64) *api.ServiceEntry {
	return &api.ServiceEntry{
		Node:    &api.Node{Address: "10.0.0.9"},
		Service: &api.AgentService{Address: host, Port: port, CreateIndex: index},
	}
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newTestResolver(t testing.TB) (*Resolver, *agent, *clock) {
	t.Helper()
	a := &agent{services: []*api.ServiceEntry{instance("127.0.0.1", 2001, 1)}}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	r := NewResolver(client, slog.New(slog.DiscardHandler))
	c := &clock{}
	c.advance(time.Hour)
	r.now, r.spread = c.now, func() float64 { return 1 }
	t.Cleanup(r.Close)
	return r, a, c
}

func mustResolve(t testing.TB, r *Resolver, number int, want string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), number)
	if err != nil || got != want {
		t.Fatalf("resolved %q, %v; want %q", got, err, want)
	}
}

func TestResolverRemembersAndRefreshes(t *testing.T) {
	r, a, c := newTestResolver(t)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	mustResolve(t, r, 7, "127.0.0.1:2001")
	if n := a.asked(); n != 1 {
		t.Fatalf("asked %d times for a fresh address, want 1", n)
	}
	if q := a.queries[0]; !q.Has("cached") || !q.Has("passing") {
		t.Errorf("query %v, want passing and cached", q)
	}
	// Stale: answered at once, looked up behind.
	a.set(func() { a.services = []*api.ServiceEntry{instance("127.0.0.1", 2002, 2)} })
	c.advance(2 * resolveFresh)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	r.refresh.Wait()
	mustResolve(t, r, 7, "127.0.0.1:2002")
	if n := a.asked(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	// Too old to be used unasked.
	a.set(func() { a.services = []*api.ServiceEntry{instance("127.0.0.1", 2003, 3)} })
	c.advance(2 * resolveStale)
	mustResolve(t, r, 7, "127.0.0.1:2003")
}

// The more slices there are, the rarer each is looked up that works.
func TestResolverRefreshesRarelyWithMany(t *testing.T) {
	r, a, c := newTestResolver(t)
	const slices = 100 // due after twenty seconds
	apart := r.spread
	resolveAll := func() (asked int) {
		before := a.asked()
		for n := range slices {
			mustResolve(t, r, n+1, "127.0.0.1:2001")
		}
		r.refresh.Wait()
		return a.asked() - before
	}
	if n := resolveAll(); n != slices {
		t.Fatalf("asked %d times for %d new slices", n, slices)
	}
	c.advance(slices*refreshEvery - 1)
	if n := resolveAll(); n != 0 {
		t.Errorf("asked %d times before they were due, want 0", n)
	}
	r.Invalidate(7, "127.0.0.1:2001")
	if n := resolveAll(); n != 1 {
		t.Errorf("asked %d times after one proved wrong, want 1", n)
	}
	c.advance(1)
	if n := resolveAll(); n != slices-1 {
		t.Errorf("asked %d times once they were due, want %d", n, slices-1)
	}

	// What was looked up together is due apart.
	r.spread = NewResolver(nil, nil).spread
	c.advance(slices * refreshEvery)
	resolveAll()
	r.spread = apart
	c.advance(slices * refreshEvery)
	if n := resolveAll(); n < slices/5 || n > 4*slices/5 {
		t.Errorf("%d of %d were due after the time that is the average", n, slices)
	}
}

// However many there are, each is looked up behind a request before one would
// have to wait for that.
func TestResolverRefreshesOftenEnough(t *testing.T) {
	for known, want := range map[int]time.Duration{
		1: resolveFresh, 5: resolveFresh, 50: 10 * time.Second, 1000: 200 * time.Second, resolveEntries: refreshAtLeast,
	} {
		if got := (&resolverEntry{patience: 1}).due(known); got != want {
			t.Errorf("one of %d is due after %s, want %s", known, got, want)
		}
	}
	spread := NewResolver(nil, nil).spread
	for range 1000 {
		if got := (&resolverEntry{patience: spread()}).due(resolveEntries); got >= resolveStale {
			t.Fatalf("due after %s, when it is not used any more", got)
		}
	}
}

func TestResolverInvalidate(t *testing.T) {
	r, a, _ := newTestResolver(t)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	a.set(func() { a.services = []*api.ServiceEntry{instance("127.0.0.1", 2002, 2)} })
	r.Invalidate(7, "127.0.0.1:9999") // not what the table holds
	mustResolve(t, r, 7, "127.0.0.1:2001")
	r.Invalidate(7, "127.0.0.1:2001")
	mustResolve(t, r, 7, "127.0.0.1:2002")
	a.set(func() {
		if q := a.queries[len(a.queries)-1]; q.Has("cached") || !q.Has("consistent") {
			t.Errorf("query %v, want consistent and not cached", q)
		}
	})
	r.Invalidate(7, "127.0.0.1:2001") // too late: replaced already
	mustResolve(t, r, 7, "127.0.0.1:2002")
	if n := a.asked(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestResolverConsulDown(t *testing.T) {
	r, a, c := newTestResolver(t)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	a.set(func() { a.down = true })
	c.advance(time.Hour)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	r.Invalidate(7, "127.0.0.1:2001")
	mustResolve(t, r, 7, "127.0.0.1:2001")
	if _, err := r.Resolve(t.Context(), 8); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Errorf("unknown slice: error %v, want unavailable", err)
	}
	a.set(func() { a.down, a.services = false, nil })
	c.advance(time.Hour)
	if _, err := r.Resolve(t.Context(), 7); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Errorf("no healthy instance: error %v, want unavailable", err)
	}
	// One that does not answer is asked again sooner than one that does.
	a.set(func() { a.down, a.services = false, []*api.ServiceEntry{instance("127.0.0.1", 2001, 1)} })
	c.advance(time.Hour)
	for n := range 200 {
		mustResolve(t, r, n+1, "127.0.0.1:2001")
	}
	a.set(func() { a.down = true })
	c.advance(200 * refreshEvery)
	for range 2 {
		before := a.asked()
		mustResolve(t, r, 7, "127.0.0.1:2001")
		r.refresh.Wait()
		if n := a.asked() - before; n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		c.advance(200 * refreshEvery / 4)
	}
	a.set(func() { a.down, a.services = false, nil })
	c.advance(time.Hour)
	if _, err := r.Resolve(t.Context(), 7); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Errorf("no healthy instance: error %v, want unavailable", err)
	}
	// What a Consul said that was going down is no reason to forget the address.
	a.set(func() { a.down = true })
	c.advance(time.Hour)
	mustResolve(t, r, 7, "127.0.0.1:2001")
}

func TestResolverPicksTheNewestInstance(t *testing.T) {
	r, a, _ := newTestResolver(t)
	a.set(func() {
		a.services = []*api.ServiceEntry{instance("127.0.0.1", 2001, 5), instance("", 2002, 9), instance("127.0.0.1", 2003, 7)}
	})
	mustResolve(t, r, 7, "10.0.0.9:2002")
}

// A registration that outlived its client is the newest, and wrong: the other
// one is used, and stays in use.
func TestResolverAvoidsWhatProvedWrong(t *testing.T) {
	r, a, c := newTestResolver(t)
	a.set(func() {
		a.services = []*api.ServiceEntry{instance("127.0.0.1", 2001, 1), instance("127.0.0.1", 2002, 9)}
	})
	mustResolve(t, r, 7, "127.0.0.1:2002")
	r.Invalidate(7, "127.0.0.1:2002")
	mustResolve(t, r, 7, "127.0.0.1:2001")
	c.advance(wrongMemory / 2)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	r.refresh.Wait()
	mustResolve(t, r, 7, "127.0.0.1:2001")
	a.set(func() { a.services = []*api.ServiceEntry{instance("127.0.0.1", 2002, 9)} })
	c.advance(2 * resolveStale)
	mustResolve(t, r, 7, "127.0.0.1:2002") // better than nothing
}

// What the agent streams may lag behind a slice that just became healthy.
func TestResolverAsksTheServersBeforeItSaysNo(t *testing.T) {
	r, a, c := newTestResolver(t)
	a.set(func() { a.services = nil })
	for range 3 {
		if _, err := r.Resolve(t.Context(), 7); platform.CodeOf(err) != platform.ErrUnavailable {
			t.Fatalf("no healthy instance: error %v, want unavailable", err)
		}
	}
	a.set(func() {
		if len(a.queries) != 2 || !a.queries[0].Has("cached") || !a.queries[1].Has("consistent") {
			t.Errorf("queries %v, want a cached one, then a consistent one, and no more within a second", a.queries)
		}
		a.services = []*api.ServiceEntry{instance("127.0.0.1", 2001, 1)}
	})
	c.advance(2 * resolveFresh)
	mustResolve(t, r, 7, "127.0.0.1:2001")
}

func TestResolverAsksOnceForMany(t *testing.T) {
	r, a, _ := newTestResolver(t)
	gate := make(chan struct{})
	a.set(func() { a.gate = gate })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Resolve(t.Context(), 7); err != nil {
				t.Error(err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(gone, 7); err == nil {
		t.Error("a caller that left was answered")
	}
	close(gate)
	wg.Wait()
	// Callers that came after the answer find it in the table.
	if n := a.asked(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

// A look-up that was begun before an address proved wrong ends after it: who
// knows better asks all the same.
func TestResolverDistrustsOlderNews(t *testing.T) {
	r, a, _ := newTestResolver(t)
	mustResolve(t, r, 7, "127.0.0.1:2001")
	wrong := r.table.Get(7)
	r.Invalidate(7, "127.0.0.1:2001")
	r.store(7, &resolverEntry{addr: "127.0.0.1:2001", good: "127.0.0.1:2001", at: r.now()})
	before := a.asked()
	a.set(func() { a.services = []*api.ServiceEntry{instance("127.0.0.1", 2002, 2)} })
	if addr, err := r.lookUp(t.Context(), 7, wrong); err != nil || addr != "127.0.0.1:2002" || a.asked() == before {
		t.Errorf("resolved %q, %v, asked %d times", addr, err, a.asked()-before)
	}
}

func TestResolverTableIsBounded(t *testing.T) {
	r, _, _ := newTestResolver(t)
	for n := range resolveEntries + 100 {
		r.store(n, &resolverEntry{addr: "127.0.0.1:1"})
	}
	if r.table.Len() != resolveEntries {
		t.Errorf("%d entries, want %d", r.table.Len(), resolveEntries)
	}
	for n := range maps.Collect(r.table.All()) { // what is known makes no room for itself
		r.store(n, &resolverEntry{addr: "127.0.0.1:2"})
	}
	if r.table.Len() != resolveEntries {
		t.Errorf("%d entries after each was looked up again, want %d", r.table.Len(), resolveEntries)
	}
}

func BenchmarkResolve(b *testing.B) {
	r, _, _ := newTestResolver(b)
	mustResolve(b, r, 7, "127.0.0.1:2001")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Resolve(context.Background(), 7)
		}
	})
}
