package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
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

func TestLimiter(t *testing.T) {
	l := newLimiter()
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	pair, account := limit{"ana from here", 10, 10 * time.Second}, limit{"ana", 100, time.Minute}
	for i := range 10 {
		if wait := l.take(pair, account); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	if wait := l.take(pair, account); wait != pair.refill {
		t.Errorf("waits %s, want %s", wait, pair.refill)
	}
	if left := l.left(account, now); left != 90 {
		t.Errorf("%g attempts left to the account, want 90: who waits uses up nothing", left)
	}
	if wait := l.take(limit{"ana from elsewhere", 10, 10 * time.Second}, account); wait != 0 {
		t.Errorf("from elsewhere waits %s", wait)
	}
	now = now.Add(pair.refill)
	if wait := l.take(pair); wait != 0 {
		t.Errorf("after a while waits %s", wait)
	}
	l.giveBack(pair)
	if wait := l.take(pair); wait != 0 {
		t.Errorf("after a success waits %s", wait)
	}
	l.giveBack(account, account, account)
	now = now.Add(24 * time.Hour)
	if left := l.left(account, now); left != 100 {
		t.Errorf("%g attempts left, want no more than the burst", left)
	}
	for i := range limitEntries + 10 {
		l.take(limit{time.Duration(i).String(), 1, time.Minute})
	}
	if n := len(l.buckets); n > limitEntries {
		t.Errorf("%d buckets", n)
	}
}

func TestDevicesAreKnownForTheirAccountOnly(t *testing.T) {
	d := NewDevices([]byte("0123456789abcdef0123456789abcdef"))
	w := httptest.NewRecorder()
	d.remember(w, httptest.NewRequest("POST", "/auth/login", nil), "ana@example.com", "hash")
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || !cookie.Secure || cookie.Path != "/auth/" || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %+v", cookie)
	}
	from := func(value string) *http.Request {
		r := httptest.NewRequest("POST", "/auth/login", nil)
		r.AddCookie(&http.Cookie{Name: deviceCookie, Value: value})
		return r
	}
	c, ok := d.read(from(cookie.Value), "ana@example.com")
	if !ok || !d.current(c, "ana@example.com", "hash") || len(c.name) != deviceNonce {
		t.Errorf("not known: %+v, %v", c, ok)
	}
	if d.current(c, "ana@example.com", "another hash") || d.current(c, "ana@example.com", "") {
		t.Error("known with another password")
	}
	w = httptest.NewRecorder()
	if d.remember(w, from(cookie.Value), "ana@example.com", "hash"); len(w.Result().Cookies()) != 0 {
		t.Error("another name for a known browser")
	}
	w = httptest.NewRecorder()
	if d.remember(w, from(cookie.Value), "ana@example.com", "another hash"); len(w.Result().Cookies()) != 1 {
		t.Error("not known with the new password")
	}
	for name, ok := range map[string]bool{
		"another account": second(d.read(from(cookie.Value), "ben@example.com")),
		"another key":     second(NewDevices([]byte("another")).read(from(cookie.Value), "ana@example.com")),
		"cut":             second(d.read(from(cookie.Value[1:]), "ana@example.com")),
		"made up":         second(d.read(from(strings.Repeat("A", len(cookie.Value))), "ana@example.com")),
		"none":            second(d.read(httptest.NewRequest("POST", "/", nil), "ana@example.com")),
	} {
		if ok {
			t.Errorf("%s: known", name)
		}
	}
}

func TestLogInLimits(t *testing.T) {
	passwords := map[string]string{"ana@example.com": "hash"}
	s := &Service{limits: newLimiter(), Devices: NewDevices(make([]byte, 32)), Store: passwordStore{hashes: passwords}}
	now := time.Unix(1000, 0)
	s.limits.now = func() time.Time { return now }
	from := func(addr string) *http.Request {
		r := httptest.NewRequest("POST", "/auth/login", nil)
		return r.WithContext(request.With(r.Context(), &request.Info{ClientAddr: addr}))
	}
	wait := func(r *http.Request, email string) time.Duration {
		limits, err := s.logInLimits(r, email)
		if err != nil {
			t.Fatal(err)
		}
		return s.limits.take(limits...)
	}
	// One account, from many addresses: no more than its own attempts.
	passed := 0
	for i := range 500 {
		if wait(from(fmt.Sprintf("198.51.100.%d", i%250)), "ana@example.com") == 0 {
			passed++
		}
	}
	if passed != 100 {
		t.Errorf("%d attempts on one account, want 100", passed)
	}
	if wait(from("203.0.113.1"), "ana@example.com") == 0 {
		t.Error("another address gets more")
	}
	owner := from("203.0.113.1")
	w := httptest.NewRecorder()
	s.Devices.remember(w, owner, "ana@example.com", "hash")
	owner.AddCookie(w.Result().Cookies()[0])
	if wait(owner, "ana@example.com") != 0 {
		t.Error("the owner waits")
	}
	passwords["ana@example.com"] = "another hash"
	if wait(owner, "ana@example.com") == 0 {
		t.Error("a browser that knew the password of before has attempts of its own")
	}
	// Many accounts from one network.
	passed = 0
	for i := range 200 {
		if wait(from(fmt.Sprintf("2001:db8::%x", i)), fmt.Sprintf("u%d@example.com", i)) == 0 {
			passed++
		}
	}
	if passed != 60 {
		t.Errorf("%d attempts from one network, want 60", passed)
	}
}

// passwordStore knows the hash of each address' password, and nothing else.
type passwordStore struct {
	Store
	hashes map[string]string
}

func (s passwordStore) UserByEmail(_ context.Context, email string) (platform.User, string, error) {
	hash, ok := s.hashes[email]
	if !ok {
		return platform.User{}, "", platform.Errorf(platform.ErrNotFound, "no user")
	}
	return platform.User{ID: email, Email: email}, hash, nil
}

// Before there is a second factor anybody with the password makes as many known
// browsers as they like: codes are no easier to guess from many of them.
func TestKnownBrowsersShareTheirGuessesAtCodes(t *testing.T) {
	s := &Service{limits: newLimiter(), Devices: NewDevices(make([]byte, 32))}
	now := time.Unix(1000, 0)
	s.limits.now = func() time.Time { return now }
	passed := 0
	for range 50 {
		r := httptest.NewRequest("POST", "/auth/login/code", nil)
		w := httptest.NewRecorder()
		s.Devices.remember(w, r, "ana@example.com", "hash")
		r.AddCookie(w.Result().Cookies()[0])
		for range 3 {
			if _, err := s.takeCode(httptest.NewRecorder(), r, platform.User{ID: "ana", Email: "ana@example.com"}, "hash"); err == nil {
				passed++
			}
		}
	}
	if passed != 20 {
		t.Errorf("%d guesses, want 20", passed)
	}
}

func second(_ device, ok bool) bool { return ok }

func TestSessionsEndAfterAMonth(t *testing.T) {
	_, start := newSession(httptest.NewRequest("POST", "/auth/login", nil).WithContext(request.With(t.Context(), &request.Info{ClientAddr: "192.0.2.1"})))
	if left := time.Until(start.ExpiresAt); left > 30*24*time.Hour || left < 30*24*time.Hour-time.Minute {
		t.Errorf("a session is good for %s", left)
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "",
	} {
		if got := network(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestRequireRecent(t *testing.T) {
	b := setupSessions(t)
	ses := b.store.table[b.hash]
	r := gin.New()
	r.POST("/dangerous", RequireRecent(b.Sessions), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for age, want := range map[time.Duration]int{0: 204, RecentAuthentication: 204, RecentAuthentication + time.Second: 403} {
		ses.AuthenticatedAt = b.clock.Add(-age)
		b.store.table[b.hash] = ses
		req := httptest.NewRequest("POST", "/dangerous", nil)
		req.Header.Set("Cookie", CookieName+"="+b.token)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != want || want == 403 && !strings.Contains(w.Body.String(), `"/problems/reauthenticate"`) {
			t.Errorf("authenticated %s ago: %d %s", age, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	if r.ServeHTTP(w, httptest.NewRequest("POST", "/dangerous", nil)); w.Code != 401 {
		t.Errorf("nobody: %d", w.Code)
	}
}

func TestUseOfASessionIsNotedNowAndThen(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	ses := b.store.table[b.hash]
	for _, c := range []struct {
		ago   time.Duration
		noted int
	}{{0, 0}, {platform.SessionSeenEvery - time.Second, 0}, {platform.SessionSeenEvery, 1}} {
		ses.LastSeenAt = b.clock.Add(-c.ago)
		b.store.table[b.hash] = ses
		b.Invalidate(b.hash)
		for range 3 {
			if _, err := b.Lookup(t.Context(), b.hash); err != nil {
				t.Fatal(err)
			}
		}
		if seen := b.TakeSeen(); len(seen) != c.noted {
			t.Errorf("seen %s ago: %d to note, want %d", c.ago, len(seen), c.noted)
		}
	}
	if seen := b.TakeSeen(); len(seen) != 0 {
		t.Error("noted twice")
	}
}
