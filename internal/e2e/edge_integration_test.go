//go:build integration

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// securityHeaders are those that the edge's answers are compared in: each is
// there exactly as a test says, once, or not at all.
var securityHeaders = []string{
	"Content-Security-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
	"Permissions-Policy", "Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options",
}

const transportPolicy = "max-age=31536000"

// What answers that are no pages have: of the gateway's own routes, of nginx
// and of the app's files.
var (
	gatewayHeaders = map[string]string{
		"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"Strict-Transport-Security":    transportPolicy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
	edgeHeaders = with(gatewayHeaders, "Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	pageHeaders = with(edgeHeaders, "Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "+
		"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	// Slices say for themselves how their answers may be used.
	tenantHeaders = map[string]string{"Strict-Transport-Security": transportPolicy, "X-Content-Type-Options": "nosniff"}
)

func with(headers map[string]string, name, value string) map[string]string {
	all := map[string]string{name: value}
	for n, v := range headers {
		if n != name {
			all[n] = v
		}
	}
	return all
}

func checkSecurityHeaders(t testing.TB, got http.Header, want map[string]string) {
	t.Helper()
	for _, name := range securityHeaders {
		var values []string
		if v, ok := want[name]; ok {
			values = []string{v}
		}
		if !slices.Equal(got.Values(name), values) {
			t.Errorf("%s is %q, want %q", name, got.Values(name), values)
		}
	}
	if ids := got.Values("X-Request-Id"); len(ids) != 1 {
		t.Errorf("X-Request-Id is %q, want one", ids)
	}
	if cache := got.Values("Cache-Control"); len(cache) > 1 {
		t.Errorf("Cache-Control is %q, want one", cache)
	}
}

func TestSecurityHeadersAtTheEdge(t *testing.T) {
	b := setup(t)
	stranger, admin := b.client(t), b.client(t)
	email, adminPassword := b.Admin()
	admin.want(http.StatusOK, "POST", "/auth/login", map[string]string{"email": email, "password": adminPassword})
	asset := regexp.MustCompile(`/assets/[^"]+\.js`).FindString(string(stranger.want(http.StatusOK, "GET", "/", nil).body))
	if asset == "" {
		t.Fatal("the app has no script")
	}
	for _, c := range []struct {
		client       *client
		method, path string
		status       int
		cache        string
		want         map[string]string
	}{
		{stranger, "GET", "/", 200, "no-cache", pageHeaders},
		{stranger, "GET", "/inbox/of/the/app", 200, "no-cache", pageHeaders},
		{stranger, "GET", asset, 200, "public, max-age=31536000, immutable", edgeHeaders},
		{stranger, "GET", "/assets/nothing.js", 404, "no-store", edgeHeaders},
		{stranger, "GET", "/config.json", 200, "no-store", edgeHeaders},
		{stranger, "GET", "/edge-health", 200, "no-store", edgeHeaders},
		{stranger, "GET", "/metrics", 404, "no-store", edgeHeaders},
		{stranger, "GET", "/openapi.json", 200, "no-cache", gatewayHeaders},
		{stranger, "GET", "/auth/me", 401, "no-store", gatewayHeaders},
		{admin, "GET", "/auth/me", 200, "no-store", gatewayHeaders},
		{admin, "GET", "/auth/nothing", 404, "no-store", gatewayHeaders},
		{stranger, "DELETE", "/auth/login", 405, "no-store", gatewayHeaders},
		{admin, "GET", "/admin/pool", 200, "no-store", gatewayHeaders},
		{admin, "GET", "/admin/nothing", 404, "no-store", gatewayHeaders},
		{stranger, "GET", "/api/nothing", 401, "no-store", tenantHeaders},
		{stranger, "GET", "/socket.io/", 401, "no-store", tenantHeaders},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := c.client.want(c.status, c.method, c.path, nil)
			checkSecurityHeaders(t, a.header, c.want)
			if got := a.header.Get("Cache-Control"); got != c.cache {
				t.Errorf("Cache-Control is %q, want %q", got, c.cache)
			}
		})
	}
	t.Run("a slice's 404", func(t *testing.T) {
		u := b.signUp(t)
		checkSecurityHeaders(t, u.want(http.StatusNotFound, "GET", "/api/nothing", nil).header, tenantHeaders)
	})
}

// raw sends what no client would, and returns nginx's answer.
func (b *bundle) raw(t testing.TB, request string) answer {
	t.Helper()
	at, err := url.Parse(b.AppURL())
	if err != nil {
		t.Fatal(err)
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: b.CertPool(), NextProtos: []string{"http/1.1"}}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second) // clean-ups call it too
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

// What nginx refuses before the gateway sees it is answered as the gateway
// answers.
func TestErrorsOfTheEdgeAreProblems(t *testing.T) {
	b := setup(t)
	long := func(n int) string { return strings.Repeat("a", n) }
	get := func(path string, headers ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: app\r\n" + strings.Join(headers, "") + "\r\n"
	}
	for name, c := range map[string]struct {
		request, code string
		status        int
	}{
		"metrics":                        {get("/metrics"), "not_found", 404},
		"metrics of slices":              {get("/metrics/slices"), "not_found", 404},
		"health":                         {get("/healthz"), "not_found", 404},
		"readiness":                      {get("/readyz"), "not_found", 404},
		"the problem's own address":      {get("/edge-problem"), "not_found", 404},
		"a file that is not there":       {get("/assets/nothing.js"), "not_found", 404},
		"a folder":                       {get("/assets/"), "not_found", 404},
		"a method for a file":            {"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n", "method_not_allowed", 405},
		"TRACE":                          {"TRACE /auth/me HTTP/1.1\r\nHost: app\r\n\r\n", "method_not_allowed", 405},
		"no request":                     {"nonsense\r\n\r\n", "invalid", 400},
		"no host":                        {"GET /auth/me HTTP/1.1\r\n\r\n", "invalid", 400},
		"a path out of the root":         {get("/../etc/passwd"), "invalid", 400},
		"two lengths":                    {"POST /auth/login HTTP/1.1\r\nHost: app\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "invalid", 400},
		"a chunk without a length":       {"POST /auth/login HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "invalid", 400},
		"an unknown coding":              {"POST /auth/login HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: zip\r\n\r\n", "invalid", 501},
		"an unknown version":             {"GET / HTTP/3.0\r\nHost: app\r\n\r\n", "invalid", 505},
		"an address too long":            {get("/auth/" + long(9000)), "too_large", 414},
		"a file's address too long":      {get("/" + long(9000)), "too_large", 414},
		"a header too long":              {get("/auth/me", "X-Long: "+long(9000)+"\r\n"), "too_large", 431},
		"a cookie too long":              {get("/api/chats", "Cookie: a="+long(9000)+"\r\n"), "too_large", 431},
		"too many headers":               {get("/auth/me", strings.Repeat("X-Long: "+long(3000)+"\r\n", 8)), "too_large", 431},
		"a body too large for the edge":  {"POST /auth/login HTTP/1.1\r\nHost: app\r\nContent-Length: 70000000\r\n\r\n", "too_large", 413},
		"a body too large for the files": {"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 70000000\r\n\r\n", "too_large", 413},
	} {
		t.Run(name, func(t *testing.T) { checkEdgeProblem(t, b.raw(t, c.request), c.status, c.code) })
	}
	// Of headers that nginx takes the gateway must not find that they are too
	// many: Go says so in plain text.
	t.Run("as many headers as the edge takes", func(t *testing.T) {
		if a := b.raw(t, get("/auth/me", "X-Long: "+long(8000)+"\r\n", "X-Long: "+long(8000)+"\r\n")); a.status != http.StatusUnauthorized {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
	t.Run("a body too large in HTTP/2", func(t *testing.T) {
		browser := b.browser(t, &user{client: b.client(t)})
		a, err := browser.try(t.Context(), "POST", "/auth/login", long(70_000_000))
		if err != nil {
			t.Fatal(err)
		}
		checkEdgeProblem(t, a, http.StatusRequestEntityTooLarge, "too_large")
	})
	t.Run("a range of a file", func(t *testing.T) {
		a := b.raw(t, get("/", "Range: bytes=9999999-\r\n"))
		if a.status != http.StatusOK {
			t.Errorf("status %d, want the whole file", a.status)
		}
		checkSecurityHeaders(t, a.header, pageHeaders)
	})
	// Over plain HTTP nothing is promised for later.
	t.Run("plain HTTP", func(t *testing.T) {
		at := strings.TrimPrefix(b.AppURL(), "https://")
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+at+"/inbox", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMovedPermanently || res.Header.Get("Location") != b.AppURL()+"/inbox" || res.Header["Strict-Transport-Security"] != nil {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
}

func checkEdgeProblem(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	d := wantProblem(t, a)
	if d.Type != "/problems/"+code || d.RequestID == "" || d.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("problem %s with X-Request-Id %q, want /problems/%s", a.body, a.header.Get("X-Request-Id"), code)
	}
	if got := fmt.Sprint(a.header.Values("Cache-Control")); got != "[no-store]" {
		t.Errorf("Cache-Control is %s", got)
	}
	checkSecurityHeaders(t, a.header, edgeHeaders)
}

// Gateways that all fail their check, as for a moment of much work, are still asked.
func TestEdgeAsksGatewaysThatFailTheirCheck(t *testing.T) {
	b := setup(t)
	c := b.client(t)
	entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d gateways pass, %v", len(entries), err)
	}
	t.Cleanup(func() {
		for _, e := range entries {
			if err := b.Consul().Agent().DisableServiceMaintenance(e.Service.ID); err != nil {
				t.Error(err)
			}
		}
	})
	for _, e := range entries {
		if err := b.Consul().Agent().EnableServiceMaintenance(e.Service.ID, "test"); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		c.want(http.StatusUnauthorized, "GET", "/auth/me", nil)
		asked++
	}
	left, _, err := b.Consul().Health().Service("gateway", "", true, nil)
	if err != nil || len(left) > 0 || asked < 20 {
		t.Errorf("%d requests while %d gateways passed, %v", asked, len(left), err)
	}
}

// However many gateways go at once, a request ends at one that is there.
func TestEdgeAsksEveryGateway(t *testing.T) {
	b := setup(t)
	c := b.client(t)
	entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d gateways pass, %v", len(entries), err)
	}
	var asked [4]atomic.Int32
	for i := range asked {
		// It closes what it accepts, as one does that has just ended.
		ln, err := net.Listen("tcp", net.JoinHostPort(entries[0].Service.Address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				asked[i].Add(1)
				conn.Close()
			}
		}()
		id, port := fmt.Sprintf("gateway-that-ends-%d", i), ln.Addr().(*net.TCPAddr).Port
		if err := b.Consul().Agent().ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: "gateway", Address: entries[0].Service.Address, Port: port}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Consul().Agent().ServiceDeregister(id); err != nil {
				t.Error(err)
			}
		})
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c.want(http.StatusUnauthorized, "GET", "/auth/me", nil)
	}
	for i := range asked {
		if asked[i].Load() == 0 {
			t.Errorf("gateway %d was never asked", i)
		}
	}
}

// With no gateway there is still an answer, and what the edge has itself is served.
func TestEdgeWithoutGateways(t *testing.T) {
	b := setup(t)
	c := b.client(t)
	t.Cleanup(func() { // when it is over, the test's context too
		b.restartJob(t, "gateway")
		deadline := time.Now().Add(time.Minute)
		for {
			entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
			if err == nil && len(entries) == 2 && b.raw(t, "GET /auth/me HTTP/1.1\r\nHost: app\r\n\r\n").status == http.StatusUnauthorized {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d gateways pass, %v", len(entries), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	if _, _, err := b.Nomad().Jobs().Deregister("gateway", false, nil); err != nil {
		t.Fatal(err)
	}
	var a answer
	eventually(t, time.Minute, func() error {
		if a = c.do("GET", "/auth/me", nil); a.status != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d, want 503", a.status)
		}
		return nil
	})
	checkEdgeProblem(t, a, http.StatusServiceUnavailable, "unavailable")
	a = c.do("POST", "/auth/login", `{"email":"a@b.co","password":"0123456789"}`)
	checkEdgeProblem(t, a, http.StatusServiceUnavailable, "unavailable")
	if after := a.header.Values("Retry-After"); len(after) != 1 || after[0] != "5" {
		t.Errorf("Retry-After is %q", after)
	}
	checkSecurityHeaders(t, c.want(http.StatusOK, "GET", "/", nil).header, pageHeaders)
}
