package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"ipnoelp.io/platform/gateway/upstream"
)

// replayBytes is how much of a body is held back until a slice has taken it:
// requests of this size survive an address that is out of date.
const replayBytes = 64 << 10

const (
	writeTimeout = 60 * time.Second // for the client to take one piece of the answer, or all of one that is the gateway's
	rearmAfter   = 5 * time.Second  // a deadline this fresh is left alone
)

var (
	errClientBody = errors.New("read the client's body")
	errRevoked    = errors.New("the body was taken back for another attempt")
)

// replayBody gives a request's body to one attempt after the other.
type replayBody struct {
	small []byte    // the whole body, if it is small
	rest  io.Reader // otherwise the client's; nil if the request has no body
	last  *attemptBody
}

// newReplayBody reads a small body whole before anything is sent.
func newReplayBody(req *http.Request) (replayBody, error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return replayBody{}, nil
	case req.ContentLength <= 0 || req.ContentLength > replayBytes || req.Header.Get("Expect") != "":
		return replayBody{rest: req.Body}, nil
	}
	small := make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, small); err != nil {
		return replayBody{}, fmt.Errorf("%w: %w", errClientBody, err)
	}
	return replayBody{small: small}, nil
}

// attempt returns the body for one attempt, nil if there is none. Earlier
// attempts have been revoked.
func (b *replayBody) attempt() io.ReadCloser {
	switch {
	case b.small != nil:
		return upstream.NewBody(b.small)
	case b.rest != nil:
		b.last = &attemptBody{src: b.rest}
		return b.last
	}
	return nil
}

// replayable reports whether another attempt would send the same body.
func (b *replayBody) replayable() bool {
	return b.rest == nil || b.last == nil || !b.last.wasRead()
}

// attemptBody is the body of one attempt. The transport may read on in the
// background after it has given an answer: revoke ends that. Close leaves the
// client's body alone, which belongs to forward.
type attemptBody struct {
	src io.Reader

	mu      sync.Mutex
	read    bool // guarded by mu; a read has begun
	revoked bool // guarded by mu; no read begins any more
}

func (a *attemptBody) Read(p []byte) (int, error) {
	a.mu.Lock()
	revoked := a.revoked
	a.read = a.read || !revoked
	a.mu.Unlock()
	if revoked {
		return 0, errRevoked
	}
	n, err := a.src.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errClientBody, err)
	}
	return n, err
}

func (a *attemptBody) Close() error { return nil }

// revoke takes the body of an attempt back, if there is something to take.
func revoke(attempt io.ReadCloser) {
	if a, ok := attempt.(*attemptBody); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.revoked = true
	}
}

func (a *attemptBody) wasRead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.read
}

// timedWriter is an answer with a deadline for each piece.
type timedWriter struct {
	http.ResponseWriter
	armed time.Time
}

func (w *timedWriter) Write(p []byte) (int, error) {
	w.arm()
	return w.ResponseWriter.Write(p)
}

// arm is also called at the end, for what the server itself writes then.
func (w *timedWriter) arm() {
	if now := time.Now(); now.Sub(w.armed) > rearmAfter {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(writeTimeout))
		w.armed = now
	}
}

func (w *timedWriter) flush() error {
	w.arm()
	return http.NewResponseController(w.ResponseWriter).Flush()
}
