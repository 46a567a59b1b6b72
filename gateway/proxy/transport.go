package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/upstream"
)

const (
	dialTimeout    = 3 * time.Second  // slices are in the same data centre
	headerTimeout  = 60 * time.Second // for the first byte of an answer; Engine.IO ends a long poll after 25 s
	idleTimeout    = 90 * time.Second // below the slice's own, so that the slice never closes first
	idlePerSlice   = 32               // connections kept per slice
	idleTotal      = 4096             // connections kept in all
	maxHeaderBytes = 64 << 10         // of a slice's answer
	pieceTimeout   = 60 * time.Second // between two pieces of an answer's body
	copyBuffer     = 32 << 10         // bytes
	maxDiscard     = 4 << 10          // bytes of a 421 read to keep its connection
)

// transports are shared by all slices.
type transports struct {
	quick *upstream.Transport // for what it fits: almost everything
	rest  *http.Transport
}

func newTransports() *transports {
	quick := upstream.New(upstream.Options{
		DialTimeout: dialTimeout, HeaderTimeout: headerTimeout, BodyTimeout: pieceTimeout,
		IdleTimeout: idleTimeout, IdlePerHost: idlePerSlice, IdleTotal: idleTotal,
		MaxHeaderBytes: maxHeaderBytes, MaxBody: replayBytes,
	})
	return &transports{quick: quick, rest: &http.Transport{
		Proxy:                  nil, // slices are reached directly, whatever the environment says
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		DisableCompression:     true, // bodies are relayed as they are
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerSlice,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
}

func (t *transports) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.quick.Fits(req) {
		return t.quick.RoundTrip(req)
	}
	return t.rest.RoundTrip(req)
}

func (t *transports) close() {
	t.quick.Close()
	t.rest.CloseIdleConnections()
}

// errMisdirected is a 421 from a slice that was not the one meant.
var errMisdirected = errors.New("the address belongs to another slice")

// sliceTransport sends requests whose URL names a slice ("http://slice-42/…")
// to wherever that slice is. Where the address proves wrong it looks again,
// once, and repeats the request only if nothing of it was used.
type sliceTransport struct {
	base     http.RoundTripper
	resolver Resolver
	retries  *prometheus.CounterVec
}

func (t *sliceTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	number, ok := platform.ParseSliceName(req.URL.Host)
	if !ok {
		return nil, fmt.Errorf("send to %q: not a slice", req.URL.Host)
	}
	body, err := newReplayBody(req)
	if err != nil {
		return nil, err
	}
	addr, err := t.resolver.Resolve(req.Context(), number)
	if err != nil {
		return nil, err
	}
	res, reason, err := t.try(req, addr, body)
	if reason == "" {
		return res, err
	}
	t.resolver.Invalidate(number, addr)
	again, resolveErr := t.resolver.Resolve(req.Context(), number)
	if resolveErr != nil {
		return nil, resolveErr
	}
	if again == addr || !body.replayable() {
		return nil, err
	}
	t.retries.WithLabelValues(reason).Inc()
	if res, reason, err = t.try(req, again, body); reason != "" {
		t.resolver.Invalidate(number, again)
	}
	return res, err
}

// try sends the request to one address. A reason says that the address is
// wrong: nothing of the request was used there, and err is not nil.
func (t *sliceTransport) try(req *http.Request, addr string, body *replayBody) (res *http.Response, reason string, err error) {
	attempt := body.attempt()
	res, err = t.base.RoundTrip(withAddress(req, addr, attempt))
	var op *net.OpError
	switch {
	case err != nil && errors.As(err, &op) && op.Op == "dial" && req.Context().Err() == nil:
		revoke(attempt)
		return nil, "dial", err
	case err != nil:
		return nil, "", err
	case res.StatusCode == http.StatusMisdirectedRequest:
		revoke(attempt)
		_, _ = io.CopyN(io.Discard, res.Body, maxDiscard)
		res.Body.Close()
		return nil, "misdirected", errMisdirected
	}
	return res, "", nil
}

func withAddress(req *http.Request, addr string, body io.ReadCloser) *http.Request {
	out := new(http.Request)
	*out = *req
	out.URL = new(url.URL)
	*out.URL = *req.URL
	out.URL.Host = addr
	if body != nil {
		out.Body = body
	}
	return out
}

// bufferPool lends the buffers in which bodies are copied.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[copyBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, copyBuffer)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[copyBuffer]byte)(b)) }
