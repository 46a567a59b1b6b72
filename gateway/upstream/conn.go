package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ipnoelp.io/platform/gateway/wire"
)

const (
	readBuffer = 4 << 10 // bytes; larger pieces of a body go past it
	slack      = 12      // a deadline is up to 1/12 late, so that it is set rarely
)

// past makes all that waits on a connection return.
var past = time.Unix(1, 0)

// conn is a connection to a server. One request at a time uses it.
type conn struct {
	net.Conn
	raw syscall.RawConn

	*buffers               // nil while idle
	since        time.Time // when it became idle
	server       *Server   // guarded by pool.mu once the connection was idle
	below        *conn     // guarded by pool.mu; of the same server
	older, newer *conn     // guarded by pool.mu

	headerLimit int
	left        int // bytes that may still be read; counts down while a header is read

	ctx      context.Context // of the request under way
	watch    *watch          // over ctx
	place    int             // guarded by watch.mu; in watch.conns
	aborted  bool            // guarded by watch.mu; ctx ended before the request
	armed    time.Time       // when the deadline was set
	armedFor time.Duration
	sent     bool  // the request was, as far as the server took it
	writeErr error // why it was not sent to its end
	answered bool  // a byte of an answer to this request was read

	ask  func(fd uintptr) bool // for raw: see send
	into []byte                // where ask reads to
	n    int                   // bytes that ask read
	err  error                 // of ask
}

// buffers are lent to a connection while a request is under way: most
// connections are idle, and those of the request before are still in the
// processor's cache.
type buffers struct {
	br  *bufio.Reader
	out []byte // the request as it is sent
}

var unusedBuffers = sync.Pool{New: func() any { return &buffers{br: bufio.NewReaderSize(nil, readBuffer)} }}

const noLimit = int(^uint(0) >> 1)

func newConn(nc net.Conn, server *Server, headerLimit int, watch *watch) (*conn, error) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, server: server, raw: raw, watch: watch, headerLimit: headerLimit, left: noLimit}
	c.ask = func(fd uintptr) (done bool) {
		c.n, c.err = wire.ReadNow(fd, c.into)
		waits := errors.Is(c.err, syscall.EAGAIN)
		if !c.sent {
			if !waits {
				c.n, c.err = 0, errStale
				return true
			}
			c.sent = true
			_, c.writeErr = c.Write(c.out)
		}
		return !waits
	}
	return c, nil
}

// errStale means that nothing was sent: the server had closed the connection, or
// said something unasked, which could be taken for the answer.
var errStale = errors.New("upstream: the connection is not usable any more")

// send sends the request and waits for the first bytes of the answer, which it
// reads to p. A server may answer, and close, before it has taken all of the
// request. The look whether the connection is still usable is the attempt to read
// that has to come before the wait: one system call for both.
func (c *conn) send(p []byte) (int, error) {
	c.into, c.n, c.err = p, 0, nil
	err := c.raw.Read(c.ask)
	c.into = nil
	if err == nil {
		err = c.err
	}
	return c.n, err
}

// readerOf reads from the connection under the header's limit.
type readerOf struct{ c *conn }

func (r readerOf) Read(p []byte) (n int, err error) {
	c := r.c
	if c.left <= 0 {
		return 0, errHeaderSize
	}
	p = p[:min(len(p), c.left)]
	if c.sent {
		n, err = c.Read(p)
	} else {
		n, err = c.send(p)
	}
	if c.left != noLimit {
		c.left -= n
	}
	c.answered = c.answered || n > 0
	return n, err
}

// abort makes what waits return.
func (c *conn) abort() { _ = c.SetDeadline(past) }

// begin binds the connection to a request: soon after ctx ends, so does what waits.
func (c *conn) begin(ctx context.Context) {
	c.ctx, c.sent, c.writeErr, c.answered = ctx, false, nil, false
	c.watch.add(c)
	c.buffers = unusedBuffers.Get().(*buffers)
	c.br.Reset(readerOf{c})
}

// finish unbinds it. Reports whether the request was aborted, which leaves the
// connection unusable.
func (c *conn) finish() (aborted bool) {
	return c.watch.remove(c)
}

// rest is for a connection whose answer was read to the end: nobody reads from
// its buffer any more.
func (c *conn) rest() {
	c.ctx, c.since = nil, time.Now()
	c.br.Reset(nil)
	unusedBuffers.Put(c.buffers)
	c.buffers = nil
}

// arm sets a new deadline, unless the one that is set is as good.
func (c *conn) arm(d time.Duration) {
	now := time.Now()
	if d == c.armedFor && now.Sub(c.armed) < d/slack {
		return
	}
	c.armed, c.armedFor = now, d
	_ = c.SetDeadline(now.Add(d + d/slack)) // fails when closed, as the next read will
	if c.ctx.Err() != nil {
		c.abort() // it ended in between
	}
}

// unread reports whether more came than the answer. It could be taken for the
// next one.
func (c *conn) unread() bool { return c.br.Buffered() > 0 }

func (c *conn) roundTrip(req *Request, timeout time.Duration) (*http.Response, error) {
	if err := c.compose(req); err != nil {
		return nil, err
	}
	c.arm(timeout)
	res, err := c.answer(req)
	if err != nil && c.writeErr != nil {
		err = c.writeErr
	}
	return res, err
}

// compose writes the request to c.out.
func (c *conn) compose(req *Request) error {
	target := req.URL.RequestURI()
	if err := validLine(req, target); err != nil {
		return err
	}
	var err error
	b := c.out[:0]
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, req.Host...)
	b = append(b, "\r\n"...)
	for name, values := range req.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue // said by the request itself
		case "User-Agent":
			if len(values) == 1 && values[0] == "" {
				continue // how net/http leaves it out
			}
		}
		for _, v := range values {
			if b, err = wire.AppendField(b, name, v); err != nil {
				return fmt.Errorf("upstream: %w", err)
			}
		}
	}
	for _, f := range req.Fields {
		if b, err = wire.AppendField(b, f.Name, f.Value); err != nil {
			return fmt.Errorf("upstream: %w", err)
		}
	}
	body, _ := req.Body.(*Body)
	switch {
	case body != nil:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, body.Size(), 10)
		b = append(b, "\r\n"...)
	case req.Method == http.MethodPost, req.Method == http.MethodPut, req.Method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...)
	}
	b = append(b, "\r\n"...)
	if body != nil {
		n := len(b)
		b = append(b, make([]byte, body.Size())...)
		if _, err := body.ReadAt(b[n:], 0); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("upstream: body: %w", err)
		}
	}
	c.out = b
	return nil
}

// answer sends the request that is in c.out, and reads up to the end of the
// header of the final answer.
func (c *conn) answer(req *Request) (*http.Response, error) {
	c.left = c.headerLimit
	defer func() {
		c.left = noLimit
		if cap(c.out) > readBuffer {
			c.out = nil // a rare size; do not keep it while idle
		}
	}()
	if _, err := c.br.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if res := plainAnswer(c.br, req.Request); res != nil {
		return res, nil
	}
	for {
		res, err := http.ReadResponse(c.br, req.Request)
		if err != nil {
			return nil, err
		}
		switch {
		case res.StatusCode == http.StatusSwitchingProtocols && !req.maySwitch:
			return nil, errSwitched
		case res.StatusCode == http.StatusSwitchingProtocols:
			return res, nil
		case res.StatusCode >= 200:
			return res, nil
		case res.StatusCode < 100:
			return nil, fmt.Errorf("upstream: status %d", res.StatusCode)
		}
		if req.Interim != nil {
			if err := req.Interim(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
		}
	}
}
