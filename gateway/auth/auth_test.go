package auth

import (
	"net/url"
	"testing"
	"time"
)

func newTestOrigins(t *testing.T) *Origins {
	t.Helper()
	u, _ := url.Parse("https://app.example.com")
	o, err := NewOrigins(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestThrottle(t *testing.T) {
	th := newThrottle()
	now := time.Unix(1000, 0)
	th.now = func() time.Time { return now }
	k := throttleKey{"ana@example.com", "192.0.2.1"}
	for i := range throttleBurst {
		if wait := th.take(k); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	if wait := th.take(k); wait != throttleRefill {
		t.Errorf("waits %s, want %s", wait, throttleRefill)
	}
	if wait := th.take(throttleKey{"ana@example.com", "192.0.2.2"}); wait != 0 {
		t.Errorf("another address waits %s", wait)
	}
	now = now.Add(throttleRefill)
	if wait := th.take(k); wait != 0 {
		t.Errorf("after a while waits %s", wait)
	}
	th.forget(k)
	if wait := th.take(k); wait != 0 {
		t.Errorf("after a success waits %s", wait)
	}
	for i := range throttleEntries + 10 {
		th.take(throttleKey{"x", time.Duration(i).String()})
	}
	if n := len(th.buckets); n > throttleEntries {
		t.Errorf("%d buckets", n)
	}
}
