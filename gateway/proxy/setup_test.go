package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/downstream"
	"ipnoelp.io/platform/gateway/metrics"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/sockets"
	"ipnoelp.io/platform/problem"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// fakeSlice keeps the slice's contract: number, then token, then the request.
type fakeSlice struct {
	number int
	srv    *httptest.Server
	handle http.HandlerFunc // after the checks

	mu       sync.Mutex
	requests []*http.Request // guarded by mu; those that passed
	bodies   []string        // guarded by mu
	strays   int             // guarded by mu; answered 421
}

func newFakeSlice(t testing.TB, number int, handle http.HandlerFunc) *fakeSlice {
	t.Helper()
	s := &fakeSlice{number: number, handle: handle}
	s.srv = httptest.NewServer(s)
	t.Cleanup(s.srv.Close)
	return s
}

func (s *fakeSlice) addr() string { return s.srv.Listener.Addr().String() }

func (s *fakeSlice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(platform.HeaderSliceNumber) != fmt.Sprint(s.number) {
		s.mu.Lock()
		s.strays++
		s.mu.Unlock()
		problem.Write(w, platform.Errorf(platform.ErrMisdirected, "not me"))
		return
	}
	if r.Header.Get(platform.HeaderSliceToken) != platform.SliceToken(testKey, s.number, 1) {
		problem.Write(w, platform.Errorf(platform.ErrUnauthenticated, "wrong token"))
		return
	}
	var body []byte
	if r.Header.Get("Upgrade") == "" {
		body, _ = io.ReadAll(r.Body)
	}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	if s.handle != nil {
		s.handle(w, r)
		return
	}
	fmt.Fprintf(w, "secret of slice %d", s.number)
}

func (s *fakeSlice) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		t.Fatalf("slice %d got no request", s.number)
	}
	return s.requests[len(s.requests)-1], s.bodies[len(s.bodies)-1]
}

func (s *fakeSlice) counts() (served, strays int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests), s.strays
}

// fakeResolver has what a table holds, possibly out of date, and the truth.
type fakeResolver struct {
	mu    sync.Mutex
	table map[int]string // guarded by mu
	truth map[int]string // guarded by mu
	asked int            // guarded by mu
}

func (r *fakeResolver) Resolve(_ context.Context, number int) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if a, ok := r.table[number]; ok {
		return a, nil
	}
	if a, ok := r.truth[number]; ok {
		r.table[number] = a
		return a, nil
	}
	return "", platform.Errorf(platform.ErrUnavailable, "Your workspace is starting.")
}

func (r *fakeResolver) Invalidate(number int, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.table[number] == addr {
		delete(r.table, number)
	}
}

// fakeAuth takes the session cookie's value as the user's id.
type fakeAuth struct {
	mu          sync.Mutex
	users       map[string]*auth.Identity // guarded by mu
	invalidated []string                  // guarded by mu
}

func (a *fakeAuth) Authenticate(r *http.Request) (*auth.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, err := r.Cookie(auth.CookieName); err == nil {
		if id, ok := a.users[c.Value]; ok {
			return id, nil
		}
	}
	return nil, platform.Errorf(platform.ErrUnauthenticated, "Log in first.")
}

func (a *fakeAuth) InvalidateUser(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.invalidated = append(a.invalidated, id)
}

func (a *fakeAuth) remove(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.users, id)
}

// sessionsEnd is when the time of all sessions is over.
var sessionsEnd = time.Now().Add(time.Hour)

func identity(user string, number int, state platform.SliceState) *auth.Identity {
	return &auth.Identity{
		Session:    [32]byte{byte(number)},
		EndsAt:     sessionsEnd,
		User:       platform.User{ID: user, Email: user + "@example.com", Role: platform.RoleUser},
		Slice:      platform.Slice{Number: number, State: state, Generation: 1, UserID: user},
		SliceToken: platform.SliceToken(testKey, number, 1),
	}
}

// testBundle is a proxy behind a server, with ana on slice 7 and ben on 9.
type testBundle struct {
	proxy    *Proxy
	url      string
	auth     *fakeAuth
	resolver *fakeResolver
	sockets  *sockets.Registry
	infos    chan *request.Info // of requests that ended
}

func setup(t testing.TB, slices ...*fakeSlice) *testBundle {
	t.Helper()
	return setupWith(t, Limits{Requests: 64, Rate: 1000, Burst: 1000}, slices...)
}

func setupWith(t testing.TB, limits Limits, slices ...*fakeSlice) *testBundle {
	t.Helper()
	b := &testBundle{
		auth: &fakeAuth{users: map[string]*auth.Identity{
			"ana": identity("ana", 7, platform.SliceAssigned), "ben": identity("ben", 9, platform.SliceAssigned),
		}},
		resolver: &fakeResolver{table: map[int]string{}, truth: map[int]string{}},
		sockets:  sockets.NewRegistry(),
		infos:    make(chan *request.Info, 100),
	}
	for _, s := range slices {
		b.resolver.truth[s.number] = s.addr()
	}
	public, _ := url.Parse("https://app.example.com")
	origins, err := auth.NewOrigins(public)
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{
		PublicURL: public, Auth: b.auth, Resolver: b.resolver, Origins: origins,
		Sockets: b.sockets, Limits: limits, Metrics: metrics.New(b.sockets.Len), Log: slog.New(slog.DiscardHandler),
	})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := &request.Info{ID: "request-1", ClientAddr: "192.0.2.1"}
		w.Header().Set(platform.HeaderRequestID, info.ID)
		detached := false
		info.Detach = func() func(int64) {
			detached = true
			return func(int64) { b.infos <- info }
		}
		defer func() {
			if !detached {
				b.infos <- info
			}
		}()
		p.ServeHTTP(detaching{w}, r.WithContext(request.With(r.Context(), info)))
	}))
	// As in the gateway: its timeouts, and plain requests do not come to net/http.
	srv.Config.ReadHeaderTimeout, srv.Config.IdleTimeout = 10*time.Second, 180*time.Second
	clients := downstream.NewListener(srv.Listener, srv.Config, "/api/", "/socket.io/")
	srv.Listener = clients
	srv.Start()
	watching, stop := context.WithCancel(context.Background())
	go clients.Watch(watching)
	t.Cleanup(func() { srv.Close(); p.Close(); stop() })
	b.url, b.proxy = srv.URL, p
	return b
}

// detaching is an answer whose connection leaves the listener when it is taken.
type detaching struct{ http.ResponseWriter }

func (d detaching) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d detaching) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(d.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return downstream.Detach(conn), rw, nil
}

// do sends a request as a user.
func (b *testBundle) do(t *testing.T, user, method, path string, body io.Reader, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if user != "" {
		req.Header.Add("Cookie", "theme=dark; "+auth.CookieName+"="+user+"; lang=en")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(got)
}

func wantProblem(t *testing.T, res *http.Response, body string, status int) {
	t.Helper()
	var d problem.Details
	if err := json.Unmarshal([]byte(body), &d); err != nil || res.StatusCode != status || d.Status != status ||
		res.Header.Get("Content-Type") != problem.ContentType || d.Detail == "" {
		t.Errorf("answer %d %s %q, want problem details with status %d", res.StatusCode, res.Header.Get("Content-Type"), body, status)
	}
	if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "dial") {
		t.Errorf("the answer shows internals: %s", body)
	}
}
