package httpapi

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/tracing"
)

// traced makes a span of each request to the API. It goes on with the gateway's
// trace, which the request may name once its identity is checked. Polls and
// sockets, which last, are not traced. A nil tracer changes nothing.
func traced(tracer trace.Tracer, next http.Handler) http.Handler {
	if tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		method := tracing.KnownMethod(r.Method)
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			tracing.Method.String(method), tracing.RequestID.String(r.Header.Get(platform.HeaderRequestID))))
		r = r.WithContext(ctx)
		status := http.StatusInternalServerError // of a panic
		defer func() {
			// The mux has put the pattern into the request; the path has ids.
			if _, route, _ := strings.Cut(r.Pattern, " "); route != "" {
				span.SetName(method + " " + route)
				span.SetAttributes(tracing.Route.String(route))
			}
			tracing.EndRequest(span, status)
		}()
		next.ServeHTTP(w, r)
		status = request.Status(r)
	})
}
