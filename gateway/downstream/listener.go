// Package downstream is the clients' side of the gateway: connections on which
// net/http serves a request for less. While a handler runs, net/http waits on the
// connection for the client to leave, in a goroutine that it starts and stops for
// each request; and it sets five deadlines for each, most of which nothing waits
// for. Here one goroutine looks after all connections now and then, and a deadline
// is set only where something waits and the one that is set is not near enough.
// Plain requests, GETs without a body, do not come to net/http at all.
package downstream

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// lookEvery is how often clients whose requests are under way are looked after.
// It takes up to twice as long until it shows that one has left.
const lookEvery = 500 * time.Millisecond

const drainEvery = 20 * time.Millisecond // between two looks

// Listener accepts connections of clients.
type Listener struct {
	net.Listener
	handler                    http.Handler
	own                        []string
	headerTimeout, idleTimeout time.Duration
	rounds                     atomic.Int64 // of Watch, from 1

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu; all that net/http has, and that close later
}

// NewListener returns a listener for srv, whose ConnContext and ConnState it sets,
// on top of another one. Plain requests for targets with one of the prefixes are
// answered by it, without net/http. Its Watch must run as long as the server has
// connections.
func NewListener(ln net.Listener, srv *http.Server, prefixes ...string) *Listener {
	l := &Listener{
		Listener: ln, handler: srv.Handler, own: prefixes, headerTimeout: srv.ReadHeaderTimeout, idleTimeout: srv.IdleTimeout,
		conns: make(map[*conn]struct{}),
	}
	l.rounds.Store(1)
	srv.ConnContext = l.context
	srv.ConnState = func(nc net.Conn, state http.ConnState) {
		if c, ok := nc.(*conn); ok && state == http.StateIdle {
			c.requestEnded()
		}
	}
	return l
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, listener: l}
	c.read.give, c.write.give = nc.SetReadDeadline, nc.SetWriteDeadline
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn() // nil, and net/http waits itself
	}
	return c, nil
}

// context is what the requests of a connection end with.
func (l *Listener) context(ctx context.Context, nc net.Conn) context.Context {
	c := nc.(*conn)
	ctx, c.left = context.WithCancel(ctx)
	c.ctx = ctx
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return ctx
}

// Watch looks after the clients until ctx is done.
func (l *Listener) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var waiting []*conn
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		round := l.rounds.Add(1)
		l.mu.Lock()
		for c := range l.conns {
			// One that began in the round before has not waited long.
			if began := c.began.Load(); began != 0 && began < round-1 {
				waiting = append(waiting, c)
			}
		}
		l.mu.Unlock()
		for _, c := range waiting {
			if c.clientLeft() {
				c.left()
			}
		}
		clear(waiting)
		waiting = waiting[:0]
	}
}

// Close ends the accepting of connections, and those that wait for a request:
// net/http keeps one on which it has seen none.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	for _, c := range l.in(waiting) {
		_ = c.Close() // it is of no use any more
	}
	return err
}

// Drain waits for the plain requests that are served, of which the server's
// Shutdown does not know. When ctx ends before, they are cut off.
func (l *Listener) Drain(ctx context.Context) error {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		busy := l.in(serving)
		if len(busy) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, c := range busy {
				_ = c.Conn.Close()
			}
			return ctx.Err()
		}
	}
}

// in returns the connections of a stage.
func (l *Listener) in(s stage) (conns []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.mu.Lock()
		if c.stage == s {
			conns = append(conns, c)
		}
		c.mu.Unlock()
	}
	return conns
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
