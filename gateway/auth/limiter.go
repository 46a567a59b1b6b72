package auth

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

// limitEntries bounds what a limiter remembers, about 10 MiB.
const limitEntries = 50_000

// limit is a token bucket: burst attempts at once, and one more each refill.
type limit struct {
	key    string
	burst  float64
	refill time.Duration
}

// limiter slows down guessing and flooding. It is in memory, each gateway's
// own: with n gateways somebody gets n times the attempts, and a restart
// forgets them; tokens and passwords are chosen so that this does not matter.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time // of tokens
	full   time.Time // when there is nothing to remember any more
}

func newLimiter() *limiter {
	return &limiter{now: time.Now, buckets: make(map[string]bucket)}
}

// take uses up one attempt of each limit; with none left of any it takes
// nothing and returns how long to wait.
func (l *limiter) take(limits ...limit) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, li := range limits {
		if left := l.left(li, now); left < 1 {
			wait = max(wait, time.Duration((1-left)*float64(li.refill)))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, li := range limits {
		l.set(li, l.left(li, now)-1, now)
	}
	return 0
}

// giveBack is called after a success: only failures count.
func (l *limiter) giveBack(limits ...limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, li := range limits {
		l.set(li, l.left(li, now)+1, now)
	}
}

// forget is called after a success that no guesser can have.
func (l *limiter) forget(limits ...limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, li := range limits {
		delete(l.buckets, li.key)
	}
}

// left returns the attempts that are left. The caller holds mu.
func (l *limiter) left(li limit, now time.Time) float64 {
	b, ok := l.buckets[li.key]
	if !ok {
		return li.burst
	}
	return min(li.burst, b.tokens+now.Sub(b.at).Seconds()/li.refill.Seconds())
}

// set remembers how many attempts are left. The caller holds mu.
func (l *limiter) set(li limit, left float64, now time.Time) {
	if left >= li.burst {
		delete(l.buckets, li.key)
		return
	}
	if _, known := l.buckets[li.key]; !known {
		l.makeRoom(now)
	}
	l.buckets[li.key] = bucket{tokens: left, at: now, full: now.Add(time.Duration((li.burst - left) * float64(li.refill)))}
}

// makeRoom drops the buckets that are full again, or an arbitrary one. The
// caller holds mu.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < limitEntries {
		return
	}
	for k, b := range l.buckets {
		if !now.Before(b.full) {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) < limitEntries {
			return
		}
		delete(l.buckets, k)
	}
}

// take answers ErrTooMany, with when to try again, once a limit is reached.
func (s *Service) take(w http.ResponseWriter, limits ...limit) error {
	wait := s.limits.take(limits...)
	if wait == 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return platform.Errorf(platform.ErrTooMany, "Too many attempts. Try again in %d seconds.", seconds)
}

// logInLimits bounds guessing without shutting the owner out. A browser that
// logged in to the account before has attempts of its own, which nobody else
// can use up. Everybody else shares those of the account and of their address.
// An owner with a new browser, while somebody guesses from many addresses, gets
// in with a password reset: that makes the browser known.
func (s *Service) logInLimits(r *http.Request, email string) ([]limit, error) {
	device, err := s.knownDevice(r, email)
	if err != nil {
		return nil, err
	}
	if device != "" {
		return []limit{{"device|" + email + "|" + device, 10, 10 * time.Second}}, nil
	}
	addr := network(request.From(r.Context()).ClientAddr)
	return []limit{
		{"account and address|" + email + "|" + addr, 10, 10 * time.Second},
		{"account|" + email, 100, 30 * time.Second},
		addressLimit(addr),
	}, nil
}

// addressLimit bounds failed log-ins of every kind from one network.
func addressLimit(network string) limit { return limit{"address|" + network, 60, 2 * time.Second} }

// network is what one client holds: an address, of IPv6 a /64.
func network(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil || !a.Is6() {
		return addr
	}
	p, _ := a.WithZone("").Prefix(64)
	return p.String()
}
