package tracing

import (
	"testing"
	"time"
)

// SetFlush makes Close give up at once.
func (p *Provider) SetFlush(*testing.T) { p.flush = time.Millisecond }

// Flush sends what waits.
func (p *Provider) Flush(t *testing.T) {
	t.Helper()
	if err := p.sdk.ForceFlush(t.Context()); err != nil {
		t.Error(err)
	}
}
