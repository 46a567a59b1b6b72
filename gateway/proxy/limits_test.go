package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

// Each slice has its own share: one that is full takes nothing from another.
func TestRequestsAtOnce(t *testing.T) {
	gate := make(chan struct{})
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) { <-gate })
	nine := newFakeSlice(t, 9, nil)
	b := setupWith(t, Limits{Requests: 2, Rate: 1000, Burst: 1000}, seven, nine)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { b.do(t, "ana", "GET", "/api/x", nil, nil) })
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, _ := seven.counts(); n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the slice did not get two requests")
		}
	}
	res, body := b.do(t, "ana", "GET", "/api/x", nil, nil)
	wantProblem(t, res, body, http.StatusTooManyRequests)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if res, _ := b.do(t, "ben", "GET", "/api/x", nil, nil); res.StatusCode != 200 {
		t.Errorf("the other slice: %d", res.StatusCode)
	}
	close(gate)
	wg.Wait()
	if res, _ := b.do(t, "ana", "GET", "/api/x", nil, nil); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}

func TestRate(t *testing.T) {
	now := time.Now()
	l := newLimits(Limits{Requests: 10, Rate: 2, Burst: 3})
	l.now = func() time.Time { return now }
	take := func() bool {
		c, seconds, err := l.enter(7)
		if err != nil {
			if platform.CodeOf(err) != platform.ErrTooMany || seconds != 1 {
				t.Errorf("%v after %d s", err, seconds)
			}
			return false
		}
		l.leave(c)
		return true
	}
	for i := range 3 {
		if !take() {
			t.Errorf("request %d of the burst is refused", i+1)
		}
	}
	if take() {
		t.Error("a request above the burst is admitted")
	}
	now = now.Add(time.Second)
	if n := admitted(take); n != 2 {
		t.Errorf("a second is worth %d requests, want 2", n)
	}
	now = now.Add(time.Hour)
	if n := admitted(take); n != 3 {
		t.Errorf("an hour is worth %d requests, want one burst of 3", n)
	}
}

// admitted counts how many requests are taken before one is not.
func admitted(take func() bool) (n int) {
	for take() {
		n++
	}
	return n
}

// What nobody uses is not remembered.
func TestLimitsForget(t *testing.T) {
	now := time.Now()
	l := newLimits(Limits{Requests: 10, Rate: 1, Burst: 10})
	l.now = func() time.Time { return now }
	for n := range 1000 {
		c, _, err := l.enter(n)
		if err != nil {
			t.Fatal(err)
		}
		if n != 500 {
			l.leave(c)
		}
	}
	now = now.Add(forgetAfter)
	if _, _, err := l.enter(2000); err != nil || l.slices.Len() != 1001 {
		t.Errorf("%d slices are remembered, %v; want all for a minute", l.slices.Len(), err)
	}
	now = now.Add(forgetAfter)
	if _, _, err := l.enter(2000); err != nil {
		t.Error(err)
	}
	if n := l.slices.Len(); n != 2 {
		t.Errorf("%d slices are remembered, want the busy one and the current one", n)
	}
}

// It is looked for once a minute, and what is still worth something is kept.
func TestLimitsForgetNothingTooEarly(t *testing.T) {
	now := time.Now()
	l := newLimits(Limits{Requests: 10, Rate: 0.01, Burst: 10})
	l.now = func() time.Time { return now }
	enter := func(number int) *sliceCount {
		t.Helper()
		c, _, err := l.enter(number)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	known := func(number int) bool { return l.slices.Get(number) != nil }
	enter(1)
	now = now.Add(time.Second)
	l.leave(enter(7)) // its token is back after 100 s
	failed := enter(8)
	l.learn(failed, outcomeFailed)
	l.leave(failed)
	now = now.Add(forgetAfter + time.Second)
	enter(1)
	if !known(7) {
		t.Error("one whose share is not whole again was forgotten")
	}
	now = now.Add(forgetAfter - time.Second)
	enter(1)
	if !known(7) {
		t.Error("looked for twice in a minute")
	}
	now = now.Add(time.Second)
	enter(1)
	if known(7) || !known(8) {
		t.Errorf("7 is known: %t, want not; 8, which failed: %t, want so", known(7), known(8))
	}
	now = now.Add(forgetFailures)
	enter(1)
	if known(8) {
		t.Error("one that failed is remembered for ever")
	}
}

// Each request to a slice that hangs takes longer than what is as new is kept.
func TestBreakerOfASliceThatHangs(t *testing.T) {
	now := time.Now()
	l := newLimits(Limits{Requests: 10, Rate: 1000, Burst: 1000})
	l.now = func() time.Time { return now }
	for range breakerFailures {
		c, _, err := l.enter(7)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.allow(c); err != nil {
			t.Fatal(err)
		}
		now = now.Add(headerTimeout + headerTimeout/12)
		l.learn(c, outcomeFailed)
		l.leave(c)
	}
	c, _, err := l.enter(7)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.allow(c); !errors.Is(err, errFailing) || l.failing() != 1 {
		t.Errorf("after %d requests without an answer: %v", breakerFailures, err)
	}
}

// A slice that fails is left alone, but for one probe now and then; once it
// answers, all is as before.
func TestBreaker(t *testing.T) {
	now := time.Now()
	l := newLimits(Limits{Requests: 10, Rate: 1000, Burst: 1000})
	l.now = func() time.Time { return now }
	seven, _, err := l.enter(7)
	if err != nil {
		t.Fatal(err)
	}
	eight, _, err := l.enter(8)
	if err != nil {
		t.Fatal(err)
	}
	for range breakerFailures {
		if err := l.allow(seven); err != nil {
			t.Fatal(err)
		}
		l.learn(seven, outcomeFailed)
	}
	if err := l.allow(seven); !errors.Is(err, errFailing) {
		t.Fatalf("after the failures: %v", err)
	}
	if err := l.allow(eight); err != nil {
		t.Errorf("another slice: %v", err)
	}
	now = now.Add(breakerPause)
	if l.allow(seven) != nil || l.allow(seven) == nil {
		t.Error("not exactly one probe")
	}
	l.learn(seven, outcomeFailed)
	if l.allow(seven) == nil {
		t.Error("allowed after a probe that failed")
	}
	now = now.Add(breakerPause)
	if err := l.allow(seven); err != nil {
		t.Error(err)
	}
	l.learn(seven, outcomeAnswered)
	if l.allow(seven) != nil || l.failing() != 0 {
		t.Error("still left alone after an answer")
	}
}

// The same through the proxy: a slice that closes every connection, and comes
// back.
func TestFailingSlice(t *testing.T) {
	var mu sync.Mutex
	broken := true
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			panic(http.ErrAbortHandler)
		}
	})
	b := setup(t, seven)
	clock := time.Now()
	b.proxy.limits.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	for range breakerFailures {
		res, body := b.do(t, "ana", "POST", "/api/x", nil, nil)
		wantProblem(t, res, body, http.StatusBadGateway)
	}
	before, _ := seven.counts()
	res, body := b.do(t, "ana", "POST", "/api/x", nil, http.Header{"Accept": {"text/html"}})
	wantProblem(t, res, body, http.StatusServiceUnavailable)
	res, body = b.do(t, "ana", "GET", "/api/x", nil, http.Header{"Accept": {"text/html"}})
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "<h1>Your workspace does not answer</h1>") {
		t.Errorf("page: %d %s", res.StatusCode, body)
	}
	if after, _ := seven.counts(); after != before {
		t.Errorf("the slice got %d more requests", after-before)
	}
	mu.Lock()
	broken = false
	clock = clock.Add(breakerPause)
	mu.Unlock()
	for range 3 {
		if res, _ := b.do(t, "ana", "GET", "/api/x", nil, nil); res.StatusCode != 200 {
			t.Errorf("once it is back: %d", res.StatusCode)
		}
	}
}

// What is the client's own doing says nothing about the slice.
func TestClientFaultsAreNotTheSlices(t *testing.T) {
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	for range 2 * breakerFailures {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/x HTTP/1.1\r\nHost: x\r\nCookie: __Host-session=ana\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		_, _ = io.ReadAll(conn)
		conn.Close()
		<-b.infos
	}
	if res, _ := b.do(t, "ana", "GET", "/api/x", nil, nil); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}
