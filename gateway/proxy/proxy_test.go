package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

func identity(user string, number int, state platform.SliceState) *auth.Identity {
	return &auth.Identity{
		Session:    [32]byte{byte(number)},
		User:       platform.User{ID: user, Email: user + "@example.com", Role: platform.RoleUser},
		Slice:      platform.Slice{Number: number, State: state, Generation: 1, UserID: user},
		SliceToken: platform.SliceToken(testKey, number, 1),
	}
}

// testBundle is a proxy behind a server, with ana on slice 7 and ben on 9.
type testBundle struct {
	url      string
	auth     *fakeAuth
	resolver *fakeResolver
	sockets  *sockets.Registry
	infos    chan *request.Info // of requests that ended
}

func setup(t testing.TB, slices ...*fakeSlice) *testBundle {
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
		Sockets: b.sockets, Metrics: metrics.New(b.sockets.Len), Log: slog.New(slog.DiscardHandler),
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := &request.Info{ID: "request-1", ClientAddr: "192.0.2.1"}
		w.Header().Set(platform.HeaderRequestID, info.ID)
		defer func() { b.infos <- info }()
		p.ServeHTTP(w, r.WithContext(request.With(r.Context(), info)))
	}))
	t.Cleanup(func() { srv.Close(); p.Close() })
	b.url = srv.URL
	return b
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

func TestEachUserReachesOnlyTheirSlice(t *testing.T) {
	seven, nine := newFakeSlice(t, 7, nil), newFakeSlice(t, 9, nil)
	b := setup(t, seven, nine)
	tricks := []http.Header{
		{},
		{"X-Slice-Number": {"9"}, "X-Slice-Token": {platform.SliceToken(testKey, 9, 1)}, "X-User-Id": {"ben"}, "X-User-Email": {"ben@example.com"}},
		{"x-slice-number": {"9"}, "X_Slice_Number": {"9"}, "X_user_id": {"ben"}},
		{"Connection": {"X-Slice-Number, X-Slice-Token, X-User-Id, X-User-Email, X-Request-Id"}},
		{"X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-User": {"ben"}},
		{"X-Request-Id": {"made-up"}, "X-User-Role": {"admin"}},
	}
	for i, h := range tricks {
		res, body := b.do(t, "ana", "GET", "/api/chats?slice=9", nil, h)
		if res.StatusCode != 200 || body != "secret of slice 7" {
			t.Fatalf("trick %d: %d %q", i, res.StatusCode, body)
		}
		r, _ := seven.last(t)
		want := map[string]string{
			"X-Slice-Number": "7", "X-User-Id": "ana", "X-User-Email": "ana@example.com", "X-Request-Id": "request-1",
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com",
			"X-Real-Ip": "", "Forwarded": "", "X-User-Role": "", "X-Forwarded-User": "",
			"Cookie": "theme=dark; lang=en",
		}
		for name, v := range want {
			if got := strings.Join(r.Header.Values(name), ","); got != v {
				t.Errorf("trick %d: %s is %q, want %q", i, name, got, v)
			}
		}
		for name := range r.Header {
			if strings.Contains(name, "_") {
				t.Errorf("trick %d: %s went through", i, name)
			}
		}
		if r.Host != "app.example.com" {
			t.Errorf("trick %d: Host is %q", i, r.Host)
		}
	}
	if served, strays := nine.counts(); served != 0 || strays != 0 {
		t.Errorf("slice 9 got %d requests and %d strays", served, strays)
	}
	for _, user := range []string{"", "nobody"} {
		res, body := b.do(t, user, "GET", "/api/chats", nil, nil)
		wantProblem(t, res, body, 401)
	}
}

// Slice 7's old address now belongs to slice 9.
func TestReusedPort(t *testing.T) {
	for _, c := range []struct {
		name, method, body string
		chunked            bool
		status             int
	}{
		{"no body", "GET", "", false, 200},
		{"small body", "POST", `{"text":"hi"}`, false, 200},
		{"streamed body", "POST", strings.Repeat("x", 300<<10), true, 502}, // sent once, not again
	} {
		t.Run(c.name, func(t *testing.T) {
			seven, nine := newFakeSlice(t, 7, nil), newFakeSlice(t, 9, nil)
			b := setup(t, seven, nine)
			b.resolver.table[7] = nine.addr()
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			if c.chunked {
				body = io.MultiReader(body) // of unknown length
			}
			res, got := b.do(t, "ana", c.method, "/api/chats", body, nil)
			if res.StatusCode != c.status || strings.Contains(got, "slice 9") {
				t.Fatalf("answer %d %q, want %d", res.StatusCode, got, c.status)
			}
			if served, strays := nine.counts(); served != 0 || strays != 1 {
				t.Errorf("slice 9 read %d requests and refused %d, want 0 and 1", served, strays)
			}
			if c.status == 200 {
				if _, sent := seven.last(t); sent != c.body {
					t.Errorf("slice 7 got %q", sent)
				}
				return
			}
			wantProblem(t, res, got, c.status)
			// The wrong address is forgotten all the same.
			if res, got := b.do(t, "ana", "GET", "/api/chats", nil, nil); res.StatusCode != 200 || got != "secret of slice 7" {
				t.Errorf("next request: %d %q", res.StatusCode, got)
			}
		})
	}
}

func TestDialErrorResolvesAgain(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	b.resolver.table[7] = dead.Addr().String()
	big := strings.Repeat("x", 300<<10)
	res, _ := b.do(t, "ana", "POST", "/api/chats", io.MultiReader(strings.NewReader(big)), nil)
	if _, sent := seven.last(t); res.StatusCode != 200 || sent != big {
		t.Fatalf("answer %d, slice got %d bytes", res.StatusCode, len(sent))
	}
	// Nobody at the only address there is.
	b.resolver.truth[9] = dead.Addr().String()
	res, body := b.do(t, "ben", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 502)
	// Nowhere at all.
	delete(b.resolver.truth, 9)
	b.resolver.Invalidate(9, dead.Addr().String())
	res, body = b.do(t, "ben", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestSliceRefusesTheToken(t *testing.T) {
	b := setup(t, newFakeSlice(t, 7, nil))
	b.auth.users["ana"].SliceToken = platform.SliceToken(testKey, 7, 2)
	res, body := b.do(t, "ana", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 503) // not 401: the client's own session is fine
	if len(b.auth.invalidated) != 1 || b.auth.invalidated[0] != "ana" {
		t.Errorf("invalidated %v", b.auth.invalidated)
	}
}

func TestStatesWithoutASlice(t *testing.T) {
	b := setup(t)
	b.auth.users["queued"] = identity("queued", 0, "")
	for _, st := range []platform.SliceState{platform.SliceHeld, platform.SliceSuspended, platform.SliceRetiring} {
		b.auth.users[string(st)] = identity(string(st), 3, st)
	}
	admin := identity("admin", 0, "")
	admin.User.Role = platform.RoleAdmin
	b.auth.users["admin"] = admin
	for user, status := range map[string]int{"queued": 503, "held": 503, "suspended": 503, "retiring": 503, "admin": 403} {
		res, body := b.do(t, user, "GET", "/api/chats", nil, nil)
		wantProblem(t, res, body, status)
		if status != 503 {
			continue
		}
		if res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", user)
		}
		res, body = b.do(t, user, "GET", "/api/chats", nil, http.Header{"Accept": {"text/html,*/*"}})
		if res.StatusCode != 503 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "<h1>") {
			t.Errorf("%s: no page: %d %s", user, res.StatusCode, body)
		}
	}
	if b.resolver.asked != 0 {
		t.Error("a slice was looked up")
	}
}

func TestAnswersOfASlice(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "crm=1; Path=/")
		h.Add("Set-Cookie", auth.CookieName+"=stolen; Path=/; Secure")
		h.Add("Set-Cookie", "  __host-session =stolen; Path=/; Secure")
		h.Add("Set-Cookie", "=__Host-session=stolen; Path=/; Secure")
		h.Set("X-Request-Id", "the slice's")
		h.Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.URL.RawQuery)
		h.Set("X-Sum", "42")
	})
	b := setup(t, seven)
	const query = "a=1;b=2&c=%zz&d"
	res, body := b.do(t, "ana", "GET", "/api/a%2Fb/../c?"+query, nil, nil)
	if res.StatusCode != http.StatusTeapot || body != query {
		t.Errorf("answer %d %q", res.StatusCode, body)
	}
	if got := res.Header.Values("Set-Cookie"); len(got) != 1 || got[0] != "crm=1; Path=/" {
		t.Errorf("Set-Cookie %q", got)
	}
	if got := res.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != "request-1" {
		t.Errorf("X-Request-Id %q", got)
	}
	if res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("trailer %v", res.Trailer)
	}
	if r, _ := seven.last(t); r.URL.EscapedPath() != "/api/a%2Fb/../c" {
		t.Errorf("path %q", r.URL.EscapedPath())
	}
}

func TestRefusedRequests(t *testing.T) {
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	cases := []struct {
		name, method string
		header       http.Header
		body         io.Reader
		status       int
	}{
		{"another site", "POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, nil, 403},
		{"another site, old browser", "DELETE", http.Header{"Origin": {"https://evil.example"}}, nil, 403},
		{"sibling site", "POST", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://x.example.com"}}, nil, 403},
		{"trace", "TRACE", nil, nil, 405},
		{"too large, announced", "POST", nil, bytes.NewReader(make([]byte, maxBody+1)), 413},
		{"too large, streamed", "POST", nil, io.MultiReader(bytes.NewReader(make([]byte, maxBody+1))), 413},
		{"websocket from another site", "GET", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://evil.example"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x3JJHMbDL1EzLkh9GBhXDw=="},
		}, nil, 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, body := b.do(t, "ana", c.method, "/api/chats", c.body, c.header)
			wantProblem(t, res, body, c.status)
		})
	}
	own := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://app.example.com"}}
	if res, _ := b.do(t, "ana", "POST", "/api/chats", nil, own); res.StatusCode != 200 {
		t.Errorf("the app's own request: %d", res.StatusCode)
	}
}

// Only WebSocket is switched to; another protocol is not offered to the slice.
func TestOtherUpgradesAreNotRelayed(t *testing.T) {
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	b.do(t, "ana", "GET", "/api/chats", nil, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAoAAAAAIAAAAA"}})
	if r, _ := seven.last(t); r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
		t.Errorf("headers %v", r.Header)
	}
}

func TestTruncatedAnswerStaysTruncated(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	b := setup(t, seven)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/x", nil)
	req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half an answer ended as a whole one")
	}
}

func TestClientThatLeaves(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) { close(entered); <-leave })
	defer close(leave)
	b := setup(t, seven)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", b.url+"/api/x", nil)
	req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
	go func() { <-entered; cancel() }()
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	select {
	case info := <-b.infos:
		if !info.ClientGone {
			t.Error("not noticed as gone")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request did not end")
	}
}

// upgradeEcho is a slice's side of a WebSocket that sends back what it gets.
func upgradeEcho(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(conn, rw)
}

// dialWebSocket switches protocols as a client would and returns the raw
// connection.
func dialWebSocket(t *testing.T, b *testBundle, user, early string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /socket.io/?transport=websocket HTTP/1.1\r\nHost: app.example.com\r\nOrigin: https://app.example.com\r\nCookie: %s=%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n%s", auth.CookieName, user, early)
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake %v, %v", res, err)
	}
	return conn, br
}

func TestWebSocketIsRelayedAndClosed(t *testing.T) {
	frame := string([]byte{0x81, 2}) + "hi"
	closers := map[string]struct {
		close func(b *testBundle)
		code  int
	}{
		"session": {func(b *testBundle) { b.sockets.CloseSession([32]byte{7}) }, sockets.ClosePolicyViolation},
		"user":    {func(b *testBundle) { b.sockets.CloseSlice("ana") }, sockets.ClosePolicyViolation},
		"stop":    {func(b *testBundle) { b.sockets.Stop() }, sockets.CloseGoingAway},
	}
	for name, c := range closers {
		t.Run(name, func(t *testing.T) {
			seven := newFakeSlice(t, 7, upgradeEcho)
			b := setup(t, seven)
			// What is sent before the switch is not lost.
			_, br := dialWebSocket(t, b, "ana", frame)
			got := make([]byte, len(frame))
			if _, err := io.ReadFull(br, got); err != nil || string(got) != frame {
				t.Fatalf("echo %q, %v", got, err)
			}
			b.sockets.CloseSlice("ben")
			b.sockets.CloseSession([32]byte{9})
			if n := b.sockets.Len(); n != 1 {
				t.Fatalf("%d sockets, want 1", n)
			}
			c.close(b)
			rest, err := io.ReadAll(br)
			want := []byte{0x88, 2, byte(c.code >> 8), byte(c.code)}
			if err != nil || !bytes.Equal(rest, want) {
				t.Errorf("at the close: % x, %v; want % x", rest, err, want)
			}
			<-b.infos // the relay has ended
			if n := b.sockets.Len(); n != 0 {
				t.Errorf("%d sockets are left", n)
			}
		})
	}
}

// A session that ends while its socket is being opened has no socket.
func TestWebSocketOfASessionThatEnds(t *testing.T) {
	var b *testBundle
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		b.auth.remove("ana")
		b.sockets.CloseSession([32]byte{7})
		upgradeEcho(w, r)
	})
	b = setup(t, seven)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /socket.io/ HTTP/1.1\r\nHost: x\r\nCookie: %s=ana\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", auth.CookieName)
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestFrameTracker(t *testing.T) {
	var stream []byte
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		switch {
		case n < 126:
			stream = append(stream, 0x81, byte(n))
		case n < 65536:
			stream = append(stream, 0x81, 126, byte(n>>8), byte(n))
		default:
			stream = append(stream, 0x81, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		stream = append(stream, make([]byte, n)...)
	}
	for _, step := range []int{1, 2, 7, 4096, len(stream)} {
		var tr frameTracker
		ends := 0
		for i := 0; i < len(stream); i += step {
			tr.advance(stream[i:min(i+step, len(stream))])
			if tr.between() {
				ends++
			}
		}
		if !tr.between() || step == 1 && ends != 6 {
			t.Errorf("step %d: between frames %v, %d ends", step, tr.between(), ends)
		}
	}
}

func BenchmarkHeaders(b *testing.B) {
	in := http.Header{
		"Accept": {"*/*"}, "User-Agent": {"x"}, "X-User-Id": {"ben"},
		"Cookie": {"theme=dark; " + auth.CookieName + "=" + platform.NewSessionToken() + "; lang=en"},
	}
	b.ReportAllocs()
	for b.Loop() {
		h := maps.Clone(in)
		removeReserved(h)
		removeSessionCookie(h)
	}
}
