package downstream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a client's connection.
type conn struct {
	net.Conn
	raw         syscall.RawConn // nil where there is no file
	listener    *Listener
	ctx         context.Context    // of its requests
	left        context.CancelFunc // ends the requests of a client that is gone
	began       atomic.Int64       // round in which the request under way was read; 0 while none is
	detached    atomic.Bool        // net/http does not serve it any more
	read, write deadline
	end         *byte // the last one of the buffer that was read to; see waits

	turn   turn
	in     input
	remote string // its address, once a plain request asked for it

	mu      sync.Mutex
	stage   stage       // guarded by mu
	closing atomic.Bool // written under mu; it closes with the request that is served
}

// stage is what a connection is used for.
type stage int

const (
	theirs  stage = iota // whatever net/http does with it
	waiting              // for a request
	serving              // a plain request
)

// enter begins a stage, or reports false: the connection is to close. That is put
// off while a plain request is served.
func (c *conn) enter(s stage) (open bool) {
	c.mu.Lock()
	c.stage = s
	open = !c.closing.Load()
	c.mu.Unlock()
	if !open {
		_ = c.closeNow()
	}
	return open
}

// Close closes the connection. A plain request that is served is answered first:
// net/http, which knows nothing of it, closes what it thinks is idle.
func (c *conn) Close() error {
	c.mu.Lock()
	later := c.stage == serving
	if later {
		c.closing.Store(true)
	}
	c.mu.Unlock()
	if later {
		return nil
	}
	return c.closeNow()
}

// closeNow also ends what a handler left behind, as net/http does: Watch does not
// look after the connection any more.
func (c *conn) closeNow() error {
	c.listener.remove(c)
	c.left()
	return c.Conn.Close()
}

// Read differs in two ways. For the read by which net/http waits for a client to
// leave: it says at once that nothing came, which ends it, and Watch does what it
// was to do. Were it not recognised, it would wait as it does on every connection.
// And for the read by which net/http waits for a request: see turn.
func (c *conn) Read(p []byte) (int, error) {
	if c.detached.Load() {
		return c.Conn.Read(p)
	}
	if c.raw != nil && c.waits(p) {
		c.began.Store(c.listener.rounds.Load())
		return 0, nil
	}
	c.began.Store(0)
	if c.turn == turnOurs && len(c.listener.own) > 0 {
		if err := c.servePlain(); err != nil {
			var netErr net.Error
			if !errors.As(err, &netErr) || !netErr.Timeout() {
				err = io.EOF // whatever net/http would answer to another one
			}
			return 0, err
		}
	}
	return c.readTheirs(p)
}

// waits reports whether a read to p is that by which net/http waits for a client to
// leave. That one has a byte of its own. A buffered reader, full but for one byte,
// reads to a single byte too, but to its last one: each of its reads is to all that
// is left of the buffer, so that the one before ended at the same byte.
func (c *conn) waits(p []byte) bool {
	all := p[:cap(p)]
	if len(all) == 0 {
		return false
	}
	end := &all[len(all)-1]
	if len(all) == 1 {
		return end != c.end
	}
	c.end = end
	return false
}

func (c *conn) Write(p []byte) (int, error) {
	if c.detached.Load() {
		return c.Conn.Write(p)
	}
	if err := c.write.begin(); err != nil {
		return 0, err
	}
	defer c.write.end()
	return c.Conn.Write(p)
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.read.want(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.want(t) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.want(t), c.write.want(t))
}

// clientLeft looks at what would be read next, and leaves it there.
func (c *conn) clientLeft() bool {
	var n int
	var err error
	if closed := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); closed != nil {
		return true
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return false
	}
	return err != nil || n == 0
}

// Detach returns the connection under one that a handler took over, without
// deadlines. What was read from it already is in the buffer that came with it.
func Detach(nc net.Conn) net.Conn {
	c, ok := nc.(*conn)
	if !ok {
		return nc
	}
	c.detached.Store(true) // nothing of its input is unused: what came with a request, net/http has
	c.began.Store(0)
	c.listener.remove(c)
	_ = c.Conn.SetDeadline(time.Time{}) // fails when closed, as the next use will
	return c.Conn
}
