package downstream

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"ipnoelp.io/platform/gateway/wire"
)

// Plain requests are answered inside of the Read by which net/http waits for the
// next one, without what it does for each request, and it does not see them. A
// request that is not plain is given to it as it came. A turn is whose the bytes
// of a connection are.
type turn int

const (
	turnOurs   turn = iota // between two requests
	turnOne                // net/http's, up to the end of one request
	turnTheirs             // net/http's for good
)

const inBuffer = 4 << 10 // bytes; a larger header is net/http's

var inBuffers = sync.Pool{New: func() any { return new([inBuffer]byte) }}

// input is what was read from a connection and is not used yet.
type input struct {
	buffer *[inBuffer]byte // nil while there is none
	unused []byte          // in buffer
	left   int64           // bytes of the request that is net/http's, in turnOne
	err    error           // of reading
	wait   func(fd uintptr) bool
}

var errEnd = errors.New("downstream: the connection is to end")

// readTheirs is Read for net/http.
func (c *conn) readTheirs(p []byte) (n int, err error) {
	if c.turn == turnOne {
		if c.in.left == 0 {
			c.turn = turnTheirs // it wants more than the request: who knows what for
		} else {
			p = p[:min(int64(len(p)), c.in.left)]
		}
	}
	if len(c.in.unused) > 0 {
		n = copy(p, c.in.unused)
		c.use(n)
	} else {
		if err := c.read.begin(); err != nil {
			return 0, err
		}
		n, err = c.Conn.Read(p)
		c.read.end()
	}
	if c.turn == turnOne {
		c.in.left -= int64(n)
	}
	return n, err
}

// use says that n bytes are used.
func (c *conn) use(n int) {
	if c.in.unused = c.in.unused[n:]; len(c.in.unused) == 0 && c.in.buffer != nil {
		inBuffers.Put(c.in.buffer)
		c.in.buffer, c.in.unused = nil, nil
	}
}

// requestEnded gives the turn back when net/http is done with its one request and
// has nothing more of the connection.
func (c *conn) requestEnded() {
	if c.turn == turnOne && c.in.left == 0 {
		c.turn = turnOurs
	}
}

// servePlain answers requests until there is one for net/http, whose turn it is
// then.
func (c *conn) servePlain() error {
	for {
		if !c.enter(waiting) {
			return net.ErrClosed
		}
		if len(c.in.unused) == 0 {
			if err := c.fill(); err != nil {
				return err
			}
		}
		h, ok := parseHead(c.in.unused)
		if !ok || !h.plain || !c.listener.isOwn(h.target) {
			c.turn = turnTheirs
			if ok && h.size >= int64(len(c.in.unused)) {
				c.turn, c.in.left = turnOne, h.size
			}
			c.enter(theirs)
			// The deadline was for the wait before it, or for a request of ours.
			_ = c.read.want(after(c.listener.headerTimeout))
			return nil
		}
		c.use(int(h.size))
		if err := c.serveOne(&h); err != nil {
			return err
		}
	}
}

// fill waits for bytes. No buffer waits with it.
func (c *conn) fill() error {
	if c.in.wait == nil {
		c.in.wait = c.readInput
	}
	if err := c.read.begin(); err != nil {
		return err
	}
	defer c.read.end()
	if c.raw == nil {
		b := inBuffers.Get().(*[inBuffer]byte)
		n, err := c.Conn.Read(b[:])
		if n == 0 {
			inBuffers.Put(b)
			return err
		}
		c.in.buffer, c.in.unused = b, b[:n]
		return nil // an error comes again
	}
	err := c.raw.Read(c.in.wait)
	if err == nil {
		err = c.in.err
	}
	return err
}

func (c *conn) readInput(fd uintptr) (done bool) {
	b := inBuffers.Get().(*[inBuffer]byte)
	var n int
	n, c.in.err = wire.ReadNow(fd, b[:])
	if n == 0 {
		inBuffers.Put(b)
		return !errors.Is(c.in.err, syscall.EAGAIN)
	}
	c.in.buffer, c.in.unused = b, b[:n]
	return true
}

// serveOne answers one request.
func (c *conn) serveOne(h *head) (err error) {
	c.enter(serving)
	if c.raw != nil {
		c.began.Store(c.listener.rounds.Load())
	}
	if c.remote == "" {
		c.remote = c.RemoteAddr().String()
	}
	req := (&http.Request{
		Method: h.method, URL: h.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h.header, Body: http.NoBody,
		Host: h.host, RemoteAddr: c.remote, RequestURI: h.target,
	}).WithContext(c.ctx)
	a := newAnswer(c)
	err = errEnd // a panic, which goes on to net/http
	defer func() {
		a.release()
		c.began.Store(0)
		c.enter(waiting)
		if err != nil {
			_ = c.Close() // with what is not sent yet
		}
	}()
	c.listener.handler.ServeHTTP(a, req)
	err = a.finish()
	_ = c.write.want(time.Time{})
	_ = c.read.want(after(c.listener.idleTimeout))
	return err
}

// isOwn reports whether requests for a target are answered here.
func (l *Listener) isOwn(target string) bool {
	for _, prefix := range l.own {
		if strings.HasPrefix(target, prefix) {
			return true
		}
	}
	return false
}
