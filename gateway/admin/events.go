package admin

import (
	"context"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/sockets"
)

const (
	eventsPending = 256 // frames that a slow client may be behind
	poolEvery     = 500 * time.Millisecond
)

// Event is a frame of the live view. Which fields it has depends on its type.
type Event struct {
	Type   string `json:"type"` // slice, user, settings or resync
	Number int    `json:"number,omitempty"`
	State  string `json:"state,omitempty"`
	UserID string `json:"user_id,omitempty"`
	pool   bool   // the pool may have changed
}

// SliceEvent says that a slice is in another state, or with another user.
func SliceEvent(number int, state platform.SliceState, userID string) Event {
	return Event{Type: "slice", Number: number, State: string(state), UserID: userID, pool: true}
}

// UserEvent says that an account was made, changed, blocked or deleted.
func UserEvent(userID string, state platform.UserState) Event {
	return Event{Type: "user", UserID: userID, State: string(state)}
}

// QueueEvent says that somebody joined or left the queue; it is told by the
// pool alone.
func QueueEvent() Event { return Event{pool: true} }

// SettingsEvent says that settings changed.
func SettingsEvent() Event { return Event{Type: "settings", pool: true} }

// ResyncEvent says that events may have been missed.
func ResyncEvent() Event { return Event{Type: "resync", pool: true} }

// Events answers /admin/events: a WebSocket with what changes, as it does. It
// is safe for concurrent use.
type Events struct {
	Sessions *auth.Sessions
	Origins  *auth.Origins
	Sockets  *sockets.Registry

	mu       sync.Mutex
	watchers map[*watcher]struct{} // guarded by mu
}

// watcher is one connection's share of the events.
type watcher struct {
	events chan Event
	behind chan struct{} // closed when the client is too slow
}

// Publish tells everybody who watches. It never waits: who is too far behind
// is sent away, and reads everything again.
func (e *Events) Publish(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watchers {
		select {
		case w.events <- ev:
		default:
			close(w.behind)
			delete(e.watchers, w)
		}
	}
}

func (e *Events) watch() *watcher {
	w := &watcher{events: make(chan Event, eventsPending), behind: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watchers == nil {
		e.watchers = make(map[*watcher]struct{})
	}
	e.watchers[w] = struct{}{}
	return w
}

func (e *Events) unwatch(w *watcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.watchers, w)
}

func (s *Service) events(c *gin.Context) {
	v := &view{service: s}
	defer func() { s.Events.unwatch(v.watcher) }() // of none, where nobody watched
	s.Events.Sockets.Serve(c.Writer, c.Request, s.Sessions, s.Events.Origins,
		func(*auth.Identity) { v.watcher = s.Events.watch() },
		func(stream *sockets.Stream) int {
			v.Stream = stream
			return v.write()
		})
}

// view is one open connection.
type view struct {
	*sockets.Stream
	service *Service
	watcher *watcher
}

// write sends the pool at once, then each event, and the pool again a little
// after those that changed it. It returns the code to close with, 0 when the
// client is gone.
func (v *view) write() (code int) {
	due := time.After(0) // when the pool is sent; nil while nothing changes
	for {
		select {
		case <-v.Gone:
			return 0
		case code := <-v.Closing:
			return code
		case <-v.watcher.behind:
			return websocket.CloseTryAgainLater
		case <-v.Ping:
			if !v.SendPing() {
				return 0
			}
		case <-due:
			due = nil
			frame, code := v.pool()
			if code != 0 {
				return code
			}
			if !v.Send(frame) {
				return 0
			}
		case ev := <-v.watcher.events:
			if ev.pool && due == nil {
				due = time.After(poolEvery)
			}
			if ev.Type != "" && !v.Send(ev) {
				return 0
			}
		}
	}
}

type poolEvent struct {
	Type   string                      `json:"type"` // pool
	Target int                         `json:"target"`
	Queued int                         `json:"queued"`
	Slices map[platform.SliceState]int `json:"slices"`
}

// pool returns a frame about the pool, or the code to close with. It also asks
// again whether the client is an admin.
func (v *view) pool() (frame poolEvent, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), sockets.WriteTimeout) // the request's own ended with the hijack
	defer cancel()
	id, err := v.service.Sessions.Lookup(ctx, v.Identity.Session)
	switch {
	case platform.CodeOf(err) == platform.ErrUnavailable:
		return frame, websocket.CloseTryAgainLater
	case err != nil || id.User.Role != platform.RoleAdmin:
		return frame, sockets.ClosePolicyViolation
	}
	target, queued, counts, err := v.service.poolNow(ctx)
	if err != nil {
		return frame, websocket.CloseTryAgainLater
	}
	return poolEvent{Type: "pool", Target: target, Queued: queued, Slices: everyState(counts)}, 0
}
