package provisioner

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"ipnoelp.io/platform/tracing"
)

// traceRound begins the trace of a round that has something to do: it began when
// the round did, and its actions belong to it, those too that end after it.
func (r *run) traceRound(actions []Action) (context.Context, trace.Span) {
	reportsOnly := !slices.ContainsFunc(actions, func(a Action) bool { return a.Kind != Report })
	if r.opts.Tracer == nil || reportsOnly {
		return r.ctx, noop.Span{}
	}
	ctx, span := r.opts.Tracer.Start(r.ctx, "reconcile", trace.WithNewRoot(), trace.WithTimestamp(r.roundStart),
		trace.WithAttributes(attribute.Int("actions", len(actions))))
	span.AddEvent("planned")
	return ctx, span
}

func (r *run) traceAction(ctx context.Context, a Action) (context.Context, trace.Span) {
	if r.opts.Tracer == nil {
		return ctx, noop.Span{}
	}
	attrs := []attribute.KeyValue{tracing.Slice.Int(a.Number), attribute.String("state.from", string(a.From))}
	if a.To != "" {
		attrs = append(attrs, attribute.String("state.to", string(a.To)), attribute.String("reason", a.Reason))
	}
	return r.opts.Tracer.Start(ctx, string(a.Kind), trace.WithAttributes(attrs...))
}
