package proxy

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/upstream"
	"ipnoelp.io/platform/sparse"
)

// Limits of one slice, so that none takes the gateway from the others. WebSockets
// are bounded by the registry.
type Limits struct {
	Requests int     // at once, long polls included
	Rate     float64 // requests a second, on average
	Burst    int     // requests that may come at once after a pause
}

const (
	breakerFailures = 5                // in a row: then a slice is left alone
	breakerPause    = 2 * time.Second  // before one request may try again
	forgetAfter     = time.Minute      // without a request, once there is nothing to remember
	forgetFailures  = 10 * time.Minute // without a request, for a slice that failed
)

// outcome of a request on the way to its slice.
type outcome int

const (
	outcomeUnknown  outcome = iota // nothing was learned of the slice
	outcomeAnswered                // whatever it said
	outcomeFailed                  // not reached, or no proper answer
)

// limits keeps count of each slice: what is under way, how much it may still
// send, and whether it answers. It is safe for concurrent use.
type limits struct {
	Limits
	now func() time.Time

	mu     sync.Mutex
	slices sparse.Array[sliceCount] // guarded by mu, and so are its fields but server
	looked time.Time                // guarded by mu; for what to forget
}

// sliceCount is not forgotten while a request is under way. With the counts is what
// else each request needs of its slice.
type sliceCount struct {
	requests int // under way
	tokens   float64
	at       time.Time // when tokens was right
	failures int       // in a row
	until    time.Time // after breakerFailures: when the next probe may go

	server atomic.Pointer[upstream.Server] // where a plain request went last
}

// serverAt returns the slice's server at addr, one of t's.
func (c *sliceCount) serverAt(addr string, t *upstream.Transport) *upstream.Server {
	for {
		s := c.server.Load()
		if s != nil && s.Addr() == addr {
			return s
		}
		if found := t.Server(addr); c.server.CompareAndSwap(s, found) {
			return found
		}
	}
}

func newLimits(l Limits) *limits {
	return &limits{Limits: l, now: time.Now}
}

var errTooManyAtOnce = platform.Errorf(platform.ErrTooMany, "Too many requests at once. Try again in a moment.")

// enter admits a request to a slice, which must leave in the end. Returns
// ErrTooMany above the limits, then with the seconds after which it makes
// sense to try again.
func (l *limits) enter(number int) (c *sliceCount, retryAfter int, err error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.looked) >= forgetAfter {
		l.forget(now)
	}
	c = l.slices.Get(number)
	if c == nil {
		c = &sliceCount{tokens: float64(l.Burst), at: now}
		l.slices.Set(number, c)
	}
	if c.requests >= l.Requests {
		return nil, 1, errTooManyAtOnce
	}
	c.tokens = min(float64(l.Burst), c.tokens+now.Sub(c.at).Seconds()*l.Rate)
	c.at = now
	if c.tokens < 1 {
		seconds := int(math.Ceil((1 - c.tokens) / l.Rate))
		return nil, seconds, platform.Errorf(platform.ErrTooMany, "Too many requests in a short time. Try again in a moment.")
	}
	c.tokens--
	c.requests++
	return c, 0, nil
}

// leave ends what enter admitted.
func (l *limits) leave(c *sliceCount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.requests--
}

var errFailing = platform.Errorf(platform.ErrUnavailable, "Your workspace does not answer at the moment. It is looked after; try again in a few seconds.")

// allow returns ErrUnavailable for a slice that failed several times in a row.
// Now and then it lets one request through, to see.
func (l *limits) allow(c *sliceCount) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.failures < breakerFailures {
		return nil
	}
	now := l.now()
	if now.Before(c.until) {
		return errFailing
	}
	c.until = now.Add(breakerPause) // this one is the probe
	return nil
}

// learn says what came of a request that was allowed.
func (l *limits) learn(c *sliceCount, o outcome) {
	if o == outcomeUnknown {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if o == outcomeAnswered {
		c.failures = 0
		return
	}
	if c.failures++; c.failures == breakerFailures {
		c.until = l.now().Add(breakerPause)
	}
}

// forget drops the slices that are as if they were new, and those that failed
// and that nobody has asked for since. The caller holds mu.
func (l *limits) forget(now time.Time) {
	l.looked = now
	for number, c := range l.slices.All() {
		idle, keep := now.Sub(c.at), forgetAfter
		if c.failures > 0 {
			keep = forgetFailures
		}
		full := c.tokens+idle.Seconds()*l.Rate >= float64(l.Burst)
		if c.requests == 0 && full && idle > keep {
			l.slices.Set(number, nil)
		}
	}
}

// failing returns how many slices are left alone now.
func (l *limits) failing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, c := range l.slices.All() {
		if c.failures >= breakerFailures {
			n++
		}
	}
	return n
}
