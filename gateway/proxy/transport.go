package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform/gateway/upstream"
)

const (
	dialTimeout    = 3 * time.Second  // slices are in the same data centre
	headerTimeout  = 60 * time.Second // for the first byte of an answer; Engine.IO ends a long poll after 25 s
	idleTimeout    = 90 * time.Second // below the slice's own, so that the slice never closes first
	idlePerSlice   = 32               // connections kept per slice
	idleTotal      = 12_288           // connections kept in all; each is a file, 1 KiB here and several in the kernel
	idleRest       = 1024             // more, of net/http's, which cost ten times as much
	maxHeaderBytes = 64 << 10         // of a slice's answer
	pieceTimeout   = 60 * time.Second // between two pieces of an answer's body
	copyBuffer     = 32 << 10         // bytes
	maxDiscard     = 4 << 10          // bytes of a 421 read to keep its connection
)

// transports are shared by all slices.
type transports struct {
	quick *upstream.Transport // for what it fits: almost everything
	rest  *http.Transport
	piece time.Duration // between two pieces of an answer that rest reads
}

// newTransports returns transports that give a slice as long to begin its answer.
func newTransports(begin time.Duration) *transports {
	quick := upstream.New(upstream.Options{
		DialTimeout: dialTimeout, HeaderTimeout: begin, BodyTimeout: pieceTimeout,
		IdleTimeout: idleTimeout, IdlePerServer: idlePerSlice, IdleTotal: idleTotal,
		MaxHeaderBytes: maxHeaderBytes, MaxBody: replayBytes,
	})
	return &transports{quick: quick, piece: pieceTimeout, rest: &http.Transport{
		Proxy:                  nil, // slices are reached directly, whatever the environment says
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		DisableCompression:     true, // bodies are relayed as they are
		MaxIdleConns:           idleRest,
		MaxIdleConnsPerHost:    idlePerSlice,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  begin,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
}

func (t *transports) send(req *upstream.Request) (*http.Response, error) {
	if t.quick.Fits(req) {
		return t.quick.Send(req)
	}
	// A copy: http.Transport may look at it longer than the attempt takes. The
	// trailers are not copied: they come with the body.
	ctx, cancel := context.WithCancelCause(req.Context())
	r := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: req.Interim}))
	u := *req.URL
	u.Scheme, u.Host = "http", req.Server.Addr()
	r.URL, r.Header = &u, req.Header.Clone()
	setFields(r.Header, req.Fields)
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // else net/http makes one up
	}
	res, err := t.rest.RoundTrip(r)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	res.Body = &timedBody{ReadCloser: res.Body, cancel: cancel, piece: t.piece}
	return res, nil
}

var errStalled = fmt.Errorf("a slice stopped in the middle of its answer: %w", os.ErrDeadlineExceeded)

// timedBody is an answer's body that fails when the next piece takes too long,
// which http.Transport has no limit for.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	piece  time.Duration
}

func (b *timedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.piece, func() { b.cancel(errStalled) })
	defer timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *timedBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

func (t *transports) close() {
	t.quick.Close()
	t.rest.CloseIdleConnections()
}

// errMisdirected is a 421 from a slice that was not the one meant.
var errMisdirected = errors.New("the address belongs to another slice")

// sliceTransport sends requests to wherever a slice is. Where the address proves
// wrong it looks again, once, and repeats the request only if nothing of it was
// used.
type sliceTransport struct {
	*transports
	resolver Resolver
	limits   *limits
	retries  *prometheus.CounterVec
}

// send sends a request to the slice, and returns once the header of the answer
// has come.
func (t *sliceTransport) send(number int, count *sliceCount, req *upstream.Request) (res *http.Response, err error) {
	body, err := newReplayBody(req.Request)
	if err != nil {
		return nil, err
	}
	err = t.locate(req.Context(), number, count, body.replayable, func(addr string) (wrong string, err error) {
		out, attempt := *req, body.attempt()
		out.Server = count.serverAt(addr, t.quick)
		if attempt != nil {
			r := *req.Request
			out.Request, r.Body = &r, attempt
		}
		res, err = t.transports.send(&out) //nolint:bodyclose // the caller's, or judge's
		if wrong, err = judge(req.Context(), res, err); wrong != "" {
			revoke(attempt)
		}
		return wrong, err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// upgrade is send for a request that asks for another protocol; see
// upstream.Transport.Upgrade.
func (t *sliceTransport) upgrade(number int, count *sliceCount, req *http.Request) (res *http.Response, nc net.Conn, early []byte, err error) {
	err = t.locate(req.Context(), number, count, func() bool { return true }, func(addr string) (wrong string, err error) {
		res, nc, early, err = t.quick.Upgrade(addr, req) //nolint:bodyclose // the caller's, or judge's
		return judge(req.Context(), res, err)
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return res, nc, early, nil
}

// locate calls try with the address of the slice, and once more
// with another one if the first proved wrong: then nothing of the request was
// used there. What comes of it counts for the slice's breaker.
func (t *sliceTransport) locate(ctx context.Context, number int, count *sliceCount, replayable func() bool, try func(addr string) (wrong string, err error)) error {
	if err := t.limits.allow(count); err != nil {
		return err
	}
	outcome := outcomeUnknown
	defer func() { t.limits.learn(count, outcome) }()
	addr, err := t.resolver.Resolve(ctx, number)
	if err != nil {
		return err
	}
	wrong, err := try(addr)
	if wrong != "" {
		t.resolver.Invalidate(number, addr)
		again, resolveErr := t.resolver.Resolve(ctx, number)
		if resolveErr != nil {
			return resolveErr
		}
		if again != addr && replayable() {
			t.retries.WithLabelValues(wrong).Inc()
			addr = again
			if wrong, err = try(addr); wrong != "" {
				t.resolver.Invalidate(number, addr)
			}
		}
	}
	switch {
	case err == nil:
		outcome = outcomeAnswered
	case ctx.Err() == nil && !errors.Is(err, errClientBody):
		outcome = outcomeFailed
		t.resolver.Invalidate(number, addr) // nothing shows any more that the slice is there
	}
	return err
}

// judge reports what is wrong with an address, "" if nothing is. A wrong one
// has used nothing of the request, and err is not nil.
func judge(ctx context.Context, res *http.Response, err error) (wrong string, _ error) {
	switch {
	case err != nil && isDial(err) && ctx.Err() == nil:
		return "dial", err
	case err != nil:
		return "", err
	case res.StatusCode == http.StatusMisdirectedRequest:
		_, _ = io.CopyN(io.Discard, res.Body, maxDiscard)
		res.Body.Close()
		return "misdirected", errMisdirected
	}
	return "", nil
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// copyBuffers are what bodies are copied in.
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}
