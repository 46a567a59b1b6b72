package nomad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform/provisioner"
)

const (
	streamRetryMin = 100 * time.Millisecond
	streamRetryMax = 5 * time.Second
)

// Events watches the jobs of all slices.
type Events struct {
	client *api.Client
	log    *slog.Logger
}

var _ provisioner.Waker = (*Events)(nil)

// NewEvents returns a watch on Nomad's event stream.
func NewEvents(client *api.Client, log *slog.Logger) *Events { return &Events{client, log} }

// Watch calls wake whenever a slice's job was registered, stopped or purged,
// and each time the stream begins: events were missed until then. What an
// event says is not looked at: the stream repeats and drops some.
func (e *Events) Watch(ctx context.Context, wake func()) error {
	wait := streamRetryMin
	for {
		began, err := e.stream(ctx, wake)
		if ctx.Err() != nil {
			return nil
		}
		if began {
			wait = streamRetryMin
		}
		e.log.Warn("nomad event stream is down", "error", err, "retry_in", wait)
		timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = min(2*wait, streamRetryMax)
	}
}

// stream is one connection; began says that it delivered something.
func (e *Events) stream(ctx context.Context, wake func()) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	topics := map[api.Topic][]string{api.TopicJob: {"*"}}
	events, err := e.client.EventStream().Stream(ctx, topics, 0, read(ctx))
	if err != nil {
		return false, fmt.Errorf("event stream: %w", err)
	}
	wake()
	for batch := range events {
		if batch.Err != nil {
			return began, fmt.Errorf("event stream: %w", batch.Err)
		}
		began = true
		wake()
	}
	return began, errors.New("event stream: closed")
}
