// Package tracing sends OpenTelemetry traces to a collector, where the
// environment names one. Without one there is no tracer, and what would be
// traced asks for it with one comparison.
//
// A trace names no person: it has classes and patterns of routes, results,
// numbers of slices and ids of requests, by which the logs are found. Paths,
// queries, headers, ids of users and texts stay out.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names what makes the spans.
const scope = "ipnoelp.io/platform"

// flushTimeout bounds what Close waits for. It fits between a program's own
// shutdown and Nomad's kill_timeout.
const flushTimeout = 2 * time.Second

// Attributes that several programs set.
const (
	Slice     = attribute.Key("slice") // its number
	RequestID = attribute.Key("request_id")
	Route     = attribute.Key("http.route")
	Method    = attribute.Key("http.request.method")
	Status    = attribute.Key("http.response.status_code")
)

// Provider makes spans and sends them. A nil one is valid: tracing is off.
type Provider struct {
	sdk    *sdktrace.TracerProvider
	client *client
	flush  time.Duration
}

// New returns a provider of traces for the program service, nil where the
// configuration names no collector. It connects to nothing: a collector that
// cannot be reached costs traces, and neither time nor requests.
func New(c Config, service string, log *slog.Logger, attrs ...attribute.KeyValue) (*Provider, error) {
	if !c.on() {
		return nil, nil
	}
	client, err := newClient(c, log)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	sampler, err := c.sampler()
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_TRACES_SAMPLER: %w", err)
	}
	if c.ServiceName != "" {
		service = c.ServiceName
	}
	about, err := c.resource()
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	attrs = append([]attribute.KeyValue{attribute.String("service.name", service)}, attrs...)
	about, err = resource.Merge(resource.NewSchemaless(attrs...), about) // the environment's win
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	// The queue's bounds are those of the environment (OTEL_BSP_…), or 2048
	// spans; what finds it full is dropped.
	sdk := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSampler(sampler),
		sdktrace.WithBatcher(otlptrace.NewUnstarted(client)))
	log.Info("traces are sent", "endpoint", client.shown(), "service", service, "sampler", sampler.Description())
	return &Provider{sdk: sdk, client: client, flush: flushTimeout}, nil
}

// Tracer returns what makes spans; nil where tracing is off.
func (p *Provider) Tracer() trace.Tracer {
	if p == nil {
		return nil
	}
	return p.sdk.Tracer(scope)
}

// Close sends what is left, and gives up after two seconds.
func (p *Provider) Close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.flush)
	defer cancel()
	_ = p.sdk.Shutdown(ctx) // the client has said what was lost
	p.client.close()
}

// Start begins a span, or none where tracer is nil.
func Start(ctx context.Context, tracer trace.Tracer, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if tracer == nil {
		return ctx, noop.Span{}
	}
	return tracer.Start(ctx, name, opts...)
}

// End ends a span, as failed unless err is nil.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// EndRequest ends the span of a request that was answered with status.
func EndRequest(span trace.Span, status int) {
	span.SetAttributes(Status.Int(status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// KnownMethod returns a request's method, and one word for those that a client
// made up.
func KnownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return "_OTHER"
}

// HeaderTraceparent carries a span to the next program (W3C Trace Context).
const HeaderTraceparent = "Traceparent"

// Traceparent is the value of that header for a span.
func Traceparent(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}
