package slice

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/tracing"
)

// sends makes a trace of each message that is handed to WhatsApp. A message is
// sent when its turn comes, not while the request that wrote it is served, so the
// trace is one of its own.
type sends struct {
	inbox.WhatsApp
	tracer trace.Tracer
}

func traceSends(wa inbox.WhatsApp, tracer trace.Tracer) inbox.WhatsApp {
	if tracer == nil {
		return wa
	}
	return sends{wa, tracer}
}

var errNotSent = errors.New("not sent") // the real text may name people

func (s sends) Send(ctx context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error) {
	ctx, span := s.tracer.Start(ctx, "whatsapp send", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("message.type", o.Type), attribute.Bool("message.file", o.File != nil)))
	sent, err := s.WhatsApp.Send(ctx, o)
	result := err
	if err != nil {
		result = errNotSent
	}
	tracing.End(span, result)
	return sent, err
}
