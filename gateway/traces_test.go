package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/proxy"
	"ipnoelp.io/platform/slice/crm"
	"ipnoelp.io/platform/slice/httpapi"
	"ipnoelp.io/platform/tracing/tracingtest"
)

// chats is a part of a slice that notes what headers it gets.
type chats struct {
	mu   sync.Mutex
	seen []http.Header // guarded by mu
}

func (c *chats) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/chats/{id}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, r.Header.Clone())
		w.Write([]byte("a chat"))
	})
}

func (c *chats) Run(context.Context) {}

func (c *chats) last(t *testing.T) http.Header {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) == 0 {
		t.Fatal("the slice got no request")
	}
	return c.seen[len(c.seen)-1]
}

// setupTraced is a gateway with one user, whose slice is a real one's handler.
func setupTraced(t *testing.T, ofGateway, ofSlice trace.Tracer) (b *testBundle, part *chats, cookie string) {
	t.Helper()
	part = new(chats)
	slice := httptest.NewServer(httpapi.New(httpapi.Config{
		Number: 1, Token: platform.SliceToken(make([]byte, 32), 1, 1), Modules: []crm.Module{part}, Hub: new(httpapi.Hub), Tracer: ofSlice,
		Healthy: func() bool { return true }, Migrated: func() bool { return true }, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(slice.Close)
	b = setupWith(t, fixedSlices{1: slice.Listener.Addr().String()}, proxy.Limits{Requests: 10, Rate: 1000, Burst: 1000}, func(o *Options) { o.Tracer = ofGateway })
	b.store.addSlice(platform.SliceWarm)
	return b, part, b.signUp(t, "ana@example.com")
}

// untrusted is what a client says of traces.
func untrusted() http.Header {
	return http.Header{
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"vendor=1"}, "Baggage": {"user=ana"},
		"X-Request-Id": {"0123456789abcdef"},
	}
}

func TestOneTraceThroughGatewayAndSlice(t *testing.T) {
	collector := tracingtest.New(t)
	ofGateway, ofSlice := collector.Provider(t, "gateway"), collector.Provider(t, "slice")
	b, part, cookie := setupTraced(t, ofGateway.Tracer(), ofSlice.Tracer())
	const path = "/api/chats/491701234567@c.us?q=secret-query"
	if res, body := b.call(t, "GET", path, cookie, "", untrusted()); res.StatusCode != 200 || body != "a chat" {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	b.call(t, "GET", "/healthz", "", "", nil)
	ofGateway.Close()
	ofSlice.Close()

	outer, inner := collector.Named(t, "GET tenant_api"), collector.Named(t, "GET /api/chats/{id}")
	if outer.Service != "gateway" || outer.Parent != "" || outer.Kind != "SPAN_KIND_SERVER" || outer.Failed {
		t.Errorf("the gateway's span: %+v", outer)
	}
	if inner.Service != "slice" || inner.TraceID != outer.TraceID || inner.Parent != outer.SpanID || inner.Kind != "SPAN_KIND_SERVER" {
		t.Errorf("the slice's span: %+v, the gateway's %+v", inner, outer)
	}
	for key, want := range map[string]string{"slice": "1", "request_id": "0123456789abcdef", "http.route": "tenant_api", "http.request.method": "GET", "http.response.status_code": "200"} {
		if outer.Attributes[key] != want {
			t.Errorf("%s is %q at the gateway, want %q", key, outer.Attributes[key], want)
		}
	}
	for key, want := range map[string]string{"request_id": "0123456789abcdef", "http.route": "/api/chats/{id}", "http.response.status_code": "200"} {
		if inner.Attributes[key] != want {
			t.Errorf("%s is %q at the slice, want %q", key, inner.Attributes[key], want)
		}
	}
	for _, s := range collector.Spans() {
		if strings.Contains(s.Name, "ops") {
			t.Error("health checks are traced")
		}
		for _, secret := range []string{"491701234567", "secret-query", "ana@", cookie, "0af7651916cd43dd8448eb211c80319c", platform.SliceToken(make([]byte, 32), 1, 1)} {
			if strings.Contains(s.Text, secret) {
				t.Errorf("%q is in %s", secret, s.Text)
			}
		}
	}
	h := part.last(t)
	if strings.Contains(h.Get("Traceparent"), "0af7651916cd43dd") || h["Tracestate"] != nil || h["Baggage"] != nil {
		t.Errorf("the client's words reach the slice: %v", h)
	}
}

func TestWithoutTracesNothingIsAdded(t *testing.T) {
	b, part, cookie := setupTraced(t, nil, nil)
	if res, _ := b.call(t, "GET", "/api/chats/1", cookie, "", untrusted()); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	if h := part.last(t); h["Traceparent"] != nil || h["Tracestate"] != nil || h["Baggage"] != nil {
		t.Errorf("the slice gets %v", h)
	}
}

func TestFailuresAreInTheTrace(t *testing.T) {
	collector := tracingtest.New(t)
	p := collector.Provider(t, "gateway")
	b, _, cookie := setupTraced(t, p.Tracer(), nil)
	b.Resolver.(fixedSlices)[1] = "127.0.0.1:1" // nobody listens there
	if res, _ := b.call(t, "GET", "/api/chats/1", cookie, "", nil); res.StatusCode != 502 {
		t.Errorf("%d", res.StatusCode)
	}
	if res, _ := b.call(t, "BREW", "/api/chats/1", cookie, "", nil); res.StatusCode != 405 {
		t.Errorf("%d", res.StatusCode)
	}
	p.Close()
	if s := collector.Named(t, "GET tenant_api"); !s.Failed || s.Attributes["http.response.status_code"] != "502" || s.Attributes["slice"] != "1" {
		t.Errorf("%+v", s)
	}
	if s := collector.Named(t, "_OTHER tenant_api"); s.Failed || s.Attributes["http.response.status_code"] != "405" {
		t.Errorf("%+v", s)
	}
}

// The span of a WebSocket is its handshake, which ends before the socket does.
func TestASocketsSpanEndsWithTheHandshake(t *testing.T) {
	collector := tracingtest.New(t)
	p := collector.Provider(t, "gateway")
	x := setupTenants(t, func(o *Options) { o.Tracer = p.Tracer() })
	conn := x.dial(t)
	io.WriteString(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: app.example.com\r\nOrigin: https://app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: __Host-session="+x.anaCookie+"\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 101") {
		t.Fatalf("%q", answer)
	}
	p.Close()
	if s := collector.Named(t, "GET tenant_socket"); s.Attributes["http.response.status_code"] != "101" || s.Attributes["slice"] != "1" {
		t.Errorf("%+v", s)
	}
}

func TestACollectorThatHangsHoldsUpNoRequest(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	collector := &tracingtest.Collector{}
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release }))
	defer srv.Close()
	defer close(release)
	collector.URL = srv.URL
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1") // ms until spans are sent
	p := collector.Provider(t, "gateway")
	b, _, cookie := setupTraced(t, p.Tracer(), nil)
	hung := false
	for !hung {
		if res, body := b.call(t, "GET", "/api/chats/1", cookie, "", nil); res.StatusCode != 200 || body != "a chat" {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		select {
		case <-arrived:
			hung = true // and the next requests are served all the same
		default:
		}
	}
	for range 20 {
		if res, _ := b.call(t, "GET", "/api/chats/1", cookie, "", nil); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
	}
	p.Close() // gives up before the collector answers
}
