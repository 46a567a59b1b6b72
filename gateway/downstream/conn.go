package downstream

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a client's connection.
type conn struct {
	net.Conn
	raw         syscall.RawConn // nil where there is no file
	listener    *Listener
	left        context.CancelFunc // ends the requests of a client that is gone
	began       atomic.Int64       // round in which the request under way was read; 0 while none is
	detached    atomic.Bool        // net/http does not serve it any more
	read, write deadline
}

// Read differs for the read by which net/http waits for a client to leave, known
// by its buffer of one byte; a buffered reader's is never that small. It says at
// once that nothing came, which ends it, and Watch does what it was to do. Were it
// not recognised, it would wait as it does on every connection.
func (c *conn) Read(p []byte) (int, error) {
	if c.detached.Load() {
		return c.Conn.Read(p)
	}
	if cap(p) == 1 && c.raw != nil {
		c.began.Store(c.listener.rounds.Load())
		return 0, nil
	}
	c.began.Store(0)
	if err := c.read.begin(); err != nil {
		return 0, err
	}
	defer c.read.end()
	return c.Conn.Read(p)
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

func (c *conn) Close() error {
	c.listener.remove(c)
	return c.Conn.Close()
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
	c.detached.Store(true)
	c.began.Store(0)
	c.listener.remove(c)
	_ = c.Conn.SetDeadline(time.Time{}) // fails when closed, as the next use will
	return c.Conn
}
