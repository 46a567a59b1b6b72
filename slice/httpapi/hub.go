package httpapi

import (
	"context"
	"log/slog"

	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/socketio"
	"ipnoelp.io/platform/slice/whatsapp"
)

// Viewers is who has to know that somebody looks at the status.
type Viewers interface {
	// AddViewer says that somebody looks until leave is called.
	AddViewer() (leave func())
	// Look returns the status for somebody who is about to see it.
	Look(ctx context.Context) whatsapp.Status
}

// Hub tells every connected client what happens. Who connects is told the
// status first.
type Hub struct{ *socketio.Server }

// NewHub returns a hub without clients.
func NewHub(viewers Viewers, log *slog.Logger) *Hub {
	return &Hub{socketio.New(socketio.Config{
		Logger: log,
		OnConnect: func(ctx context.Context, c *socketio.Client) {
			defer viewers.AddViewer()()
			c.Emit(inbox.EventState, viewers.Look(ctx))
			<-ctx.Done()
		},
	})}
}

// Publish tells all clients. It does not wait for them.
func (h *Hub) Publish(event string, payload any) { h.Broadcast(event, payload) }
