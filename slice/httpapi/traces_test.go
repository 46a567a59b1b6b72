package httpapi

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm"
	"ipnoelp.io/platform/tracing/tracingtest"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"

func TestTracedRequests(t *testing.T) {
	t.Parallel()
	collector := tracingtest.New(t)
	p := collector.Provider(t, "slice")
	part := &recorder{}
	part.link.note = part.note
	h := New(Config{
		Number: 42, Token: token, Session: &part.link, Modules: []crm.Module{part}, Hub: new(Hub), Tracer: p.Tracer(),
		Migrated: func() bool { return true }, Healthy: func() bool { return true }, Logger: slog.New(slog.DiscardHandler),
	})
	ask := func(method, path, sampled string, change func(token *string)) {
		r := newRequest(method, path, `{"text":"top secret"}`)
		r.Header.Set("Traceparent", traceparent+sampled)
		r.Header.Set("Tracestate", "vendor=1")
		r.Header.Set(platform.HeaderUserEmail, "ana@example.com")
		proof := token
		change(&proof)
		r.Header.Set(platform.HeaderSliceToken, proof)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	ours, foreign := func(*string) {}, func(s *string) { *s = "x" }
	ask("POST", "/api/chats/1@c.us/messages?q=secret", "1", ours)
	ask("GET", "/api/nothing", "1", ours)
	ask("GET", "/api/chats", "0", ours)       // the gateway does not keep this one
	ask("DELETE", "/api/chats", "1", foreign) // not ours: nothing of it is believed
	ask("GET", "/metrics", "1", ours)         // no API
	ask("GET", "/socket.io/x", "1", foreign)  // likewise
	part.panic = true
	ask("GET", "/api/chats", "1", ours)
	p.Close()

	sent := collector.Named(t, "POST /api/chats/{id}/messages")
	if sent.TraceID != "0af7651916cd43dd8448eb211c80319c" || sent.Parent != "b7ad6b7169203331" || sent.Attributes["http.response.status_code"] != "201" || sent.Failed {
		t.Errorf("%+v", sent)
	}
	if s := collector.Named(t, "GET"); s.Attributes["http.response.status_code"] != "404" || s.Attributes["http.route"] != "" {
		t.Errorf("what has no route: %+v", s)
	}
	if s := collector.Named(t, "GET /api/chats"); s.Attributes["http.response.status_code"] != "500" || !s.Failed {
		t.Errorf("what panics: %+v", s)
	}
	if n := len(collector.Spans()); n != 3 {
		t.Errorf("%d spans, want 3: %+v", n, collector.Spans())
	}
	for _, s := range collector.Spans() {
		for _, secret := range []string{"1@c.us", "secret", token, "ana@example.com"} {
			if strings.Contains(s.Text, secret) {
				t.Errorf("%q is in %s", secret, s.Text)
			}
		}
	}
}
