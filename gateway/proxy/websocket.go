package proxy

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"sync"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/sockets"
)

var (
	errSocketBody = platform.Errorf(platform.ErrInvalid, "A WebSocket handshake has no body.")
	errNotAgreed  = errors.New("the slice switched to a protocol that was not asked for")
)

// serveWebSocket asks the slice for a WebSocket and, if it agrees, leaves a
// relay behind that outlives the handler: nothing of the request is kept.
func (p *Proxy) serveWebSocket(w http.ResponseWriter, r *http.Request, id *auth.Identity, count *sliceCount) {
	var err error
	if id.Scope == "" {
		err = p.Origins.CheckWebSocket(r)
	}
	if err == nil && (r.ContentLength != 0 || r.TransferEncoding != nil) {
		err = errSocketBody
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	closing := new(closer)
	sock, err := p.Sockets.Add(sockets.Slice, id.Session, id.User.ID, id.EndsAt, closing.closeWith)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	remove := func() { p.Sockets.Remove(sock) }
	// The session may have ended before the registry knew the socket.
	again, err := p.admit(r)
	if err == nil && again.Slice.Number != id.Slice.Number {
		err = errRefused // the counts at hand are the other slice's
	}
	if err != nil {
		remove()
		p.fail(w, r, err)
		return
	}
	if !p.openSocket(w, r, again, count, closing, remove) {
		remove()
	}
}

// openSocket reports whether a relay runs now, which calls ended in the end.
func (p *Proxy) openSocket(w http.ResponseWriter, r *http.Request, id *auth.Identity, count *sliceCount, closing *closer, ended func()) bool {
	out := p.handshake(r, id)
	res, slice, early, err := p.slices.upgrade(id.Slice.Number, count, out)
	if err == nil {
		err = p.checkAnswer(res, id)
	}
	if err == nil && slice != nil && (!strings.EqualFold(res.Header.Get("Upgrade"), "websocket") || !hasToken(res.Header["Connection"], "upgrade")) {
		err = errNotAgreed
	}
	switch {
	case err != nil:
		if slice != nil {
			slice.Close()
		} else if res != nil {
			res.Body.Close()
		}
		p.fail(w, r, err)
		return false
	case slice == nil:
		passAnswer(w, res)
		return false
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		slice.Close()
		p.fail(w, r, err)
		return false
	}
	// What the client sent before the switch: not a byte is lost.
	fromClient, _ := rw.Peek(rw.Reader.Buffered())
	fromClient = bytes.Clone(fromClient)
	info := request.From(r.Context())
	logged := func(int64) {}
	if info.Detach != nil {
		logged = info.Detach()
	}
	relay, err := newRelay(conn, slice, func(bytes int64) {
		ended()
		logged(bytes)
	})
	if err == nil {
		err = relay.greet(switching(res.Header, info.ID), func() bool { return closing.open(relay) })
	}
	if err != nil {
		conn.Close()
		slice.Close()
		logged(0)
		return false
	}
	relay.start(fromClient, early)
	return true
}

// handshake makes the request that the slice gets.
func (p *Proxy) handshake(r *http.Request, id *auth.Identity) *http.Request {
	out := r.Clone(r.Context())
	out.Host = p.PublicURL.Host
	cleanRequest(out.Header, id)
	delete(out.Header, "Te")
	delete(out.Header, "Expect")
	info := request.From(r.Context())
	continueTrace(out.Header, info)
	fields := p.identify(id, info)
	setFields(out.Header, fields[:])
	out.Header["Connection"] = []string{"Upgrade"}
	out.Header["Upgrade"] = []string{"websocket"}
	return out
}

// switching is the head of the answer by which the client's protocol changes.
func switching(h http.Header, requestID string) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Set(platform.HeaderRequestID, requestID)
	_ = h.Write(&b) // a buffer takes everything; line breaks in values are replaced
	b.WriteString("\r\n")
	return b.Bytes()
}

// closer closes a socket from outside, before or after its relay is there.
type closer struct {
	mu     sync.Mutex
	relay  *relay // guarded by mu
	closed bool   // guarded by mu
}

// open hands over the relay; false if the socket was closed meanwhile.
func (c *closer) open(r *relay) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay = r
	return !c.closed
}

func (c *closer) closeWith(code int) {
	c.mu.Lock()
	c.closed = true
	relay := c.relay
	c.mu.Unlock()
	if relay != nil {
		relay.closeWith(code)
	}
}
