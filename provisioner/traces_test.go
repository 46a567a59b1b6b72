package provisioner_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// names returns the spans' names, and those in them of the span named parent.
func names(spans tracetest.SpanStubs, parent string) (all, children []string) {
	for _, s := range spans {
		all = append(all, s.Name)
		i := slices.IndexFunc(spans, func(p tracetest.SpanStub) bool { return p.SpanContext.SpanID() == s.Parent.SpanID() })
		if i >= 0 && spans[i].Name == parent {
			children = append(children, s.Name)
		}
	}
	return all, children
}

func TestTraceOfASlice(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		exporter := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		b.opts.Tracer = provider.Tracer("test")
		_, stop := b.start(t)
		after(2 * startTime)
		b.expect(t, states{warm: {1}})
		stop()

		spans := exporter.GetSpans()
		all, steps := names(spans, "make")
		if want := []string{"create-role", "create-database", "write-variable", "register-job"}; !slices.Equal(steps, want) {
			t.Errorf("steps of make: %v among %v", steps, all)
		}
		if _, actions := names(spans, "reconcile"); !slices.Contains(actions, "make") || !slices.Contains(actions, "transition") {
			t.Errorf("actions: %v among %v", actions, all)
		}
		rounds := 0
		for _, s := range spans {
			switch s.Name {
			case "reconcile":
				rounds++
			case "make", "transition":
				if attr := attributesOf(s); attr["slice"] != "1" || s.Status.Code == codes.Error {
					t.Errorf("%s: %v, %v", s.Name, attr, s.Status)
				}
			}
		}
		if rounds > 3 { // one asks for the slice, one makes it warm; others have nothing to do
			t.Errorf("%d rounds in traces: %v", rounds, all)
		}
	})
}

func attributesOf(s tracetest.SpanStub) map[string]string {
	all := make(map[string]string)
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

func TestTraceOfAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		exporter := tracetest.NewInMemoryExporter()
		b.opts.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)).Tracer("test")
		b.databases.FailOn(func(_ string, number int) error {
			if number == 0 { // reading what is there
				return nil
			}
			return errors.New("no room on the disk")
		})
		_, stop := b.start(t)
		after(startTime)
		stop()
		failed := 0
		for _, s := range exporter.GetSpans() {
			if s.Status.Code == codes.Error && strings.Contains(s.Status.Description, "no room on the disk") {
				failed++
			}
		}
		if failed < 2 { // the step and its action
			t.Errorf("failed: %d of %+v", failed, exporter.GetSpans())
		}
	})
}
