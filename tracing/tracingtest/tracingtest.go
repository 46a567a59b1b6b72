// Package tracingtest has a collector of traces for tests, in the test's own
// process.
package tracingtest

import (
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"ipnoelp.io/platform/tracing"
)

// Span is one that arrived.
type Span struct {
	Service, Name           string
	TraceID, SpanID, Parent string // in hexadecimal; Parent is "" for the first of a trace
	Kind                    string // SPAN_KIND_SERVER and so on
	Failed                  bool
	Attributes              map[string]string // numbers as the text of them
	Text                    string            // all that was said of it
}

// Collector takes spans over HTTP, as OTLP says.
type Collector struct {
	URL string

	mu      sync.Mutex
	spans   []Span        // guarded by mu
	headers []http.Header // guarded by mu; of each request
}

// New returns a running collector; the test's end stops it.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return c
}

// Provider returns a provider of traces that sends to the collector. Close it
// before looking at what arrived.
func (c *Collector) Provider(t testing.TB, service string) *tracing.Provider {
	t.Helper()
	p, err := tracing.New(tracing.Config{Endpoint: c.URL}, service, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &data) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	for _, of := range data.ResourceSpans {
		service := attributes(of.Resource.GetAttributes())["service.name"]
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, Span{
					Service: service, Name: s.Name, Kind: s.Kind.String(), Failed: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
					TraceID: hex.EncodeToString(s.TraceId), SpanID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Attributes: attributes(s.Attributes), Text: s.String(),
				})
			}
		}
	}
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	all := make(map[string]string)
	for _, a := range list {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.Key] = strconv.FormatInt(v.IntValue, 10)
		}
	}
	return all
}

// Spans returns what arrived, in the order in which it ended.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Clear forgets what arrived.
func (c *Collector) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans, c.headers = nil, nil
}

// Headers returns those of the requests that came.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]http.Header(nil), c.headers...)
}

// Named returns the only span of that name.
func (c *Collector) Named(t testing.TB, name string) Span {
	t.Helper()
	var found []Span
	for _, s := range c.Spans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %q among %+v", len(found), name, c.Spans())
	}
	return found[0]
}
