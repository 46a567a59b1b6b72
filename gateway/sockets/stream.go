package sockets

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
)

const (
	pingEvery   = 25 * time.Second // nginx cuts a silent connection after 60 s
	pongWait    = 60 * time.Second // two pings and a bit
	readLimit   = 512              // bytes; clients have nothing to say
	bufferBytes = 1024             // a frame has 70 to 200

	// WriteTimeout is for one small frame.
	WriteTimeout = 10 * time.Second
)

// Stream is one of the gateway's own sockets: it tells, and hears nothing.
type Stream struct {
	Identity *auth.Identity
	Closing  <-chan int      // a close code, when the socket is to end
	Gone     <-chan struct{} // closed when the client is gone
	Ping     <-chan time.Time

	conn *websocket.Conn
}

// Serve answers a WebSocket handshake of somebody who is logged in. watch is
// called before the switch, so that tell misses no change. tell says what there
// is to say until it returns the code to close with; 0 when the client is gone.
func (r *Registry) Serve(w http.ResponseWriter, req *http.Request, sessions *auth.Sessions, origins *auth.Origins, watch func(*auth.Identity), tell func(*Stream) (code int)) {
	id, err := sessions.Authenticate(req)
	if err == nil {
		request.From(req.Context()).UserID = id.User.ID
		err = origins.CheckWebSocket(req)
	}
	if err != nil {
		request.Fail(w, req, err)
		return
	}
	closing := make(chan int, 1)
	sock, err := r.Add(Own, id.Session, id.User.ID, id.EndsAt, func(code int) {
		select {
		case closing <- code:
		default:
		}
	})
	if err != nil {
		request.Fail(w, req, err)
		return
	}
	defer r.Remove(sock)
	// The session may have ended before the registry knew the socket.
	if _, err := sessions.Lookup(req.Context(), id.Session); err != nil {
		request.Fail(w, req, err)
		return
	}
	watch(id)
	upgrader := websocket.Upgrader{
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes, HandshakeTimeout: WriteTimeout,
		CheckOrigin: func(*http.Request) bool { return true }, // checked above
		Error: func(w http.ResponseWriter, r *http.Request, _ int, reason error) {
			request.Fail(w, r, platform.Errorf(platform.ErrInvalid, "This address speaks WebSocket only.").WithCause(reason))
		},
	}
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return // answered
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		drainReads(conn)
	}()
	if code := tell(&Stream{Identity: id, Closing: closing, Gone: gone, Ping: ping.C, conn: conn}); code != 0 {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(WriteTimeout))
		// The client closes first if it is there; do not wait for one that is not.
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		<-gone
	}
	_ = conn.Close()
	<-gone
}

// drainReads consumes pongs and closes; it returns when the client is gone.
func drainReads(conn *websocket.Conn) {
	conn.SetReadLimit(readLimit)
	_ = conn.SetReadDeadline(time.Now().Add(pongWait))
	conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}

// Send sends one frame of JSON; false when the client is gone.
func (s *Stream) Send(frame any) bool {
	b, err := json.Marshal(frame)
	if err != nil {
		return false // no frame of ours is of such a type
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(WriteTimeout))
	return s.conn.WriteMessage(websocket.TextMessage, b) == nil
}

// SendPing is due whenever Ping says so; false when the client is gone.
func (s *Stream) SendPing() bool {
	return s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(WriteTimeout)) == nil
}
