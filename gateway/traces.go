package gateway

import (
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/tracing"
)

// startSpan begins the trace of a request: always a new one, since what a client
// says of traces is nobody's word here. It returns nil where none is made.
func (g *Gateway) startSpan(r *http.Request, info *request.Info) trace.Span {
	if g.Tracer == nil || info.Route == request.RouteOps { // health checks, every second
		return nil
	}
	method := tracing.KnownMethod(r.Method)
	_, span := g.Tracer.Start(r.Context(), method+" "+string(info.Route), trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(tracing.Method.String(method), tracing.Route.String(string(info.Route)), tracing.RequestID.String(info.ID)))
	info.Traceparent = tracing.Traceparent(span.SpanContext())
	return span
}

func endSpan(span trace.Span, info *request.Info, status int) {
	if span == nil {
		return
	}
	if info.Slice != 0 {
		span.SetAttributes(tracing.Slice.Int(info.Slice))
	}
	tracing.EndRequest(span, status)
}
