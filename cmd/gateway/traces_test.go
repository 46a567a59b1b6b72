package main

import (
	"encoding/base64"
	"log/slog"
	"net/http/httptest"
	"testing"

	"ipnoelp.io/platform/tracing/tracingtest"
)

// The whole program, as the environment configures it: what a request leaves is
// with the collector once the program is closed.
func TestTracesByTheEnvironment(t *testing.T) {
	collector := tracingtest.New(t)
	for k, v := range map[string]string{
		"DATABASE_URL": "postgres://gateway@127.0.0.1:1/platform", "CONSUL_HTTP_ADDR": "127.0.0.1:1", "PUBLIC_URL": "https://app.example.com",
		"PLATFORM_KEY": base64.StdEncoding.EncodeToString(platformKeyForTest), "OTEL_SERVICE_NAME": "crm",
	} {
		t.Setenv(k, v)
	}
	for endpoint, want := range map[string]int{"": 0, collector.URL: 1} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
		cfg, err := ParseConfig()
		if err != nil {
			t.Fatal(err)
		}
		app, err := Build(cfg, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		app.gateway.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/chats", nil))
		app.Close()
		if w.Code != 401 || len(collector.Spans()) != want {
			t.Errorf("endpoint %q: answer %d, spans %+v; want 401 and %d", endpoint, w.Code, collector.Spans(), want)
		}
		for _, s := range collector.Spans() {
			if s.Service != "crm" || s.Name != "GET tenant_api" || s.Attributes["http.response.status_code"] != "401" {
				t.Errorf("%+v", s)
			}
		}
		collector.Clear()
	}
}
