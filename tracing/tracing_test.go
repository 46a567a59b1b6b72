package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caarlos0/env/v11"
	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform/tracing"
	"ipnoelp.io/platform/tracing/tracingtest"
)

func parse(t *testing.T) tracing.Config {
	t.Helper()
	c, err := env.ParseAs[tracing.Config]()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func faults(c tracing.Config) string {
	var all []string
	c.Validate(func(key, format string, args ...any) { all = append(all, key+": "+fmt.Sprintf(format, args...)) })
	return strings.Join(all, "\n")
}

func TestOffUnlessACollectorIsNamed(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"nothing set":     {},
		"no exporter":     {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
		"SDK disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
		"the rest is bad": {"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_EXPORTER_OTLP_HEADERS": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range set {
				t.Setenv(k, v)
			}
			c := parse(t)
			if f := faults(c); f != "" {
				t.Error(f)
			}
			p, err := tracing.New(c, "gateway", slog.New(slog.DiscardHandler))
			if err != nil || p != nil || p.Tracer() != nil {
				t.Errorf("provider %v, %v", p, err)
			}
			_, span := tracing.Start(t.Context(), p.Tracer(), "x")
			tracing.End(span, nil)
			p.Close()
		})
	}
}

func TestWrongConfigurationNamesTheVariable(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://:hunter2@["},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces?token=hunter2"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "hunter2"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "x=%zzhunter2"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a b=hunter2"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
		{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"},
		{"OTEL_TRACES_EXPORTER", "zipkin"},
		{"OTEL_TRACES_SAMPLER", "sometimes"},
		{"OTEL_TRACES_SAMPLER_ARG", "2"},
		{"OTEL_TRACES_SAMPLER_ARG", "NaN"},
		{"OTEL_RESOURCE_ATTRIBUTES", "hunter2"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
			t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
			t.Setenv(c.key, c.value)
			got := faults(parse(t))
			if !strings.HasPrefix(got, c.key+": ") || strings.Contains(got, "\n") || strings.Contains(got, "hunter2") {
				t.Errorf("faults %q", got)
			}
			if p, err := tracing.New(parse(t), "gateway", slog.New(slog.DiscardHandler)); err == nil && !strings.HasSuffix(c.key, "PROTOCOL") && !strings.HasSuffix(c.key, "EXPORTER") {
				p.Close()
				t.Error("it works all the same")
			}
		})
	}
}

func TestSpansArrive(t *testing.T) {
	collector := tracingtest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20secret")
	t.Setenv("OTEL_SERVICE_NAME", "crm-gateway")
	c := parse(t)
	if printed := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(printed, "secret&") || strings.Contains(printed, "a%20secret") {
		t.Errorf("printed: %s", printed)
	}
	p, err := tracing.New(c, "gateway", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, outer := tracing.Start(t.Context(), p.Tracer(), "outer")
	_, inner := tracing.Start(ctx, p.Tracer(), "inner")
	tracing.EndRequest(inner, 503)
	tracing.End(outer, nil)
	p.Close()
	a, b := collector.Named(t, "outer"), collector.Named(t, "inner")
	if a.Service != "crm-gateway" || a.Parent != "" || b.Parent != a.SpanID || b.TraceID != a.TraceID || a.Failed || !b.Failed || b.Attributes["http.response.status_code"] != "503" {
		t.Errorf("outer %+v, inner %+v", a, b)
	}
	if h := collector.Headers(); len(h) != 1 || h[0].Get("X-Key") != "a secret" {
		t.Errorf("headers %v", h)
	}
}

func TestSampling(t *testing.T) {
	collector := tracingtest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.URL+"/v1/traces")
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	p, err := tracing.New(parse(t), "slice", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, own := tracing.Start(t.Context(), p.Tracer(), "own")
	tracing.End(own, nil)
	kept := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	_, continued := tracing.Start(kept, p.Tracer(), "continued")
	tracing.End(continued, nil)
	p.Close()
	if s := collector.Named(t, "continued"); s.Parent != "0200000000000000" || len(collector.Spans()) != 1 {
		t.Errorf("spans %+v", collector.Spans())
	}
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// A collector that takes requests and never answers holds up nobody, and the log
// says so once.
func TestACollectorThatHangs(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release }))
	defer srv.Close()
	defer close(release) // Close has returned by then
	var log lines
	p, err := tracing.New(tracing.Config{Endpoint: srv.URL, Timeout: "60000"}, "gateway", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.SetFlush(t)
	for range 5000 { // more than the queue has room for
		_, span := tracing.Start(context.Background(), p.Tracer(), "x")
		tracing.End(span, nil)
	}
	<-arrived
	p.Close()
	if n := log.count("traces are lost"); n > 1 {
		t.Errorf("the log tells it %d times", n)
	}
}

func TestLostTracesAreToldOnce(t *testing.T) {
	answer := http.StatusServiceUnavailable
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) }))
	defer srv.Close()
	var log lines
	p, err := tracing.New(tracing.Config{Endpoint: srv.URL}, "gateway", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func() {
		_, span := tracing.Start(t.Context(), p.Tracer(), "x")
		tracing.End(span, nil)
		p.Flush(t)
	}
	send()
	send()
	if n := log.count("traces are lost"); n != 1 {
		t.Errorf("told %d times", n)
	}
	answer = http.StatusOK
	send()
	send()
	if n, lost := log.count("traces arrive again"), log.count("lost=2"); n != 1 || lost != 1 {
		t.Errorf("told %d times that they arrive, %d times what was lost", n, lost)
	}
}
