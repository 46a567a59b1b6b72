package auth

import (
	"sync"
	"time"
)

const (
	throttleBurst   = 10               // attempts before waiting, per account and address
	throttleRefill  = 10 * time.Second // one more attempt each
	throttleEntries = 50_000           // accounts and addresses remembered
)

// throttle slows down guessing: a token bucket per account and client address,
// in memory. Trying many accounts from many addresses needs other defences.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[throttleKey]throttleBucket // guarded by mu
}

type throttleKey struct{ email, addr string }

type throttleBucket struct {
	tokens float64
	at     time.Time
}

func newThrottle() *throttle {
	return &throttle{now: time.Now, buckets: make(map[throttleKey]throttleBucket)}
}

// take uses up one attempt; with none left it returns how long to wait.
func (t *throttle) take(k throttleKey) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	b, ok := t.buckets[k]
	if !ok {
		t.makeRoom(now)
		b = throttleBucket{tokens: throttleBurst, at: now}
	}
	b.tokens = min(throttleBurst, b.tokens+now.Sub(b.at).Seconds()/throttleRefill.Seconds())
	b.at = now
	if b.tokens < 1 {
		wait = time.Duration((1 - b.tokens) * float64(throttleRefill))
	} else {
		b.tokens--
	}
	t.buckets[k] = b
	return wait
}

// forget is called after a success.
func (t *throttle) forget(k throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.buckets, k)
}

// makeRoom drops the buckets that are full again, or an arbitrary one. The
// caller holds mu.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.buckets) < throttleEntries {
		return
	}
	for k, b := range t.buckets {
		if now.Sub(b.at) >= throttleBurst*throttleRefill {
			delete(t.buckets, k)
		}
	}
	for k := range t.buckets {
		if len(t.buckets) < throttleEntries {
			return
		}
		delete(t.buckets, k)
	}
}
