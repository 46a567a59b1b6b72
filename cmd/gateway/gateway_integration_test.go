//go:build integration

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/consul/api"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
	"ipnoelp.io/platform/problem"
)

// testBundle is a database on a real server, with slices and a service
// directory that the test plays. Gateways are the real program.
type testBundle struct {
	database string
	admin    *pgxpool.Pool
	consul   *httptest.Server
	outbox   string // where the mails of all gateways are

	mu    sync.Mutex
	addrs map[int]string // guarded by mu; of slices, as the directory has them
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{database: postgrestest.New(t), outbox: t.TempDir(), addrs: make(map[int]string)}
	var err error
	if b.admin, err = pgxpool.New(t.Context(), postgrestest.URL(t, b.database, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.admin.Close)
	b.exec(t, `INSERT INTO gateway.generations (fingerprint, is_current) VALUES ('current', true)`)
	b.consul = httptest.NewServer(http.HandlerFunc(b.directory))
	t.Cleanup(b.consul.Close)
	return b
}

func (b *testBundle) exec(t *testing.T, stmt string, args ...any) {
	t.Helper()
	if _, err := b.admin.Exec(t.Context(), stmt, args...); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

// directory answers /v1/health/service/slice-N.
func (b *testBundle) directory(w http.ResponseWriter, r *http.Request) {
	number, _ := platform.ParseSliceName(strings.TrimPrefix(r.URL.Path, "/v1/health/service/"))
	entries := []api.ServiceEntry{}
	b.mu.Lock()
	defer b.mu.Unlock()
	if addr, err := netip.ParseAddrPort(b.addrs[number]); err == nil {
		entries = append(entries, api.ServiceEntry{
			Node: &api.Node{}, Service: &api.AgentService{Address: addr.Addr().String(), Port: int(addr.Port())},
		})
	}
	json.NewEncoder(w).Encode(entries)
}

// addSlice adds a warm slice that tells its number and whom it serves; on
// /socket.io/ it switches to an echo.
func (b *testBundle) addSlice(t *testing.T) int {
	t.Helper()
	var number int
	err := b.admin.QueryRow(t.Context(), `
		INSERT INTO gateway.slices (state, generation, requested_at) SELECT 'provisioning', id, now() - interval '3 s' FROM gateway.generations
		RETURNING number`).Scan(&number)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get(platform.HeaderSliceNumber) != fmt.Sprint(number):
			problem.Write(w, platform.Errorf(platform.ErrMisdirected, "not me"))
		case r.Header.Get(platform.HeaderSliceToken) != platform.SliceToken(platformKeyForTest, number, 1):
			problem.Write(w, platform.Errorf(platform.ErrUnauthenticated, "wrong token"))
		case strings.HasPrefix(r.URL.Path, "/socket.io/"):
			up := websocket.Upgrader{}
			conn, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			for {
				kind, p, err := conn.ReadMessage()
				if err != nil || conn.WriteMessage(kind, p) != nil {
					return
				}
			}
		default:
			fmt.Fprintf(w, "%d %s", number, r.Header.Get(platform.HeaderUserEmail))
		}
	}))
	t.Cleanup(srv.Close)
	b.mu.Lock()
	b.addrs[number] = srv.Listener.Addr().String()
	b.mu.Unlock()
	b.exec(t, `UPDATE gateway.slices SET state = 'warm', warm_at = now(), state_changed_at = now() WHERE number = $1`, number)
	return number
}

// gatewayProgram is one running gateway.
type gatewayProgram struct {
	url  string
	stop func()
}

func (b *testBundle) start(t *testing.T, change ...func(*Config)) *gatewayProgram {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	public, _ := url.Parse("https://app.example.com")
	cfg := Config{
		ListenAddr: addr, DatabaseURL: postgrestest.URL(t, b.database, postgres.RoleGateway), ConsulHTTPAddr: b.consul.URL,
		WarmTarget: 1, SliceRequests: 64, SliceRate: 100, SliceBurst: 400, AdminEmail: "admin@example.com", AdminPassword: "correct horse", ServerTiming: true,
		Mail:      MailConfig{Outbox: b.outbox, From: "CRM <crm@example.com>"},
		publicURL: public, platformKey: platformKeyForTest,
	}
	for _, f := range change {
		f(&cfg)
	}
	app, err := Build(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	p := &gatewayProgram{url: "http://" + addr}
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		app.Close()
	})
	t.Cleanup(p.stop)
	until(t, "ready", func() bool {
		res, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	p.untilNotified(t)
	return p
}

// untilNotified waits until the gateway hears the database.
func (p *gatewayProgram) untilNotified(t *testing.T) {
	t.Helper()
	until(t, "notifications", func() bool {
		_, body := p.call(t, "GET", "/metrics", "", "")
		return strings.Contains(body, "gateway_notifications_up 1")
	})
}

// until polls for up to 10 s.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if <-tick.C; time.Now().After(deadline) {
			t.Fatalf("%s: not in 10 s", what)
		}
	}
}

// document is what every answer of the real program, on the real database, is
// held against.
var document = openapitest.Gateway()

func (p *gatewayProgram) call(t *testing.T, method, path, cookie, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if cookie != "" {
		req.Header.Set("Cookie", auth.CookieName+"="+cookie)
	}
	client := http.DefaultClient
	if !strings.HasPrefix(path, "/api/") { // those are the slice's
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

func (p *gatewayProgram) signUp(t *testing.T, email string) (cookie, body string) {
	t.Helper()
	res, body := p.call(t, "POST", "/auth/signup", "", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("sign-up: %d %s", res.StatusCode, body)
	}
	for _, c := range res.Cookies() {
		if c.Name == auth.CookieName {
			return c.Value, body
		}
	}
	t.Fatal("no session cookie")
	return "", ""
}

func (p *gatewayProgram) dial(t *testing.T, path, cookie string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+path,
		http.Header{"Cookie": {auth.CookieName + "=" + cookie}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestLogOutIsRevokedOnEveryGateway(t *testing.T) {
	b := setup(t)
	number := b.addSlice(t)
	one, two := b.start(t), b.start(t)
	cookie, body := one.signUp(t, "ana@example.com")
	if !strings.Contains(body, `"state":"assigned"`) {
		t.Fatalf("sign-up: %s", body)
	}
	for _, p := range []*gatewayProgram{one, two} {
		if res, body := p.call(t, "GET", "/api/whoami", cookie, ""); res.StatusCode != 200 || body != fmt.Sprintf("%d ana@example.com", number) {
			t.Fatalf("tenant request: %d %s", res.StatusCode, body)
		}
	}
	socket := two.dial(t, "/socket.io/?transport=websocket", cookie)
	if err := socket.WriteMessage(websocket.TextMessage, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, p, err := socket.ReadMessage(); err != nil || string(p) != "hi" {
		t.Fatalf("echo %q, %v", p, err)
	}
	if res, _ := one.call(t, "POST", "/auth/logout", cookie, ""); res.StatusCode != 204 {
		t.Fatalf("log-out: %d", res.StatusCode)
	}
	if res, _ := one.call(t, "GET", "/auth/me", cookie, ""); res.StatusCode != 401 {
		t.Errorf("same gateway, at once: %d", res.StatusCode)
	}
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("socket on the other gateway: %v", err)
	}
	until(t, "revoked on the other gateway", func() bool {
		res, _ := two.call(t, "GET", "/api/whoami", cookie, "")
		return res.StatusCode == 401
	})
}

func TestBlockedUserIsKeptOutOfEveryGateway(t *testing.T) {
	b := setup(t)
	b.addSlice(t)
	one, two := b.start(t), b.start(t)
	cookie, body := one.signUp(t, "ana@example.com")
	var who struct{ User struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &who); err != nil {
		t.Fatal(err)
	}
	socket := two.dial(t, "/socket.io/?transport=websocket", cookie)
	res, _ := one.call(t, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"correct horse"}`)
	admin := sessionOf(t, res)
	if res, body := one.call(t, "POST", "/admin/users/"+who.User.ID+"/block", admin, `{"reason":"spam"}`); res.StatusCode != 200 {
		t.Fatalf("block: %d %s", res.StatusCode, body)
	}
	if res, _ := one.call(t, "GET", "/api/whoami", cookie, ""); res.StatusCode != 403 {
		t.Errorf("same gateway, at once: %d", res.StatusCode)
	}
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("socket on the other gateway: %v", err)
	}
	if res, _ := two.call(t, "GET", "/api/whoami", cookie, ""); res.StatusCode != 403 {
		t.Errorf("other gateway, after the socket was closed: %d", res.StatusCode)
	}
	if res, body := two.call(t, "DELETE", "/admin/users/"+who.User.ID, admin, ""); res.StatusCode != 204 {
		t.Fatalf("delete: %d %s", res.StatusCode, body)
	}
	until(t, "the session is unknown everywhere", func() bool {
		res, _ := one.call(t, "GET", "/api/whoami", cookie, "")
		return res.StatusCode == 401
	})
}

func sessionOf(t *testing.T, res *http.Response) string {
	t.Helper()
	for _, c := range res.Cookies() {
		if c.Name == auth.CookieName {
			return c.Value
		}
	}
	t.Fatalf("status %d without a session cookie", res.StatusCode)
	return ""
}

func TestRevocationAfterTheListenerWasCut(t *testing.T) {
	b := setup(t)
	p := b.start(t)
	cookie, _ := p.signUp(t, "ana@example.com")
	b.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	until(t, "reconnected", func() bool {
		var n int
		err := b.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&n)
		return err == nil && n == 1
	})
	p.untilNotified(t)
	if res, _ := p.call(t, "GET", "/auth/me", cookie, ""); res.StatusCode != 200 {
		t.Fatalf("me: %d", res.StatusCode)
	}
	b.exec(t, `DELETE FROM gateway.sessions`)
	until(t, "revoked", func() bool {
		res, _ := p.call(t, "GET", "/auth/me", cookie, "")
		return res.StatusCode == 401
	})
}

func TestSessionsSurviveARestart(t *testing.T) {
	b := setup(t)
	b.addSlice(t)
	p := b.start(t)
	cookie, _ := p.signUp(t, "ana@example.com")
	p.stop()
	if res, _ := b.start(t).call(t, "GET", "/api/whoami", cookie, ""); res.StatusCode != 200 {
		t.Errorf("after the restart: %d", res.StatusCode)
	}
}

func TestWaitingUserIsServedWhenASliceBecomesWarm(t *testing.T) {
	b := setup(t)
	one, two := b.start(t), b.start(t)
	cookie, body := one.signUp(t, "ana@example.com")
	if !strings.Contains(body, `"slice":{"state":"queued","position":1,"estimate_seconds":null}`) {
		t.Errorf("sign-up: %s", body)
	}
	events := two.dial(t, "/auth/slice/events", cookie)
	if _, p, err := events.ReadMessage(); err != nil || !strings.Contains(string(p), `"queued"`) {
		t.Fatalf("first frame %s, %v", p, err)
	}
	number := b.addSlice(t)
	for {
		_, p, err := events.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(p), `"assigned"`) {
			break
		}
	}
	if _, _, err := events.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("after assigned: %v", err)
	}
	for _, p := range []*gatewayProgram{one, two} {
		until(t, "reaches the slice", func() bool {
			res, body := p.call(t, "GET", "/api/whoami", cookie, "")
			return res.StatusCode == 200 && body == fmt.Sprintf("%d ana@example.com", number)
		})
	}
}

// 20 sign-ups at once, one warm slice, and a provisioner that follows: all get
// one, each a different one, and each reaches their own.
func TestTwentySignUpsAtOnce(t *testing.T) {
	const n = 20
	b := setup(t)
	b.addSlice(t)
	gateways := []*gatewayProgram{b.start(t), b.start(t)}
	cookies := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { cookies[i], _ = gateways[i%2].signUp(t, fmt.Sprintf("u%d@example.com", i)) })
	}
	for range n - 1 {
		b.addSlice(t)
	}
	wg.Wait()
	seen := make(map[string]int)
	for i, cookie := range cookies {
		var number, email string
		until(t, "served", func() bool {
			res, body := gateways[(i+1)%2].call(t, "GET", "/api/whoami", cookie, "")
			number, email, _ = strings.Cut(body, " ")
			return res.StatusCode == 200
		})
		if want := fmt.Sprintf("u%d@example.com", i); email != want {
			t.Errorf("user %s reached the slice of %s", want, email)
		}
		if other, ok := seen[number]; ok {
			t.Errorf("users %d and %d share slice %s", other, i, number)
		}
		seen[number] = i
	}
}

// The directory still has the address that slice 1 had; slice 2 is there now.
func TestStaleAddressNeverShowsAnotherTenant(t *testing.T) {
	b := setup(t)
	b.addSlice(t)
	b.addSlice(t)
	p := b.start(t)
	ana, _ := p.signUp(t, "ana@example.com")
	p.signUp(t, "ben@example.com")
	b.mu.Lock()
	right := b.addrs[1]
	b.addrs[1] = b.addrs[2]
	b.mu.Unlock()
	if res, body := p.call(t, "GET", "/api/whoami", ana, ""); res.StatusCode != 502 || strings.Contains(body, "2 ") {
		t.Errorf("while the directory is wrong: %d %s", res.StatusCode, body)
	}
	b.mu.Lock()
	b.addrs[1] = right
	b.mu.Unlock()
	if res, body := p.call(t, "GET", "/api/whoami", ana, ""); res.StatusCode != 200 || body != "1 ana@example.com" {
		t.Errorf("once it is right: %d %s", res.StatusCode, body)
	}
}

func TestHeldSlice(t *testing.T) {
	for _, change := range []string{`state = 'held'`, `state = 'suspended'`, `state = 'retiring', user_id = NULL`} {
		b := setup(t)
		b.addSlice(t)
		p := b.start(t)
		cookie, _ := p.signUp(t, "ana@example.com")
		socket := p.dial(t, "/socket.io/?transport=websocket", cookie)
		b.exec(t, `UPDATE gateway.slices SET `+change+` WHERE number = 1`)
		if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			t.Errorf("%s: socket: %v", change, err)
		}
		until(t, change, func() bool {
			res, _ := p.call(t, "GET", "/api/whoami", cookie, "")
			return res.StatusCode == 503
		})
		if strings.Contains(change, "NULL") {
			continue // for good
		}
		b.exec(t, `UPDATE gateway.slices SET state = 'assigned' WHERE number = 1`)
		until(t, "back", func() bool {
			res, _ := p.call(t, "GET", "/api/whoami", cookie, "")
			return res.StatusCode == 200
		})
	}
}

// A token that is revoked is worth nothing on every gateway, and the socket that
// was opened with it ends.
func TestRevokedTokenIsGoodOnNoGateway(t *testing.T) {
	b := setup(t)
	number := b.addSlice(t)
	one, two := b.start(t), b.start(t)
	cookie, _ := one.signUp(t, "ana@example.com")
	res, body := one.call(t, "POST", "/auth/tokens", cookie,
		fmt.Sprintf(`{"name":"n8n","scope":"full","expires_at":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || res.StatusCode != 201 {
		t.Fatalf("create: %d %s", res.StatusCode, body)
	}
	bearer := http.Header{"Authorization": {"Bearer " + made.Token}}
	use := func(p *gatewayProgram) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/api/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = bearer
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(got)
	}
	for _, p := range []*gatewayProgram{one, two} {
		if status, got := use(p); status != 200 || got != fmt.Sprintf("%d ana@example.com", number) {
			t.Fatalf("with the token: %d %s", status, got)
		}
	}
	socket, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(two.url, "http")+"/socket.io/?transport=websocket", bearer)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if res, body := one.call(t, "DELETE", "/auth/tokens/"+made.ID, cookie, ""); res.StatusCode != 204 {
		t.Fatalf("revoke: %d %s", res.StatusCode, body)
	}
	if status, _ := use(one); status != 401 {
		t.Errorf("same gateway, at once: %d", status)
	}
	socket.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("socket on the other gateway: %v", err)
	}
	until(t, "revoked on the other gateway", func() bool {
		status, _ := use(two)
		return status == 401
	})
}

func TestFirstAdminLogsIn(t *testing.T) {
	b := setup(t)
	p := b.start(t)
	b.start(t) // a second gateway makes no second admin
	res, body := p.call(t, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"correct horse"}`)
	if res.StatusCode != 200 || !strings.Contains(body, `"role":"admin"`) {
		t.Errorf("log-in: %d %s", res.StatusCode, body)
	}
	var n int
	if err := b.admin.QueryRow(t.Context(), `SELECT count(*) FROM gateway.users`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d users, %v; want 1", n, err)
	}
}

// A client that sends its header bit by bit, or too much of it, is cut off.
func TestHeaderLimit(t *testing.T) {
	b := setup(t)
	p := b.start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /auth/me HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n", strings.Repeat("a", 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answer %v, %v; want 431", res, err)
	}
}
