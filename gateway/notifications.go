package gateway

import (
	"context"
	"fmt"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/admin"
)

// recheckTimeout is for one query after the notifications were interrupted.
const recheckTimeout = 5 * time.Second

// SessionEnded says that a session or an API token ended, here or on another gateway.
func (g *Gateway) SessionEnded(tokenHash [32]byte) {
	g.tokens.Invalidate(tokenHash)
	g.sessions.Invalidate(tokenHash) // first: a socket that opens now is checked after it is registered
	g.sockets.CloseSession(tokenHash)
}

// SliceChanged says that a slice is in another state, or with another user.
func (g *Gateway) SliceChanged(number int, state platform.SliceState, userID string) {
	if userID != "" {
		g.sessions.InvalidateUser(userID)
		g.tokens.InvalidateUser(userID)
		if state != platform.SliceAssigned {
			g.sockets.CloseSlice(userID)
		}
		g.queue.Signal(userID)
	}
	if state == platform.SliceWarm {
		g.queue.Wake()
	}
	g.events.Publish(admin.SliceEvent(number, state, userID))
}

// UserChanged says that an account was made, changed, blocked or deleted.
func (g *Gateway) UserChanged(userID string, state platform.UserState) {
	g.userChanged(userID, state)
	g.events.Publish(admin.UserEvent(userID, state))
}

// userChanged does so at once where it was changed; the notification follows.
func (g *Gateway) userChanged(userID string, state platform.UserState) {
	if state == platform.UserCreated {
		return // nothing is remembered of it yet
	}
	g.sessions.InvalidateUser(userID)
	g.tokens.InvalidateUser(userID)
	if state != platform.UserActive {
		g.sockets.CloseUser(userID)
	}
}

// QueueChanged says that somebody joined or left the queue.
func (g *Gateway) QueueChanged() {
	g.queue.Wake()
	g.events.Publish(admin.QueueEvent())
}

// SettingsChanged says that an admin changed settings: nothing is remembered of
// them here but by those who look on.
func (g *Gateway) SettingsChanged() { g.events.Publish(admin.SettingsEvent()) }

// NotificationsUp says that from now on all changes are told. What changed
// before is found out here.
func (g *Gateway) NotificationsUp(ctx context.Context) {
	g.sessions.Resume()
	g.tokens.Resume()
	g.metrics.ListenerUp.Set(1)
	g.queue.Wake()
	g.events.Publish(admin.ResyncEvent())
	if err := g.recheckSockets(ctx); err != nil {
		g.Log.Error("open sockets were not checked", "error", err)
	}
}

// NotificationsDown says that changes may be missed from now on.
func (g *Gateway) NotificationsDown() {
	g.sessions.Suspend()
	g.tokens.Suspend()
	g.metrics.ListenerUp.Set(0)
}

// recheckSockets closes the sockets whose end was missed; all of them if that
// cannot be told: clients come back by themselves.
func (g *Gateway) recheckSockets(ctx context.Context) error {
	open := g.sockets.Sessions()
	if len(open) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	served, err := g.Store.SessionsServed(ctx, open)
	for _, hash := range open {
		hasSlice, valid := served[hash]
		switch {
		case err != nil || !valid:
			g.sockets.CloseSession(hash)
		case !hasSlice: // any more: what tells the user of the queue stays
			g.sockets.CloseSliceOf(hash)
		}
	}
	if err != nil {
		return fmt.Errorf("recheck %d sessions, their sockets are closed: %w", len(open), err)
	}
	return nil
}
