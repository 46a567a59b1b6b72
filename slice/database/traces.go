package database

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxStatement bounds what a trace has of a statement, in bytes.
const maxStatement = 400

// queries makes a span of each query that is part of a trace.
type queries struct{ tracer trace.Tracer }

var _ pgx.QueryTracer = queries{}

// TraceQueryStart has the statement in the span, never its arguments.
func (q queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx // work in the background, or a trace that is not kept
	}
	text := strings.Join(strings.Fields(query.SQL[:min(len(query.SQL), maxStatement)]), " ")
	verb, _, _ := strings.Cut(text, " ")
	ctx, _ = q.tracer.Start(ctx, strings.ToUpper(verb), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "postgresql"), attribute.String("db.query.text", strings.ToValidUTF8(text, ""))))
	return context.WithValue(ctx, queryKey{}, true)
}

type queryKey struct{}

// TraceQueryEnd ends the span that TraceQueryStart began.
func (queries) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryEndData) {
	if ctx.Value(queryKey{}) == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if query.Err != nil {
		span.SetStatus(codes.Error, "") // PostgreSQL's text may name values
	}
	span.End()
}
