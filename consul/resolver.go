package consul

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/singleflight"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/sparse"
)

const (
	resolveFresh   = time.Second            // an address this young is used as it is
	refreshEvery   = 200 * time.Millisecond // with many slices: between two look-ups of addresses in use, on average,
	refreshAtLeast = 10 * time.Minute       // but each as often as this, on average
	resolveStale   = 20 * time.Minute       // up to this age it is used while it is looked up again
	resolveTimeout = 2 * time.Second        // for one look-up; the local agent answers in well under 1 ms
	wrongMemory    = time.Minute            // an address found wrong is avoided this long where there is another
	resolveEntries = 16384                  // addresses remembered, several times the slices of one installation
)

// Resolver finds the address of a slice through the local Consul agent. The
// agent streams the health of each service that was asked for, so that a
// look-up costs no round trip to the servers; in front of it is a table with
// the last address of each slice, which stays in use while Consul is down. It
// is safe for concurrent use.
type Resolver struct {
	health  *api.Health
	log     *slog.Logger
	now     func() time.Time
	spread  func() float64 // about 1; makes what was looked up together due apart
	lookups *lookupMetrics
	flights singleflight.Group
	refresh sync.WaitGroup // look-ups in the background

	mu     sync.RWMutex
	closed bool                        // guarded by mu
	table  sparse.Array[resolverEntry] // guarded by mu
}

// resolverEntry is replaced, never changed, but for its flags.
type resolverEntry struct {
	addr       string    // "" when Consul knows no healthy instance
	at         time.Time // when Consul said so
	patience   float64   // stretches the time until the next look-up
	good       string    // addr, or the last one before Consul knew none
	wrong      string    // the last address found wrong, "" if none
	wrongAt    time.Time
	refreshing atomic.Bool // a look-up in the background is under way
	invalid    atomic.Bool // somebody found it wrong
}

// due is the age at which an address in use is looked up again, where so many
// slices are known.
func (e *resolverEntry) due(known int) time.Duration {
	apart := min(time.Duration(known)*refreshEvery, refreshAtLeast)
	return max(resolveFresh, time.Duration(e.patience*float64(apart)))
}

// NewResolver returns a resolver that asks through client. Close it when no
// more calls are made.
func NewResolver(client *api.Client, log *slog.Logger) *Resolver {
	return &Resolver{health: client.Health(), log: log, lookups: newLookupMetrics(), now: time.Now,
		spread: func() float64 { return 0.5 + rand.Float64() }}
}

// Resolve returns the address ("host:port") of a slice. Returns ErrUnavailable
// if no instance of it is healthy, or if Consul cannot be asked and never was.
func (r *Resolver) Resolve(ctx context.Context, number int) (string, error) {
	r.mu.RLock()
	e := r.table.Get(number)
	known := r.table.Len()
	r.mu.RUnlock()
	if e != nil && !e.invalid.Load() {
		switch age := r.now().Sub(e.at); {
		case age < resolveFresh && e.addr == "":
			return "", errStarting
		case e.addr == "" || age >= resolveStale:
		case age < e.due(known):
			return e.addr, nil
		default:
			r.refreshInBackground(number, e)
			return e.addr, nil
		}
	}
	return r.lookUp(ctx, number, e)
}

// Invalidate says that addr turned out not to be the slice's. If it is still
// what the table holds, the next Resolve asks Consul's servers, past the
// agent's cache.
func (r *Resolver) Invalidate(number int, addr string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if e := r.table.Get(number); e != nil && e.addr == addr {
		e.invalid.Store(true)
	}
}

// Close waits for the look-ups that run in the background.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.refresh.Wait()
}

func (r *Resolver) refreshInBackground(number int, e *resolverEntry) {
	if !e.refreshing.CompareAndSwap(false, true) {
		return
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return
	}
	r.refresh.Go(func() {
		defer e.refreshing.Store(false)
		_, _ = r.lookUp(context.Background(), number, e) // bounded by resolveTimeout; what failed is logged there
	})
}

// lookUp asks Consul, once for all who ask for the same slice at the same
// time. last is what the table held, nil if nothing.
func (r *Resolver) lookUp(ctx context.Context, number int, last *resolverEntry) (string, error) {
	consistent := last != nil && last.invalid.Load()
	// Who knows the address to be wrong does not wait for a look-up that was
	// begun without that knowledge.
	key := strconv.Itoa(number)
	if consistent {
		key += " consistent"
	}
	result := r.flights.DoChan(key, func() (any, error) { return r.ask(number, consistent, last) })
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("resolve %s: %w", platform.SliceName(number), ctx.Err())
	case res := <-result:
		if res.Err != nil {
			return "", res.Err
		}
		return res.Val.(string), nil
	}
}

// errStarting: the slice has no healthy instance.
var errStarting = platform.Errorf(platform.ErrUnavailable, "Your workspace is starting. Try again in a few seconds.")

func (r *Resolver) ask(number int, consistent bool, last *resolverEntry) (string, error) {
	// One that was found wrong may have been put there again meanwhile.
	if addr, ok := r.news(number, last); ok && !consistent {
		return addr, nil
	}
	// Not the caller's context: others wait for the same answer.
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	name := platform.SliceName(number)
	next := &resolverEntry{at: r.now(), patience: r.spread()}
	if last != nil {
		next.good = last.good
	}
	if last != nil && last.invalid.Load() {
		next.wrong, next.wrongAt = last.addr, next.at
	} else if last != nil && next.at.Sub(last.wrongAt) < wrongMemory {
		next.wrong, next.wrongAt = last.wrong, last.wrongAt
	}
	services, err := r.healthy(ctx, name, consistent)
	if err == nil && len(services) == 0 && !consistent {
		// What the agent streams is a moment behind the servers, and the first
		// request of a new user comes right after the slice became healthy.
		services, err = r.healthy(ctx, name, true)
	}
	if err != nil {
		if next.good == "" {
			return "", platform.Errorf(platform.ErrUnavailable, "The service directory does not answer. Try again shortly.").
				WithCause(fmt.Errorf("resolve %s: %w", name, err))
		}
		r.log.Warn("consul does not answer, the last good address stays in use", "slice", number, "error", err)
		// Not asked again for every request while Consul is down, but sooner than
		// if it had answered: the alert on errors must not fall asleep.
		next.addr = next.good
		next.patience /= 4
		r.store(number, next)
		return next.addr, nil
	}
	next.addr = pick(services, next.wrong)
	if next.addr != "" {
		next.good = next.addr
	}
	r.store(number, next)
	if next.addr == "" {
		return "", errStarting
	}
	return next.addr, nil
}

// news returns an address that came into the table after last was read from it:
// of two look-ups one ended between that and the start of the other.
func (r *Resolver) news(number int, last *resolverEntry) (addr string, ok bool) {
	r.mu.RLock()
	e := r.table.Get(number)
	r.mu.RUnlock()
	if e == nil || e == last || e.addr == "" || e.invalid.Load() || r.now().Sub(e.at) >= resolveFresh {
		return "", false
	}
	return e.addr, true
}

// healthy asks for the passing instances: the agent's streamed copy, or the
// servers themselves.
func (r *Resolver) healthy(ctx context.Context, name string, consistent bool) ([]*api.ServiceEntry, error) {
	opts := &api.QueryOptions{UseCache: !consistent, RequireConsistent: consistent}
	start := time.Now()
	services, _, err := r.health.Service(name, "", true, opts.WithContext(ctx))
	r.lookups.observe(len(services), err, time.Since(start))
	return services, err
}

func (r *Resolver) store(number int, e *resolverEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table.Get(number) == nil && r.table.Len() >= resolveEntries {
		for n := range r.table.All() { // the first: it is looked up again when needed
			r.table.Set(n, nil)
			break
		}
	}
	r.table.Set(number, e)
}

// pick returns the address of the instance that was registered last, since
// while a slice moves the old one may still be passing; one that was found
// wrong only where there is no other, since a registration can outlive a
// client that was cut off. It returns "" for no instance.
func pick(services []*api.ServiceEntry, wrong string) string {
	var best *api.ServiceEntry
	for _, s := range services {
		switch {
		case best == nil,
			address(best) == wrong && address(s) != wrong,
			(address(best) == wrong) == (address(s) == wrong) && s.Service.CreateIndex > best.Service.CreateIndex:
			best = s
		}
	}
	if best == nil {
		return ""
	}
	return address(best)
}

func address(s *api.ServiceEntry) string {
	host := s.Service.Address
	if host == "" {
		host = s.Node.Address
	}
	return net.JoinHostPort(host, strconv.Itoa(s.Service.Port))
}
