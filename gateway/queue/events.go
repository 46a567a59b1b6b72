package queue

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/sockets"
)

const (
	pingEvery    = 25 * time.Second // nginx cuts a silent connection after 60 s
	pongWait     = 60 * time.Second // two pings and a bit
	writeTimeout = 10 * time.Second // for one small frame
	readLimit    = 512              // bytes; clients have nothing to say
	bufferBytes  = 1024             // a frame has about 70
)

// Statuses tells how things stand with a user's slice.
type Statuses interface {
	Status(ctx context.Context, id *auth.Identity) (auth.SliceStatus, error)
}

// Events answers /auth/slice/events: a WebSocket with the status of the user's
// slice, once and at every change, until the slice is theirs.
type Events struct {
	Queue    *Queue
	Statuses Statuses
	Sessions *auth.Sessions
	Origins  *auth.Origins
	Sockets  *sockets.Registry
}

// Register adds the route.
func (e *Events) Register(r gin.IRouter) {
	r.GET("/auth/slice/events", func(c *gin.Context) { e.serve(c.Writer, c.Request) })
}

func (e *Events) serve(w http.ResponseWriter, r *http.Request) {
	id, err := e.Sessions.Authenticate(r)
	if err == nil {
		request.From(r.Context()).UserID = id.User.ID
		err = e.Origins.CheckWebSocket(r)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	closing := make(chan int, 1) // a close code
	sock, err := e.Sockets.Add(sockets.Own, id.Session, id.User.ID, func(code int) {
		select {
		case closing <- code:
		default:
		}
	})
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	defer e.Sockets.Remove(sock)
	// The session may have ended before the registry knew the socket.
	if _, err := e.Sessions.Lookup(r.Context(), id.Session); err != nil {
		request.Fail(w, r, err)
		return
	}
	watcher := e.Queue.Watch(id.User.ID) // before the first status: no change is missed
	defer watcher.Close()
	upgrader := websocket.Upgrader{
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes, HandshakeTimeout: writeTimeout,
		CheckOrigin: func(*http.Request) bool { return true }, // checked above
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			request.Fail(w, r, platform.Errorf(platform.ErrInvalid, "This address speaks WebSocket only.").WithCause(reason))
		},
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // answered
	}
	s := &stream{events: e, conn: conn, session: id.Session, watcher: watcher, closing: closing}
	s.run()
}

// stream is one open connection.
type stream struct {
	events  *Events
	conn    *websocket.Conn
	session [32]byte
	watcher *Watcher
	closing <-chan int
}

func (s *stream) run() {
	// The request's own context ends with the hijack.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		s.read()
	}()
	code := s.write(ctx, reading)
	if code != 0 {
		_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(writeTimeout))
		// The client closes first if it is there; do not wait for one that is not.
		_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
		<-reading
	}
	_ = s.conn.Close()
	<-reading
}

// read consumes pongs and closes; it returns when the client is gone.
func (s *stream) read() {
	s.conn.SetReadLimit(readLimit)
	_ = s.conn.SetReadDeadline(time.Now().Add(pongWait))
	s.conn.SetPongHandler(func(string) error { return s.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		if _, _, err := s.conn.NextReader(); err != nil {
			return
		}
	}
}

// write sends a frame at once and at every change. It returns the code to
// close with, 0 when the client is gone.
func (s *stream) write(ctx context.Context, gone <-chan struct{}) (code int) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var last auth.SliceStatus
	for {
		st, err := s.status(ctx)
		switch {
		case platform.CodeOf(err) == platform.ErrUnauthenticated:
			return sockets.ClosePolicyViolation
		case err != nil:
			return websocket.CloseTryAgainLater
		case !st.Equal(last):
			if s.send(st) != nil {
				return 0
			}
			last = st
		}
		if st.State == string(platform.SliceAssigned) {
			return websocket.CloseNormalClosure
		}
		for waiting := true; waiting; {
			select {
			case <-gone:
				return 0
			case code := <-s.closing:
				return code
			case <-s.watcher.C:
				waiting = false
			case <-ping.C:
				if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
					return 0
				}
			}
		}
	}
}

func (s *stream) status(ctx context.Context) (auth.SliceStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	id, err := s.events.Sessions.Lookup(ctx, s.session)
	if err != nil {
		return auth.SliceStatus{}, err
	}
	// The position that the last round found spares each waiting user a query.
	if p, ok := s.watcher.Position(); ok && id.Slice.Number == 0 {
		return auth.Queued(p), nil
	}
	return s.events.Statuses.Status(ctx, id)
}

func (s *stream) send(st auth.SliceStatus) error {
	b, err := json.Marshal(st)
	if err != nil {
		return errors.Join(errors.New("events: encode status"), err)
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.conn.WriteMessage(websocket.TextMessage, b)
}
