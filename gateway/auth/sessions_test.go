package auth

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/metrics"
)

// fakeSessions is a session table that a test can slow down and break.
type fakeSessions struct {
	mu    sync.Mutex
	table map[[32]byte]platform.Session // guarded by mu
	slice platform.Slice                // guarded by mu
	err   error                         // guarded by mu
	reads int                           // guarded by mu
	gate  chan struct{}                 // when set, a read waits for it after it has read
	begun chan struct{}                 // gets one value for each read
}

func (f *fakeSessions) Session(_ context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	f.mu.Lock()
	f.reads++
	ses, ok := f.table[hash]
	slice, err := f.slice, f.err
	f.mu.Unlock()
	if f.gate != nil {
		f.begun <- struct{}{}
		<-f.gate
	}
	switch {
	case err != nil:
		return platform.Session{}, platform.Slice{}, err
	case !ok:
		return platform.Session{}, platform.Slice{}, platform.Errorf(platform.ErrNotFound, "no session")
	}
	return ses, slice, nil
}

func (f *fakeSessions) Sessions(ctx context.Context, hashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	for _, h := range hashes {
		switch ses, slice, err := f.Session(ctx, h); {
		case err == nil:
			each(ses, slice)
		case platform.CodeOf(err) != platform.ErrNotFound:
			return err
		}
	}
	return nil
}

func (f *fakeSessions) count() int { f.mu.Lock(); defer f.mu.Unlock(); return f.reads }

func (f *fakeSessions) remove(hash [32]byte) { f.mu.Lock(); defer f.mu.Unlock(); delete(f.table, hash) }

type sessionsBundle struct {
	*Sessions
	store *fakeSessions
	token string
	hash  [32]byte
	clock time.Time
}

func setupSessions(t testing.TB) *sessionsBundle {
	t.Helper()
	b := &sessionsBundle{token: platform.NewSessionToken(), clock: time.Now()}
	b.hash, _ = platform.HashSessionToken(b.token)
	b.store = &fakeSessions{
		table: map[[32]byte]platform.Session{b.hash: {TokenHash: b.hash, User: platform.User{ID: "ana"}, ExpiresAt: b.clock.Add(time.Hour)}},
		slice: platform.Slice{Number: 7, State: platform.SliceAssigned, Generation: 3},
		begun: make(chan struct{}, 100),
	}
	b.Sessions = NewSessions(b.store, []byte("0123456789abcdef0123456789abcdef"), metrics.New(func() int { return 0 }).SessionCache)
	b.now = func() time.Time { return b.clock }
	return b
}

func (b *sessionsBundle) wantCode(t *testing.T, when string, want platform.ErrorCode) {
	t.Helper()
	id, err := b.Lookup(t.Context(), b.hash)
	if platform.CodeOf(err) != want {
		t.Fatalf("%s: identity %v, error %v; want code %q", when, id, err, want)
	}
}

func (b *sessionsBundle) wantReads(t *testing.T, when string, want int) {
	t.Helper()
	if n := b.store.count(); n != want {
		t.Fatalf("%s: %d reads, want %d", when, n, want)
	}
}

func TestSessionsAreRememberedOnlyWhileChangesAreTold(t *testing.T) {
	b := setupSessions(t)
	b.wantCode(t, "not told yet", "")
	b.wantCode(t, "not told yet", "")
	b.wantReads(t, "not told yet", 2)
	b.Resume()
	b.wantCode(t, "told", "")
	b.wantCode(t, "told", "")
	b.wantReads(t, "told", 3)
	id, _ := b.Lookup(t.Context(), b.hash)
	if id.SliceToken != platform.SliceToken(b.key, 7, 3) || id.Slice.Number != 7 || id.User.ID != "ana" {
		t.Errorf("identity %+v", id)
	}
	b.store.remove(b.hash)
	b.Suspend()
	b.wantCode(t, "not told any more", platform.ErrUnauthenticated)
}

func TestSessionsForget(t *testing.T) {
	for name, forget := range map[string]func(b *sessionsBundle){
		"session ended": func(b *sessionsBundle) { b.Invalidate(b.hash) },
		"user changed":  func(b *sessionsBundle) { b.InvalidateUser("ana") },
		"too old":       func(b *sessionsBundle) { b.clock = b.clock.Add(cacheTTL) },
		"reconnected":   func(b *sessionsBundle) { b.Resume() },
	} {
		t.Run(name, func(t *testing.T) {
			b := setupSessions(t)
			b.Resume()
			b.wantCode(t, "before", "")
			b.store.remove(b.hash)
			b.InvalidateUser("ben")
			b.wantCode(t, "still remembered", "")
			forget(b)
			b.wantCode(t, "after", platform.ErrUnauthenticated)
			if len(b.entries) != 0 && name != "too old" || len(b.byUser) > len(b.entries) {
				t.Errorf("left: %v %v", b.entries, b.byUser)
			}
		})
	}
}

// Who is at work never waits for the database; whoever is not is forgotten.
func TestSessionsInUseAreReadAheadOfTime(t *testing.T) {
	b := setupSessions(t)
	idle := [32]byte{1}
	b.store.table[idle] = platform.Session{TokenHash: idle, User: platform.User{ID: "ben"}, ExpiresAt: b.clock.Add(time.Hour)}
	b.Resume()
	b.wantCode(t, "first", "")
	if _, err := b.Lookup(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	renew := func() {
		t.Helper()
		if err := b.Renew(t.Context()); err != nil {
			t.Error(err)
		}
	}
	b.clock = b.clock.Add(cacheTTL - renewBefore)
	b.wantCode(t, "in use", "")
	renew()
	b.wantReads(t, "not due yet", 2)
	b.store.slice.Number = 8
	for range 3 {
		b.clock = b.clock.Add(RenewEvery)
		renew()
		b.wantReads(t, "one is in use", 3)
	}
	if id, err := b.Lookup(t.Context(), b.hash); err != nil || id.Slice.Number != 8 || id.SliceToken != platform.SliceToken(b.key, 8, 3) {
		t.Errorf("identity %+v, %v; want what was read", id, err)
	}
	b.wantReads(t, "one is remembered", 3)
	if _, err := b.Lookup(t.Context(), idle); err != nil {
		t.Fatal(err)
	}
	b.wantReads(t, "the idle one is not", 4)

	// What ended, and nobody said so, is forgotten no later than without.
	b.store.remove(b.hash)
	b.clock = b.clock.Add(cacheTTL - renewBefore)
	b.wantCode(t, "still remembered", "")
	renew()
	b.wantCode(t, "read ahead of time", platform.ErrUnauthenticated)
}

// Nobody who left is kept logged in by it, and who stays is noted as using the session.
func TestReadAheadFollowsUse(t *testing.T) {
	b := setupSessions(t)
	ses := b.store.table[b.hash]
	ses.LastSeenAt = b.clock.Add(-time.Hour)
	b.store.table[b.hash] = ses
	b.Resume()
	b.wantCode(t, "first", "")
	b.TakeSeen()
	b.wantCode(t, "in use", "")
	for range 120 {
		b.clock = b.clock.Add(RenewEvery)
		if err := b.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.wantReads(t, "used once since the first", 2)
	if seen := b.TakeSeen(); len(seen) != 1 || seen[0] != b.hash {
		t.Errorf("seen %x", seen)
	}
	if len(b.entries) != 0 || len(b.byUser) != 0 {
		t.Errorf("left: %v %v", b.entries, b.byUser)
	}
}

// All that are due are read, and belong to their users as before.
func TestReadAheadOfMany(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	const n = renewBatch + 1
	for i := range n {
		hash := [32]byte{1, byte(i), byte(i >> 8)}
		b.store.table[hash] = platform.Session{TokenHash: hash, User: platform.User{ID: "ben"}, ExpiresAt: b.clock.Add(time.Hour)}
		for range 2 {
			if _, err := b.Lookup(t.Context(), hash); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.clock = b.clock.Add(cacheTTL - RenewEvery)
	if err := b.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantReads(t, "ahead of time", 2*n)
	if due, over := b.due(); len(due)+len(over) > 0 || len(b.entries) != n {
		t.Errorf("%d due, %d over, of %d", len(due), len(over), len(b.entries))
	}
	b.InvalidateUser("ben")
	if len(b.entries) != 0 || len(b.byUser) != 0 {
		t.Errorf("left: %d of %d users", len(b.entries), len(b.byUser))
	}
}

// What changes while sessions are read ahead of time is not overwritten by what was read.
func TestReadAheadThatAChangeOvertakes(t *testing.T) {
	for name, change := range map[string]func(b *sessionsBundle){
		"session ended": func(b *sessionsBundle) { b.Invalidate(b.hash) },
		"user changed":  func(b *sessionsBundle) { b.InvalidateUser("ana") },
		"reconnected":   func(b *sessionsBundle) { b.Suspend(); b.Resume() },
		"not told":      func(b *sessionsBundle) { b.Suspend() },
		"ended, and read again": func(b *sessionsBundle) {
			b.Invalidate(b.hash)
			b.remember(&cacheEntry{Identity: Identity{
				Session: b.hash, User: platform.User{ID: "ana", Blocked: true}, ExpiresAt: b.clock.Add(time.Hour),
			}}, b.epoch)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setupSessions(t)
			b.Resume()
			b.wantCode(t, "first", "")
			b.wantCode(t, "in use", "")
			b.clock = b.clock.Add(cacheTTL - RenewEvery)
			b.store.gate = make(chan struct{})
			done := make(chan error, 1)
			go func() { done <- b.Renew(t.Context()) }()
			<-b.store.begun
			b.store.remove(b.hash)
			change(b)
			close(b.store.gate)
			if err := <-done; err != nil {
				t.Error(err)
			}
			b.store.gate = nil
			want := platform.ErrUnauthenticated
			if name == "ended, and read again" {
				want = platform.ErrForbidden // as it was read
			}
			b.wantCode(t, "after", want)
		})
	}
}

// While the database cannot be read, what is remembered is good for its time.
func TestReadAheadFails(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	b.wantCode(t, "first", "")
	b.wantCode(t, "in use", "")
	b.clock = b.clock.Add(cacheTTL - RenewEvery)
	b.store.err = errors.New("connection refused")
	if b.Renew(t.Context()) == nil {
		t.Error("renewed")
	}
	b.wantCode(t, "remembered", "")
	b.clock = b.clock.Add(RenewEvery)
	b.wantCode(t, "not any more", platform.ErrUnavailable)
}

func TestExpiredSessionIsNotServedFromTheCache(t *testing.T) {
	b := setupSessions(t)
	ses := b.store.table[b.hash]
	ses.ExpiresAt = b.clock.Add(10 * time.Second)
	b.store.table[b.hash] = ses
	b.Resume()
	b.wantCode(t, "before", "")
	b.store.remove(b.hash) // the database does not return expired ones
	b.clock = b.clock.Add(10 * time.Second)
	b.wantCode(t, "after", platform.ErrUnauthenticated)
}

// What was read before a session ended is not remembered after it.
func TestReadThatTheEndOfASessionOvertakes(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	b.store.gate = make(chan struct{})
	done := make(chan error, 1)
	go func() { _, err := b.Lookup(t.Context(), b.hash); done <- err }()
	<-b.store.begun
	b.store.remove(b.hash)
	b.Invalidate(b.hash)
	// Somebody who asks now does not join the read that began before.
	late := make(chan error, 1)
	go func() { _, err := b.Lookup(t.Context(), b.hash); late <- err }()
	<-b.store.begun
	close(b.store.gate)
	if err := <-done; err != nil {
		t.Errorf("asked before: %v", err)
	}
	if err := <-late; platform.CodeOf(err) != platform.ErrUnauthenticated {
		t.Errorf("asked after: %v", err)
	}
	b.store.gate = nil
	b.wantCode(t, "later", platform.ErrUnauthenticated)
}

func TestManyAskOnce(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	b.store.gate = make(chan struct{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := b.Lookup(t.Context(), b.hash); err != nil {
				t.Error(err)
			}
		})
	}
	<-b.store.begun
	// One who leaves does not take the others along.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Lookup(gone, b.hash); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(b.store.gate)
	wg.Wait()
	b.wantReads(t, "50 at once", 1)
}

func TestDatabaseDown(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	b.store.err = errors.New("connection refused")
	b.wantCode(t, "down", platform.ErrUnavailable) // not logged out
	b.store.err = nil
	b.wantCode(t, "up", "")
}

func TestCacheIsBounded(t *testing.T) {
	b := setupSessions(t)
	b.Resume()
	for i := range cacheEntries + 10 {
		id := Identity{Session: [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, User: platform.User{ID: "u"}}
		b.remember(&cacheEntry{Identity: id}, b.epoch)
	}
	of := 0
	for e := b.byUser["u"]; e != nil; e = e.next {
		of++
	}
	if len(b.entries) != cacheEntries || of != cacheEntries {
		t.Errorf("%d entries, %d of the user, want %d", len(b.entries), of, cacheEntries)
	}
}

// Whatever comes and goes, in whatever order: each user's sessions are known to be theirs.
func TestSessionsBelongToTheirUsers(t *testing.T) {
	const seed = 3
	random := rand.New(rand.NewPCG(seed, 0))
	b := setupSessions(t)
	b.Resume()
	users := []string{"ana", "ben", "eva"}
	want := make(map[[32]byte]string)
	for range 5000 {
		hash, user := [32]byte{byte(random.IntN(12))}, users[random.IntN(len(users))]
		before := slices.Collect(maps.Values(b.entries))
		switch random.IntN(24) {
		case 0:
			b.Resume()
			clear(want)
		case 1, 2:
			b.InvalidateUser(user)
			maps.DeleteFunc(want, func(_ [32]byte, u string) bool { return u == user })
		case 3, 4, 5, 6, 7:
			b.Invalidate(hash)
			delete(want, hash)
		default:
			b.remember(&cacheEntry{Identity: Identity{Session: hash, User: platform.User{ID: user}}}, b.epoch)
			want[hash] = user
		}
		for _, e := range before {
			if b.entries[e.Session] != e && (e.next != nil || e.previous != nil) {
				t.Fatal("one that is forgotten leads to others")
			}
		}
		got := make(map[[32]byte]string)
		for user, e := range b.byUser {
			for before := (*cacheEntry)(nil); e != nil; before, e = e, e.next {
				if e.previous != before || b.entries[e.Session] != e || e.User.ID != user {
					t.Fatalf("not where it belongs: %+v", e)
				}
				got[e.Session] = user
			}
		}
		if !maps.Equal(got, want) || len(b.entries) != len(want) {
			t.Fatalf("%v of %d, want %v", got, len(b.entries), want)
		}
	}
}

// Text that is put together is not mixed up.
func TestIdentityHasAllThatWasRead(t *testing.T) {
	b := setupSessions(t)
	ses := platform.Session{
		ID: "session", TokenHash: b.hash, User: platform.User{ID: "user", Email: "ana@example.com", Role: platform.RoleUser},
		ImpersonatorID: "admin", Scope: platform.ScopeRead, ExpiresAt: b.clock.Add(time.Hour), LastSeenAt: b.clock,
	}
	slice := platform.Slice{Number: 7, Generation: 3, State: platform.SliceHeld, UserID: "user too", Failure: "too little memory"}
	want := Identity{
		Session: b.hash, SessionID: "session", ExpiresAt: ses.ExpiresAt, User: ses.User, ImpersonatorID: "admin", Slice: slice,
		Scope: platform.ScopeRead, SliceToken: platform.SliceToken(b.key, 7, 3),
	}
	if got := b.identify(ses, slice).Identity; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.identify(platform.Session{}, platform.Slice{}).Identity; got != (Identity{}) {
		t.Errorf("%+v, want nothing", got)
	}
}

func TestSessionToken(t *testing.T) {
	for want, lines := range map[string][]string{
		"":    {"", "a=b; c", "x__Host-session=abc", "__host-session=abc", "__Host-session"},
		"abc": {"__Host-session=abc", "a=b; __Host-session=abc; c=d", "a=b;__Host-session=abc"},
	} {
		for _, line := range lines {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", line)
			if got := SessionToken(r); got != want {
				t.Errorf("%q: token %q, want %q", line, got, want)
			}
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := setupSessions(b)
	s.Resume()
	r := httptest.NewRequest("GET", "/api/chats", nil)
	r.Header.Set("Cookie", "theme=dark; "+CookieName+"="+s.token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOrigins(t *testing.T) {
	o := newTestOrigins(t)
	for _, c := range []struct {
		origin  string
		allowed bool
	}{
		{"", true}, {"https://app.example.com", true}, {"https://127.0.0.1:8443", true},
		{"https://evil.example", false}, {"null", false}, {"https://app.example.com.evil.example", false}, {"http://app.example.com:81", false},
		{"http://app.example.com", false}, {"http://127.0.0.1:8443", false},
	} {
		r := httptest.NewRequest("GET", "https://127.0.0.1:8443/socket.io/", nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if err := o.CheckWebSocket(r); (err == nil) != c.allowed {
			t.Errorf("WebSocket from %q: %v", c.origin, err)
		}
		r.Method = http.MethodPost
		if err := o.Check(r); (err == nil) != c.allowed {
			t.Errorf("POST from %q: %v", c.origin, err)
		}
	}
}
