package socketio

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// serveWebSocket begins a session over WebSocket, or moves the session c there.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, c *session) {
	if r.Method != http.MethodGet || r.Header.Get("Upgrade") == "" {
		refuse(w, "A WebSocket handshake is expected here.")
		return
	}
	fresh := c == nil
	if fresh {
		var err error
		if c, err = s.open(webSocket); err != nil {
			problem.Write(w, err)
			return
		}
		defer c.close()
	} else if !c.beginUpgrade() {
		problem.Write(w, platform.Errorf(platform.ErrConflict, "The session has a WebSocket already."))
		return
	}
	// Who may connect is decided before: only the gateway reaches this, and it
	// checks the Origin. Compression costs memory for each client.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		c.endUpgrade(false)
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxPayload)

	if fresh {
		if write(c.ctx, conn, c.openPacket()) != nil {
			return
		}
	} else {
		ok := c.probe(conn)
		c.endUpgrade(ok)
		if !ok {
			return
		}
		defer c.close()
	}
	c.serveFrames(conn)
}

// serveFrames relays until either side ends.
func (c *session) serveFrames(conn *websocket.Conn) {
	done := make(chan struct{})
	go func() { // ends with the session, which the reader below ends
		defer close(done)
		c.writeFrames(conn)
	}()
	for {
		kind, data, err := conn.Read(c.ctx)
		if err != nil {
			break
		}
		if kind == websocket.MessageText {
			c.receive(string(data))
		}
	}
	c.close()
	<-done
}

func (c *session) writeFrames(conn *websocket.Conn) {
	for {
		for _, packet := range c.take(webSocket) {
			if write(c.ctx, conn, packet) != nil {
				c.close()
				return
			}
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		}
	}
}

func write(ctx context.Context, conn *websocket.Conn, packet string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, []byte(packet))
}

// beginUpgrade reports whether the session may be tried over a WebSocket.
func (c *session) beginUpgrade() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != polling || c.upgrading || c.ctx.Err() != nil {
		return false
	}
	c.upgrading = true
	return true
}

// endUpgrade makes WebSocket the session's transport, or leaves it with polling.
func (c *session) endUpgrade(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upgrading, c.probed = false, false
	if ok {
		c.transport = webSocket
	}
	c.ring()
}

// probe tests the WebSocket: ping, pong, and the client's word that it moved.
// The client gives it only when its last poll was answered.
func (c *session) probe(conn *websocket.Conn) bool {
	ctx, cancel := context.WithTimeout(c.ctx, upgradeTimeout)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil || string(data) != enginePing+probe {
		return false
	}
	if write(ctx, conn, enginePong+probe) != nil {
		return false
	}
	c.mu.Lock()
	c.probed = true
	c.ring() // the poll that waits
	c.mu.Unlock()
	_, data, err = conn.Read(ctx)
	return err == nil && string(data) == engineUpgrade
}
