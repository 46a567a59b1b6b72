package proxy

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/sockets"
)

const (
	socketWriteTimeout = 60 * time.Second // for a client to take one piece
	closeTimeout       = time.Second      // for a client to take the close frame
)

func (p *Proxy) serveWebSocket(w http.ResponseWriter, r *http.Request, id *auth.Identity) {
	if err := p.Origins.CheckWebSocket(r); err != nil {
		p.fail(w, r, err)
		return
	}
	up := &upgrader{ResponseWriter: w}
	sock, err := p.Sockets.Add(sockets.Slice, id.Session, id.User.ID, up.closeWith)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer p.Sockets.Remove(sock)
	// The session may have ended before the registry knew the socket.
	if id, err = p.admit(r); err != nil {
		p.fail(w, r, err)
		return
	}
	p.reverse.ServeHTTP(up, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
}

// upgrader is an answer that becomes a WebSocket which can be closed from
// outside, before or after the switch.
type upgrader struct {
	http.ResponseWriter

	mu     sync.Mutex
	conn   *clientConn // guarded by mu
	closed bool        // guarded by mu
}

// Unwrap is for ReverseProxy to flush through.
func (u *upgrader) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// Hijack is how ReverseProxy takes over the client's connection.
func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if u.closed {
		conn.Close()
		return nil, nil, net.ErrClosed
	}
	u.conn = &clientConn{Conn: conn, early: rw.Reader}
	return u.conn, rw, nil
}

func (u *upgrader) closeWith(code int) {
	u.mu.Lock()
	u.closed = true
	conn := u.conn
	u.mu.Unlock()
	if conn != nil {
		conn.closeWith(code)
	}
}

// clientConn is the client's side of a relayed WebSocket.
type clientConn struct {
	net.Conn
	early *bufio.Reader // what the client sent before the switch; only Read touches it

	mu     sync.Mutex   // one writer at a time
	frames frameTracker // guarded by mu; of what was written
}

func (c *clientConn) Read(p []byte) (int, error) {
	if c.early != nil {
		if n := c.early.Buffered(); n > 0 {
			return c.early.Read(p[:min(n, len(p))])
		}
		c.early = nil
	}
	return c.Conn.Read(p)
}

func (c *clientConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(socketWriteTimeout)) // fails when closed, as Write will
	n, err := c.Conn.Write(p)
	c.frames.advance(p[:n])
	return n, err
}

// closeWith sends a close frame, unless the slice is in the middle of a frame,
// and closes. ReverseProxy then closes the slice's side.
func (c *clientConn) closeWith(code int) {
	_ = c.SetWriteDeadline(time.Now().Add(closeTimeout)) // also ends a write that is stuck
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames.between() {
		_ = c.SetWriteDeadline(time.Now().Add(closeTimeout))
		_, _ = c.Conn.Write([]byte{0x88, 2, byte(code >> 8), byte(code)}) // RFC 6455: FIN, opcode 8, 2 bytes, the code
	}
	c.Close()
}

// frameTracker follows the frames that go to a client, by their headers alone,
// to know where one ends. The zero value is between frames.
type frameTracker struct {
	header  [14]byte // of the current frame, as far as it has come
	have    int      // bytes in header
	payload uint64   // bytes of the current frame still to come
}

func (t *frameTracker) between() bool { return t.have == 0 && t.payload == 0 }

func (t *frameTracker) advance(p []byte) {
	for len(p) > 0 {
		if t.payload > 0 {
			n := min(t.payload, uint64(len(p)))
			t.payload -= n
			p = p[n:]
			continue
		}
		t.header[t.have] = p[0]
		t.have++
		p = p[1:]
		if n, ok := payloadLength(t.header[:t.have]); ok {
			t.payload, t.have = n, 0
		}
	}
}

// payloadLength reads a frame's header; false while it is incomplete.
func payloadLength(h []byte) (uint64, bool) {
	if len(h) < 2 {
		return 0, false
	}
	extended := 0
	switch h[1] & 0x7f {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	mask := 0
	if h[1]&0x80 != 0 {
		mask = 4
	}
	if len(h) < 2+extended+mask {
		return 0, false
	}
	if extended == 0 {
		return uint64(h[1] & 0x7f), true
	}
	var n uint64
	for _, b := range h[2 : 2+extended] {
		n = n<<8 | uint64(b)
	}
	return n, true
}
