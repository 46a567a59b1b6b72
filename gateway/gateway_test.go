package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/downstream"
	"ipnoelp.io/platform/gateway/proxy"
	"ipnoelp.io/platform/gateway/sockets"
	"ipnoelp.io/platform/problem"
)

const testPassword = "correct horse"

type noSlices struct{}

func (noSlices) Resolve(context.Context, int) (string, error) {
	return "", platform.Errorf(platform.ErrUnavailable, "Your workspace is starting.")
}
func (noSlices) Invalidate(int, string) {}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *logBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

type testBundle struct {
	*Gateway
	store *memoryStore
	log   *logBuffer
	url   string
}

func setup(t testing.TB) *testBundle { t.Helper(); return setupOptions(t, func(*Options) {}) }

func setupWith(t testing.TB, resolver proxy.Resolver, limits proxy.Limits, change ...func(*Options)) *testBundle {
	t.Helper()
	return setupOptions(t, func(o *Options) {
		o.Resolver, o.SliceLimits = resolver, limits
		for _, f := range change {
			f(o)
		}
	})
}

// setupOptions sets up a gateway with other options.
func setupOptions(t testing.TB, change func(*Options)) *testBundle {
	t.Helper()
	b := &testBundle{store: newMemoryStore(), log: &logBuffer{}}
	public, _ := url.Parse("https://app.example.com")
	o := Options{
		Store: b.store, Resolver: noSlices{}, PublicURL: public, PlatformKey: make([]byte, 32), WarmTarget: 2, ServerTiming: true,
		SliceLimits:    proxy.Limits{Requests: 64, Rate: 100, Burst: 400},
		Log:            slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	change(&o)
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Gateway = g
	srv := httptest.NewUnstartedServer(nil)
	var clients *downstream.Listener
	srv.Config, clients = g.newServer(srv.Listener)
	srv.Listener = clients
	srv.Start()
	b.url = srv.URL
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { g.queue.Run(ctx) })
	wg.Go(func() { clients.Watch(ctx) })
	t.Cleanup(func() { srv.Close(); cancel(); wg.Wait() })
	g.NotificationsUp(t.Context())
	return b
}

// call sends JSON as the session with this cookie, if any.
func (b *testBundle) call(t testing.TB, method, path, cookie, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if cookie != "" {
		req.Header.Set("Cookie", auth.CookieName+"="+cookie)
	}
	client := http.DefaultClient
	if described(path) {
		client = document.Client(t, nil)
	}
	res, err := client.Do(req)
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

// signUp returns the new session's cookie.
func (b *testBundle) signUp(t testing.TB, email string) string {
	t.Helper()
	res, body := b.call(t, "POST", "/auth/signup", "", fmt.Sprintf(`{"email":%q,"password":%q}`, email, testPassword), nil)
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("sign-up: %d %s", res.StatusCode, body)
	}
	return sessionCookie(t, res)
}

func sessionCookie(t testing.TB, res *http.Response) string {
	t.Helper()
	for _, c := range res.Cookies() {
		if c.Name == auth.CookieName {
			if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %+v", c)
			}
			return c.Value
		}
	}
	t.Fatal("no session cookie")
	return ""
}

func wantProblem(t *testing.T, res *http.Response, body string, status int, fields ...string) {
	t.Helper()
	var d problem.Details
	if err := json.Unmarshal([]byte(body), &d); err != nil || res.StatusCode != status || d.Status != status ||
		res.Header.Get("Content-Type") != problem.ContentType || d.Detail == "" || d.RequestID == "" || d.RequestID != res.Header.Get("X-Request-Id") {
		t.Errorf("answer %d %s %q, want problem details with status %d", res.StatusCode, res.Header.Get("Content-Type"), body, status)
	}
	var got []string
	for _, f := range d.Errors {
		got = append(got, f.Field)
	}
	if fields != nil && strings.Join(got, ",") != strings.Join(fields, ",") {
		t.Errorf("fields at fault %v, want %v", got, fields)
	}
}

func TestAccountLife(t *testing.T) {
	b := setup(t)
	b.store.addSlice(platform.SliceWarm)
	res, body := b.call(t, "POST", "/auth/signup", "", `{"email":" Ana@Example.com ","password":"correct horse"}`, nil)
	var me struct {
		User  platform.User
		Slice auth.SliceStatus
	}
	if err := json.Unmarshal([]byte(body), &me); err != nil || res.StatusCode != 201 || me.User.Email != "ana@example.com" || me.Slice.State != "assigned" || me.Slice.Position != nil {
		t.Fatalf("sign-up: %d %s", res.StatusCode, body)
	}
	if !strings.HasPrefix(res.Header.Get("Server-Timing"), "hash;dur=") {
		t.Errorf("Server-Timing %q", res.Header.Get("Server-Timing"))
	}
	first := sessionCookie(t, res)
	if res, body := b.call(t, "GET", "/auth/me", first, "", nil); res.StatusCode != 200 || !strings.Contains(body, `"assigned"`) {
		t.Errorf("me: %d %s", res.StatusCode, body)
	}
	res, body = b.call(t, "POST", "/auth/login", "", `{"email":"ANA@example.com","password":"correct horse"}`, nil)
	if res.StatusCode != 200 {
		t.Fatalf("log-in: %d %s", res.StatusCode, body)
	}
	second := sessionCookie(t, res)
	res, _ = b.call(t, "POST", "/auth/logout", first, "", nil)
	if res.StatusCode != 204 || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("log-out: %d %v", res.StatusCode, res.Header)
	}
	res, body = b.call(t, "GET", "/auth/me", first, "", nil)
	wantProblem(t, res, body, 401)
	if res, _ := b.call(t, "GET", "/auth/me", second, "", nil); res.StatusCode != 200 {
		t.Errorf("the other session: %d", res.StatusCode)
	}
	if res, _ := b.call(t, "POST", "/auth/logout", "", "", nil); res.StatusCode != 204 {
		t.Errorf("log-out without a session: %d", res.StatusCode)
	}
	// A new session replaces the one the client had.
	res, _ = b.call(t, "POST", "/auth/login", second, `{"email":"ana@example.com","password":"correct horse"}`, nil)
	third := sessionCookie(t, res)
	res, body = b.call(t, "GET", "/auth/me", second, "", nil)
	wantProblem(t, res, body, 401)
	// The database hides expired sessions, the cache too.
	hash, _ := platform.HashSessionToken(third)
	b.store.locked(func() {
		s := b.store.sessions[hash]
		s.ExpiresAt = time.Now().Add(-time.Second)
		b.store.sessions[hash] = s
	})
	b.sessions.Invalidate(hash)
	res, body = b.call(t, "GET", "/auth/me", third, "", nil)
	wantProblem(t, res, body, 401)
}

func TestBadInputChangesNothing(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "taken@example.com")
	valid := `{"email":"new@example.com","password":"correct horse"}`
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	cases := []struct {
		name, method, path, cookie, body string
		header                           http.Header
		status                           int
		fields                           []string
	}{
		{"no body", "POST", "/auth/signup", "", "", nil, 415, nil},
		{"empty body", "POST", "/auth/signup", "", "", http.Header{"Content-Type": {"application/json"}}, 400, nil},
		{"a form", "POST", "/auth/signup", "", valid, form, 415, nil},
		{"malformed", "POST", "/auth/signup", "", `{"email":`, nil, 400, nil},
		{"two values", "POST", "/auth/signup", "", valid + valid, nil, 400, nil},
		{"an array", "POST", "/auth/signup", "", `[1]`, nil, 400, nil},
		{"null", "POST", "/auth/signup", "", `null`, nil, 400, nil},
		{"wrong type", "POST", "/auth/signup", "", `{"email":5,"password":"correct horse"}`, nil, 400, []string{"email"}},
		{"unknown field", "POST", "/auth/signup", "", `{"email":"new@example.com","password":"correct horse","role":"admin"}`, nil, 400, []string{"role"}},
		{"oversized", "POST", "/auth/signup", "", `{"email":"` + strings.Repeat("a", 20_000) + `"}`, nil, 413, nil},
		{"invalid e-mail", "POST", "/auth/signup", "", `{"email":"new@","password":"correct horse"}`, nil, 400, []string{"email"}},
		{"short password", "POST", "/auth/signup", "", `{"email":"new@example.com","password":"short"}`, nil, 400, []string{"password"}},
		{"long password", "POST", "/auth/signup", "", `{"email":"new@example.com","password":"` + strings.Repeat("a", 129) + `"}`, nil, 400, []string{"password"}},
		{"both wrong", "POST", "/auth/signup", "", `{}`, nil, 400, []string{"email", "password"}},
		{"taken", "POST", "/auth/signup", "", `{"email":"Taken@example.com","password":"correct horse"}`, nil, 409, nil},
		{"another site", "POST", "/auth/signup", "", valid, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, nil},
		{"another site, old browser", "POST", "/auth/logout", cookie, "", http.Header{"Origin": {"https://evil.example"}}, 403, nil},
		{"wrong password", "POST", "/auth/login", "", `{"email":"taken@example.com","password":"wrong horse"}`, nil, 401, nil},
		{"unknown account", "POST", "/auth/login", "", `{"email":"nobody@example.com","password":"wrong horse"}`, nil, 401, nil},
		{"no password", "POST", "/auth/login", "", `{"email":"taken@example.com"}`, nil, 400, []string{"password"}},
		{"malformed log-in", "POST", "/auth/login", "", `{`, nil, 400, nil},
		{"no session", "GET", "/auth/me", "", "", nil, 401, nil},
		{"made-up session", "GET", "/auth/me", platform.NewSessionToken(), "", nil, 401, nil},
		{"malformed session", "GET", "/auth/me", "x", "", nil, 401, nil},
		{"wrong method", "GET", "/auth/login", "", "", nil, 405, nil},
		{"wrong method, admin", "DELETE", "/admin/pool", "", "", nil, 405, nil},
		{"unknown route", "GET", "/auth/nothing", "", "", nil, 404, nil},
		{"root", "GET", "/", "", "", nil, 404, nil},
		{"path tricks", "GET", "/auth/../admin/pool", "", "", nil, 404, nil},
		{"trailing slash", "GET", "/admin/pool/", cookie, "", nil, 404, nil},
		{"admin, no session", "GET", "/admin/pool", "", "", nil, 401, nil},
		{"admin, ordinary user", "GET", "/admin/slices", cookie, "", nil, 403, nil},
		{"events, no session", "GET", "/auth/slice/events", "", "", nil, 401, nil},
		{"events, no WebSocket", "GET", "/auth/slice/events", cookie, "", nil, 400, nil},
		{"events, another site", "GET", "/auth/slice/events", cookie, "", http.Header{"Origin": {"https://evil.example"}}, 403, nil},
		{"tenant, no session", "GET", "/api/chats", "", "", nil, 401, nil},
		{"tenant, no slice", "GET", "/api/chats", cookie, "", nil, 503, nil},
	}
	users, sessions, queued := b.store.sizes()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, body := b.call(t, c.method, c.path, c.cookie, c.body, c.header)
			wantProblem(t, res, body, c.status, c.fields...)
			if res.Header.Get("Set-Cookie") != "" {
				t.Error("a cookie was set")
			}
			if u, s, q := b.store.sizes(); u != users || s != sessions || q != queued {
				t.Errorf("changed: %d users, %d sessions, %d queued; before %d, %d, %d", u, s, q, users, sessions, queued)
			}
		})
	}
	if strings.Contains(b.log.String(), testPassword) || strings.Contains(b.log.String(), cookie) {
		t.Error("the log holds a secret")
	}
}

func TestGuessingIsThrottled(t *testing.T) {
	b := setup(t)
	b.signUp(t, "ana@example.com")
	for i := range 11 {
		res, body := b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"wrong horse"}`, nil)
		if i < 10 {
			wantProblem(t, res, body, 401)
			continue
		}
		wantProblem(t, res, body, 429)
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func TestOpsRoutes(t *testing.T) {
	b := setup(t)
	through := http.Header{"X-Forwarded-For": {"192.0.2.1"}}
	for path, inside := range map[string]bool{"/healthz": false, "/readyz": true, "/metrics": true, "/metrics/slices": true} {
		if res, body := b.call(t, "GET", path, "", "", nil); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
		res, body := b.call(t, "GET", path, "", "", through)
		if inside {
			wantProblem(t, res, body, 404)
		} else if res.StatusCode != 200 {
			t.Errorf("%s through the edge: %d", path, res.StatusCode)
		}
	}
	if _, body := b.call(t, "GET", "/metrics", "", "", nil); !strings.Contains(body, `gateway_http_requests_total{code="200",route="ops"}`) {
		t.Error("requests are not counted")
	}
	b.store.locked(func() { b.store.down = errors.New("no route to 10.0.0.5") })
	res, body := b.call(t, "GET", "/readyz", "", "", nil)
	wantProblem(t, res, body, 503)
	if strings.Contains(body, "10.0.0.5") {
		t.Errorf("internals in %s", body)
	}
	b.store.locked(func() { b.store.down = nil })
	b.draining.Store(true)
	res, body = b.call(t, "GET", "/readyz", "", "", nil)
	wantProblem(t, res, body, 503)
}

// Through the whole gateway; what becomes of hostile answers is tested where
// they are read.
func TestSlicesMetrics(t *testing.T) {
	b, _ := withSlice(t)
	b.store.addSlice(platform.SliceFailed)
	b.store.addSlice(platform.SliceAssigned) // what is at its address is slice 1
	res, body := b.call(t, "GET", "/metrics/slices", "", "", nil)
	want := "# HELP slice_up 1 if the slice told its metrics to the gateway that was asked, else 0.\n# TYPE slice_up gauge\n" +
		"slice_up{slice=\"1\"} 1\nslice_up{slice=\"3\"} 0\n" +
		"# HELP slice_whatsapp_state x\n# TYPE slice_whatsapp_state untyped\n" +
		"slice_whatsapp_state{slice=\"1\",state=\"qr\"} 0\nslice_whatsapp_state{slice=\"1\",state=\"ready\"} 1\n"
	if got := res.Header.Get("Content-Type"); body != want || !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("%d %q\n%s", res.StatusCode, got, body)
	}
	if _, body := b.call(t, "GET", "/metrics", "", "", nil); !strings.Contains(body, `{code="200",route="ops"} 1`) {
		t.Error("the request counts as another route's")
	}
	through := http.Header{"X-Forwarded-For": {"192.0.2.1"}}
	for _, cookie := range []string{"", b.admin(t)} {
		res, body := b.call(t, "GET", "/metrics/slices", cookie, "", through)
		wantProblem(t, res, body, 404)
	}
	res, body = b.call(t, "POST", "/metrics/slices", "", "", nil)
	wantProblem(t, res, body, 405)
	b.store.locked(func() { b.store.down = errors.New("no route to 10.0.0.5") })
	res, body = b.call(t, "GET", "/metrics/slices", "", "", through)
	wantProblem(t, res, body, 404) // before anything is asked
}

func TestRequestIDAndClientAddress(t *testing.T) {
	b := setup(t)
	const id = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		sent string
		kept bool
	}{{id, true}, {"short", false}, {"0123456789abcdef <script>", false}, {strings.Repeat("a", 65), false}} {
		res, _ := b.call(t, "GET", "/healthz", "", "", http.Header{"X-Request-Id": {c.sent}})
		if got := res.Header.Get("X-Request-Id"); (got == c.sent) != c.kept || got == "" {
			t.Errorf("sent %q, got %q", c.sent, got)
		}
	}
	for sent, want := range map[string]string{
		"":                              "127.0.0.1",
		"192.0.2.1":                     "192.0.2.1",
		"6.6.6.6, 192.0.2.1":            "192.0.2.1",
		"6.6.6.6, 192.0.2.1, 127.0.0.2": "192.0.2.1",
		"6.6.6.6, nonsense":             "127.0.0.1",
		"6.6.6.6, nonsense, 127.0.0.2":  "127.0.0.2",
		"6.6.6.6,192.0.2.1,":            "127.0.0.1",
		"2001:db8::1":                   "2001:db8::1",
	} {
		var forwarded []string
		if sent != "" {
			forwarded = []string{sent}
		}
		if got := b.client(forwarded, netip.MustParseAddr("127.0.0.1")).String(); got != want {
			t.Errorf("X-Forwarded-For %q: client %s, want %s", sent, got, want)
		}
	}
	// Nobody but a trusted proxy says who somebody is.
	r := httptest.NewRequest("POST", "/auth/signup", strings.NewReader(`{"email":"ana@example.com","password":"correct horse"}`)) // from 192.0.2.1
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", id)
	r.Header.Set("X-Forwarded-For", "6.6.6.6")
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	if w.Code != 201 || w.Header().Get("X-Request-Id") == id {
		t.Errorf("believed a stranger's request id: %d %v", w.Code, w.Header())
	}
	b.store.locked(func() {
		for _, ses := range b.store.sessions {
			if ses.ClientAddr != "192.0.2.1" {
				t.Errorf("believed a stranger: from %s", ses.ClientAddr)
			}
		}
	})
}

func TestOneLogEventPerRequest(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	before := strings.Count(b.log.String(), `"msg":"request"`)
	res, _ := b.call(t, "GET", "/api/chats?token=secret", cookie, "", nil)
	log := b.log.String()
	if n := strings.Count(log, `"msg":"request"`) - before; n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	last := log[strings.LastIndex(log[:len(log)-1], "\n")+1:]
	for _, want := range []string{`"method":"GET"`, `"route":"tenant_api"`, `"status":503`, `"user_id":"` + testUserID(1) + `"`, `"request_id":"` + res.Header.Get("X-Request-Id") + `"`, `"duration":`, `"bytes":`} {
		if !strings.Contains(last, want) {
			t.Errorf("no %s in %s", want, last)
		}
	}
	if strings.Contains(log, "secret") {
		t.Error("the log holds a query string")
	}
}

func TestPanics(t *testing.T) {
	b := setup(t)
	serve := func(f http.HandlerFunc) *httptest.Server {
		srv := httptest.NewServer(b.identified(b.observed(b.recovered(f))))
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		t.Cleanup(srv.Close)
		return srv
	}
	res, err := http.Get(serve(func(http.ResponseWriter, *http.Request) { panic("boom at 10.0.0.5") }).URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	wantProblem(t, res, string(body), 500)
	if strings.Contains(string(body), "boom") {
		t.Errorf("internals in %s", body)
	}
	for name, v := range map[string]any{"abort": http.ErrAbortHandler, "panic": "boom"} {
		res, err := http.Get(serve(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic(v)
		}).URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: half an answer ended as a whole one", name)
		}
		res.Body.Close()
	}
}

func TestAdmin(t *testing.T) {
	b := setup(t)
	if err := b.EnsureAdmin(t.Context(), platform.Credentials{Email: "admin@example.com", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureAdmin(t.Context(), platform.Credentials{Email: "second@example.com", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	if users, _, _ := b.store.sizes(); users != 1 {
		t.Fatalf("%d users, want 1", users)
	}
	b.store.addSlice(platform.SliceWarm)
	b.signUp(t, "ana@example.com")
	b.store.addSlice(platform.SliceFailed)
	b.store.addSlice(platform.SliceFailed)
	res, body := b.call(t, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"correct horse"}`, nil)
	if res.StatusCode != 200 || !strings.Contains(body, `"state":"none"`) || !strings.Contains(body, `"role":"admin"`) {
		t.Fatalf("log-in: %d %s", res.StatusCode, body)
	}
	cookie := sessionCookie(t, res)
	if res, body := b.call(t, "GET", "/admin/pool", cookie, "", nil); res.StatusCode != 200 ||
		!strings.Contains(body, `"target":2,"queued":0`) || !strings.Contains(body, `"failed":2`) || !strings.Contains(body, `"warm":0`) {
		t.Errorf("pool: %d %s", res.StatusCode, body)
	}
	type page struct {
		Slices []struct {
			Number    int
			UserEmail *string `json:"user_email"`
		}
		NextCursor *string `json:"next_cursor"`
	}
	list := func(query string) (p page) {
		t.Helper()
		res, body := b.call(t, "GET", "/admin/slices?"+query, cookie, "", nil)
		if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 200 {
			t.Fatalf("slices?%s: %d %s", query, res.StatusCode, body)
		}
		return p
	}
	p := list("limit=2")
	if len(p.Slices) != 2 || p.Slices[0].Number != 3 || p.NextCursor == nil {
		t.Fatalf("first page %+v", p)
	}
	p = list("limit=2&cursor=" + *p.NextCursor)
	if len(p.Slices) != 1 || p.NextCursor != nil || p.Slices[0].UserEmail == nil || *p.Slices[0].UserEmail != "ana@example.com" {
		t.Errorf("second page %+v", p)
	}
	if p := list("state=failed"); len(p.Slices) != 2 || p.Slices[0].UserEmail != nil {
		t.Errorf("failed %+v", p)
	}
	for query, field := range map[string]string{"limit=0": "limit", "limit=x": "limit", "limit=201": "limit", "cursor=-1": "cursor", "cursor=x": "cursor", "state=odd": "state", "page=2": "page", "limit=1&limit=2": "limit"} {
		res, body := b.call(t, "GET", "/admin/slices?"+query, cookie, "", nil)
		wantProblem(t, res, body, 400, field)
	}
}

func (b *testBundle) dialEvents(t *testing.T, cookie string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+"/auth/slice/events",
		http.Header{"Cookie": {auth.CookieName + "=" + cookie}, "Origin": {"https://app.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func wantFrame(t *testing.T, conn *websocket.Conn, want string) {
	t.Helper()
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
		t.Fatalf("frame %s, %v; want %s", got, err, want)
	}
}

func wantClose(t *testing.T, conn *websocket.Conn, code int) {
	t.Helper()
	if _, got, err := conn.ReadMessage(); !websocket.IsCloseError(err, code) {
		t.Fatalf("frame %s, %v; want close %d", got, err, code)
	}
}

func TestQueueIsFollowedLive(t *testing.T) {
	b := setup(t)
	first, second := b.signUp(t, "first@example.com"), b.signUp(t, "second@example.com")
	one, two := b.dialEvents(t, first), b.dialEvents(t, second)
	wantFrame(t, one, `{"state":"queued","position":1,"estimate_seconds":4}`)
	wantFrame(t, two, `{"state":"queued","position":2,"estimate_seconds":8}`)

	b.store.addSlice(platform.SliceWarm)
	b.SliceChanged(1, platform.SliceWarm, "") // served now; what the database then notifies:
	wantFrame(t, two, `{"state":"queued","position":1,"estimate_seconds":4}`)
	b.SliceChanged(1, platform.SliceAssigned, testUserID(1))
	wantFrame(t, one, `{"state":"assigned","position":null,"estimate_seconds":null}`)
	wantClose(t, one, websocket.CloseNormalClosure)

	// It ends with the session.
	if res, _ := b.call(t, "POST", "/auth/logout", second, "", nil); res.StatusCode != 204 {
		t.Fatal("log-out failed")
	}
	wantClose(t, two, sockets.ClosePolicyViolation)
}

func TestHeldSliceIsToldAndComesBack(t *testing.T) {
	b := setup(t)
	n := b.store.addSlice(platform.SliceWarm)
	cookie := b.signUp(t, "ana@example.com")
	set := func(st platform.SliceState) {
		b.store.locked(func() { b.store.slices[n-1].State = st })
		b.SliceChanged(1, st, testUserID(1))
	}
	early := b.dialEvents(t, cookie)
	wantFrame(t, early, `{"state":"assigned","position":null,"estimate_seconds":null}`)
	set(platform.SliceHeld)
	if _, body := b.call(t, "GET", "/auth/me", cookie, "", nil); !strings.Contains(body, `"state":"held"`) {
		t.Errorf("me: %s", body)
	}
	conn := b.dialEvents(t, cookie)
	wantFrame(t, conn, `{"state":"held","position":null,"estimate_seconds":null}`)
	set(platform.SliceSuspended) // told, not cut
	wantFrame(t, conn, `{"state":"suspended","position":null,"estimate_seconds":null}`)
	set(platform.SliceAssigned)
	wantFrame(t, conn, `{"state":"assigned","position":null,"estimate_seconds":null}`)
	wantClose(t, conn, websocket.CloseNormalClosure)
}

// While notifications are interrupted a session may end unheard.
func TestSocketsAreCheckedAfterAnInterruption(t *testing.T) {
	b := setup(t)
	ended, kept := b.signUp(t, "ended@example.com"), b.signUp(t, "kept@example.com")
	one, two := b.dialEvents(t, ended), b.dialEvents(t, kept)
	wantFrame(t, one, `{"state":"queued","position":1,"estimate_seconds":4}`)
	wantFrame(t, two, `{"state":"queued","position":2,"estimate_seconds":8}`)
	// A slice that was retired meanwhile is no more the user's; where they stand in
	// the queue they go on being told.
	keptHash, _ := platform.HashSessionToken(kept)
	toSlice := make(chan int, 1)
	if _, err := b.sockets.Add(sockets.Slice, keptHash, testUserID(2), time.Now().Add(time.Hour), func(code int) { toSlice <- code }); err != nil {
		t.Fatal(err)
	}
	b.NotificationsDown()
	hash, _ := platform.HashSessionToken(ended)
	b.store.DeleteSession(t.Context(), hash, platform.AuditEntry{})
	res, body := b.call(t, "GET", "/auth/me", ended, "", nil)
	wantProblem(t, res, body, 401) // nothing is remembered meanwhile
	b.NotificationsUp(t.Context())
	wantClose(t, one, sockets.ClosePolicyViolation)
	select {
	case code := <-toSlice:
		if code != sockets.ClosePolicyViolation {
			t.Errorf("closed with %d", code)
		}
	case <-time.After(5 * time.Second):
		t.Error("a socket to a slice that is not the user's any more stays")
	}
	b.store.locked(func() { b.store.down = errors.New("down") })
	b.NotificationsUp(t.Context()) // cannot be told: closed to be safe, by whoever notices first
	if _, got, err := two.ReadMessage(); !websocket.IsCloseError(err, sockets.ClosePolicyViolation, websocket.CloseTryAgainLater) {
		t.Fatalf("frame %s, %v; want a close", got, err)
	}
}

// A socket lives no longer than its session, whose time may be short: that of an
// admin who acts for a user.
func TestSocketsEndWithTheTimeOfTheirSessions(t *testing.T) {
	b := setup(t)
	b.run(t)
	ana, ben := b.signUp(t, "ana@example.com"), b.signUp(t, "ben@example.com")
	hash, _ := platform.HashSessionToken(ana)
	b.store.locked(func() {
		ses := b.store.sessions[hash]
		ses.EndsAt = time.Now().Add(2 * time.Second)
		ses.ExpiresAt = ses.EndsAt
		b.store.sessions[hash] = ses
	})
	b.sessions.Invalidate(hash)
	one, two := b.dialEvents(t, ana), b.dialEvents(t, ben)
	wantFrame(t, one, `{"state":"queued","position":1,"estimate_seconds":4}`)
	wantFrame(t, two, `{"state":"queued","position":2,"estimate_seconds":8}`)
	wantClose(t, one, sockets.ClosePolicyViolation)
	hash, _ = platform.HashSessionToken(ben)
	for end := time.Now().Add(5 * time.Second); b.sockets.Len() > 1 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if open := b.sockets.Sessions(); !slices.Equal(open, [][32]byte{hash}) {
		t.Errorf("%d sessions have sockets", len(open))
	}
}

// While load balancers take notice the gateway says that it is not ready, and
// serves all the same; then what is under way ends, and nothing new begins.
func TestShutDownHasAnOrder(t *testing.T) {
	x := setupTenants(t, func(o *Options) { o.DrainDelay = 2 * time.Second })
	entered, leave := make(chan struct{}), make(chan struct{})
	x.ana.handle = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/slow" {
			close(entered)
			<-leave
		}
		io.WriteString(w, "ok")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx, ln) }()
	get := func(path string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", auth.CookieName+"="+x.anaCookie)
		req.Close = true // each on a connection of its own
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
		return res.StatusCode, err
	}
	slow := make(chan error, 1)
	go func() {
		status, err := get("/api/slow")
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d", status)
		}
		slow <- err
	}()
	<-entered
	if status, err := get("/readyz"); err != nil || status != 200 {
		t.Errorf("ready: %d, %v", status, err)
	}
	cancel()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if status, err := get("/readyz"); err == nil && status == 503 {
			break
		} else if err != nil || time.Since(start) > 2*time.Second {
			t.Fatalf("not ready any more: %d, %v", status, err)
		}
	}
	if status, err := get("/api/quick"); err != nil || status != 200 {
		t.Errorf("while it is told: %d, %v", status, err)
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := get("/api/quick"); err != nil {
			break
		} else if time.Since(start) > 10*time.Second {
			t.Fatal("goes on for ever")
		}
	}
	select {
	case err := <-done:
		t.Errorf("ended before the request under way: %v", err)
	default:
	}
	close(leave)
	if err := <-slow; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunShutsDownGracefully(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	stop := b.run(t)
	conn := b.dialEvents(t, cookie)
	wantFrame(t, conn, `{"state":"queued","position":1,"estimate_seconds":4}`)
	go stop()
	wantClose(t, conn, sockets.CloseGoingAway)
	stop()
}

// run serves as a program does, with all that goes on beside the requests. stop
// waits until it has ended.
func (b *testBundle) run(t *testing.T) (stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}
