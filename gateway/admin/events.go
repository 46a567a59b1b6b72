package admin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/sockets"
)

const (
	pingEvery     = 25 * time.Second // nginx cuts a silent connection after 60 s
	pongWait      = 60 * time.Second // two pings and a bit
	writeTimeout  = 10 * time.Second // for one small frame
	readLimit     = 512              // bytes; clients have nothing to say
	bufferBytes   = 1024             // a frame has about 200
	eventsPending = 256              // frames that a slow client may be behind
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
	w, r := c.Writer, c.Request
	id, err := s.Sessions.Authenticate(r)
	if err == nil {
		err = s.Events.Origins.CheckWebSocket(r)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	closing := make(chan int, 1) // a close code
	sock, err := s.Events.Sockets.Add(sockets.Own, id.Session, id.User.ID, func(code int) {
		select {
		case closing <- code:
		default:
		}
	})
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	defer s.Events.Sockets.Remove(sock)
	// The session may have ended before the registry knew the socket.
	if _, err := s.Sessions.Lookup(r.Context(), id.Session); err != nil {
		request.Fail(w, r, err)
		return
	}
	watcher := s.Events.watch() // before the first frame: no change is missed
	defer s.Events.unwatch(watcher)
	upgrader := websocket.Upgrader{
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes, HandshakeTimeout: writeTimeout,
		CheckOrigin: func(*http.Request) bool { return true }, // checked above
		Error: func(w http.ResponseWriter, r *http.Request, _ int, reason error) {
			request.Fail(w, r, platform.Errorf(platform.ErrInvalid, "This address speaks WebSocket only.").WithCause(reason))
		},
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // answered
	}
	v := &view{service: s, conn: conn, session: id.Session, watcher: watcher, closing: closing}
	v.run()
}

// view is one open connection.
type view struct {
	service *Service
	conn    *websocket.Conn
	session [32]byte
	watcher *watcher
	closing <-chan int
}

func (v *view) run() {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		v.read()
	}()
	if code := v.write(gone); code != 0 {
		_ = v.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(writeTimeout))
		// The client closes first if it is there; do not wait for one that is not.
		_ = v.conn.SetReadDeadline(time.Now().Add(time.Second))
		<-gone
	}
	_ = v.conn.Close()
	<-gone
}

// read consumes pongs and closes; it returns when the client is gone.
func (v *view) read() {
	v.conn.SetReadLimit(readLimit)
	_ = v.conn.SetReadDeadline(time.Now().Add(pongWait))
	v.conn.SetPongHandler(func(string) error { return v.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		if _, _, err := v.conn.NextReader(); err != nil {
			return
		}
	}
}

// write sends the pool at once, then each event, and the pool again a little
// after those that changed it. It returns the code to close with, 0 when the
// client is gone.
func (v *view) write(gone <-chan struct{}) (code int) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	due := time.After(0) // when the pool is sent; nil while nothing changes
	for {
		select {
		case <-gone:
			return 0
		case code := <-v.closing:
			return code
		case <-v.watcher.behind:
			return websocket.CloseTryAgainLater
		case <-ping.C:
			if v.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
				return 0
			}
		case <-due:
			due = nil
			frame, code := v.pool()
			if code != 0 {
				return code
			}
			if v.send(frame) != nil {
				return 0
			}
		case ev := <-v.watcher.events:
			if ev.pool && due == nil {
				due = time.After(poolEvery)
			}
			if ev.Type != "" && v.send(ev) != nil {
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
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout) // the request's own ended with the hijack
	defer cancel()
	id, err := v.service.Sessions.Lookup(ctx, v.session)
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

func (v *view) send(frame any) error {
	_ = v.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return v.conn.WriteJSON(frame)
}
