// Package upstream sends requests to servers nearby at the lowest cost: the
// caller's own goroutine writes the request and reads the answer, where
// net/http wakes two more for each request. Only requests that need no more
// than that go this way: none with a body of unknown length, Expect or Upgrade.
package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"syscall"
	"time"
)

// Options of a transport; all are required.
type Options struct {
	DialTimeout    time.Duration
	HeaderTimeout  time.Duration // to take the request and to begin the answer
	BodyTimeout    time.Duration // between two pieces of an answer's body
	IdleTimeout    time.Duration // that a connection is kept; below the server's own
	IdlePerServer  int           // connections kept for one address
	IdleTotal      int           // connections kept in all
	MaxHeaderBytes int           // of an answer, interim ones included
	MaxBody        int64         // bytes of a request that are sent this way
}

// Transport is an http.RoundTripper for requests that Fits accepts. It is safe
// for concurrent use.
type Transport struct {
	Options
	dialer net.Dialer
	idle   pool
	watch  watch
}

// New returns a transport. Close it when it is not used any more.
func New(o Options) *Transport {
	t := &Transport{Options: o, dialer: net.Dialer{Timeout: o.DialTimeout, KeepAlive: 30 * time.Second}}
	t.idle.init(o.IdlePerServer, o.IdleTotal, o.IdleTimeout)
	return t
}

// Close drops the idle connections. Requests under way end as they would.
func (t *Transport) Close() { t.idle.close() }

// Server returns the server at an address ("host:port"), for requests sent by t.
func (t *Transport) Server(addr string) *Server { return t.idle.server(addr) }

// Idle returns how many connections wait to be used.
func (t *Transport) Idle() int { return t.idle.len() }

// Fits reports whether a request can be sent this way: it is HTTP without TLS,
// asks for no other protocol, and its body, if it has one, is a *Body.
func (t *Transport) Fits(req *Request) bool {
	if req.Body != nil && req.Body != http.NoBody {
		if b, ok := req.Body.(*Body); !ok || int64(b.Len()) > t.MaxBody {
			return false
		}
	}
	return (req.Server != nil || req.URL.Scheme == "http") && !req.Close && req.Method != http.MethodConnect &&
		req.Header["Expect"] == nil && req.Header["Upgrade"] == nil && req.Header["Trailer"] == nil && req.Trailer == nil
}

// Body is a request's body that is in memory, so that it can be sent again.
type Body struct{ bytes.Reader }

// NewBody returns the body b, which must not be changed any more.
func NewBody(b []byte) *Body {
	body := new(Body)
	body.Reset(b)
	return body
}

// Close does nothing.
func (*Body) Close() error { return nil }

var (
	errSwitched   = errors.New("upstream: protocol switched, though nobody asked")
	errHeaderSize = errors.New("upstream: the answer's header is too large")
)

// Request is a request with what net/http has no place for.
type Request struct {
	*http.Request

	// Server is where it is sent, one of the transport's; nil for the host of its URL.
	Server *Server

	// Fields are sent beside Header, which has none of these names.
	Fields []Field

	// Interim is given the interim answers (1xx); an error ends the request. Nil
	// if nobody wants them.
	Interim func(status int, header textproto.MIMEHeader) error

	// maySwitch is said of the request and not of the connection, which serves
	// others if this one is refused.
	maySwitch bool
}

// RoundTrip is Send for what net/http knows of a request. Interim answers go to
// the httptrace.ClientTrace of its context.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r := &Request{Request: req}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		r.Interim = trace.Got1xxResponse
	}
	return t.Send(r)
}

// Send sends a request that Fits and returns once the answer's header has
// come. A connection that the server closed while it was idle is not the end:
// the request is sent again where that does no harm.
func (t *Transport) Send(req *Request) (*http.Response, error) {
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	server := req.Server
	if server == nil {
		server = t.Server(req.URL.Host)
	}
	for c := t.idle.take(server); c != nil; c = t.idle.take(server) {
		res, err := t.exchange(ctx, c, req)
		if err == nil {
			return res, nil
		}
		switch {
		case ctx.Err() != nil:
			return nil, cause(ctx, err)
		case errors.Is(err, errStale):
			continue
		case c.answered || !closedByServer(err) || !repeatable(req.Request):
			return nil, err
		}
		t.idle.drop(server) // the others are as old
	}
	c, err := t.dial(ctx, server)
	if err != nil {
		return nil, err
	}
	res, err := t.exchange(ctx, c, req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return res, nil
}

func (t *Transport) dial(ctx context.Context, server *Server) (*conn, error) {
	nc, err := t.dialer.DialContext(ctx, "tcp", server.addr)
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc, server, t.MaxHeaderBytes, &t.watch)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// Upgrade sends a request without a body that asks for another protocol, to addr
// on a connection of its own. If the server agrees, the connection is the caller's,
// and early is what the server sent after the answer's header; otherwise nc is
// nil and the answer like one of RoundTrip.
func (t *Transport) Upgrade(addr string, req *http.Request) (res *http.Response, nc net.Conn, early []byte, err error) {
	ctx := req.Context()
	c, err := t.dial(ctx, t.Server(addr))
	if err != nil {
		return nil, nil, nil, err
	}
	if res, err = t.exchange(ctx, c, &Request{Request: req, maySwitch: true}); err != nil {
		return nil, nil, nil, cause(ctx, err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return res, nil, nil, nil
	}
	if c.finish() {
		c.Close()
		return nil, nil, nil, context.Cause(ctx)
	}
	if n := c.br.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = c.br.Read(early) // from its buffer
	}
	_ = c.SetDeadline(time.Time{})
	return res, c.Conn, early, nil
}

// cause prefers to say that the caller gave up: that closed the connection.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func closedByServer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// repeatable reports whether it does no harm when a server gets req twice. The
// method decides: an Idempotency-Key is a client's word about what a slice may
// never have heard of.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// exchange sends req on c and reads the answer's header. After an error c is
// closed; else it is kept or closed at the end of the answer's body, but for one
// that switched.
func (t *Transport) exchange(ctx context.Context, c *conn, req *Request) (*http.Response, error) {
	c.begin(ctx)
	res, err := c.roundTrip(req, t.HeaderTimeout)
	if err != nil {
		c.finish()
		c.Close()
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, nil // to Upgrade, whose the connection is now
	}
	b := &answerBody{ReadCloser: res.Body, t: t, c: c, reusable: !res.Close && c.writeErr == nil}
	if res.Body == http.NoBody {
		b.end(true)
		return res, nil
	}
	res.Body = b
	return res, nil
}

// answerBody is an answer's body. Its end decides about the connection.
type answerBody struct {
	io.ReadCloser
	t        *Transport
	c        *conn // nil once it was given back
	reusable bool
}

func (b *answerBody) Read(p []byte) (int, error) {
	if b.c == nil {
		return b.ReadCloser.Read(p) // the end, or http.ErrBodyReadAfterClose
	}
	b.c.arm(b.t.BodyTimeout)
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.end(true)
	case err != nil:
		err = cause(b.c.ctx, err)
		b.end(false)
	}
	return n, err
}

// Close before the end gives the connection up: it may be in the middle of an
// answer that nobody would read to the end.
func (b *answerBody) Close() error {
	if b.c != nil {
		b.end(false)
	}
	return nil
}

func (b *answerBody) end(complete bool) {
	c := b.c
	b.c = nil
	aborted := c.finish()
	if !complete || !b.reusable || aborted || c.unread() {
		c.Close()
		return
	}
	b.t.idle.put(c)
}
