// Package proxy sends the requests of users to their slices: it finds out who
// asks, resolves their slice, proves to the slice that it is meant, and relays
// HTTP and WebSocket both ways.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/metrics"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/sockets"
)

// maxBody bounds what a client sends to its slice in one request: the largest
// file that a slice takes. The slice has a limit for each of its routes.
const maxBody = 64 << 20

// Authenticator tells who sends a request.
type Authenticator interface {
	// Authenticate returns ErrUnauthenticated without a valid session.
	Authenticate(r *http.Request) (*auth.Identity, error)

	// InvalidateUser says that what is remembered of a user is out of date.
	InvalidateUser(userID string)
}

// Resolver finds slices. It is safe for concurrent use.
type Resolver interface {
	// Resolve returns the address ("host:port") of a slice. Returns
	// ErrUnavailable if no instance of it is healthy.
	Resolve(ctx context.Context, number int) (string, error)

	// Invalidate says that addr proved wrong: the next Resolve looks again.
	Invalidate(number int, addr string)
}

// Options of a proxy; all are required.
type Options struct {
	PublicURL *url.URL // where browsers find the app
	Auth      Authenticator
	Resolver  Resolver
	Origins   *auth.Origins
	Sockets   *sockets.Registry
	Limits    Limits // of each slice
	Metrics   *metrics.Metrics
	Log       *slog.Logger
}

// Proxy is the handler for tenant traffic.
type Proxy struct {
	Options
	slices *sliceTransport
	limits *limits
}

// New returns a proxy. Close it when it serves no more.
func New(o Options) *Proxy {
	p := &Proxy{Options: o, limits: newLimits(o.Limits)}
	p.slices = &sliceTransport{transports: newTransports(headerTimeout), resolver: o.Resolver, limits: p.limits, retries: o.Metrics.Retries}
	return p
}

// Close drops the idle connections to slices.
func (p *Proxy) Close() { p.slices.close() }

// Failing returns how many slices are left alone now because they failed.
func (p *Proxy) Failing() int { return p.limits.failing() }

// forwarded are the methods that reach a slice. Not among them is TRACE, by
// which a slice would show the client the headers that are ours.
var forwarded = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := p.admit(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	count, seconds, err := p.limits.enter(id.Slice.Number)
	if err != nil {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		p.fail(w, r, err)
		return
	}
	defer p.limits.leave(count)
	if isWebSocket(r) {
		p.serveWebSocket(w, r, id, count)
		return
	}
	r.Header.Del("Upgrade") // no other protocol is relayed
	if r.ContentLength > maxBody {
		p.fail(w, r, errTooLarge)
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	p.forward(w, r, id, count)
}

// admit decides whether a request may go to a slice, and to whose.
func (p *Proxy) admit(r *http.Request) (*auth.Identity, error) {
	if !forwarded[r.Method] {
		return nil, platform.Errorf(platform.ErrMethod, "The method %s is not allowed here.", r.Method)
	}
	id, err := p.Auth.Authenticate(r)
	if err != nil {
		return nil, err
	}
	info := request.From(r.Context())
	info.UserID, info.Slice = id.User.ID, id.Slice.Number
	if id.Scope == "" { // no other site makes a browser send a token
		if err := p.Origins.Check(r); err != nil {
			return nil, err
		}
	}
	switch {
	case id.Slice.State == platform.SliceAssigned:
		return id, nil
	case id.User.Role == platform.RoleAdmin:
		return nil, platform.Errorf(platform.ErrForbidden, "Admins have no workspace of their own.")
	case id.Slice.Number == 0:
		return nil, errQueued
	case id.Slice.State == platform.SliceHeld:
		return nil, errHeld
	case id.Slice.State == platform.SliceSuspended:
		return nil, errSuspended
	}
	return nil, errGone
}

// fail answers an error of the gateway itself or on the way to the slice.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	info := request.From(r.Context())
	// net/http cancels when it cannot read any more; who was only too slow still listens.
	slow := errors.Is(err, errClientBody) && errors.Is(err, os.ErrDeadlineExceeded)
	if errors.Is(r.Context().Err(), context.Canceled) && !slow {
		info.ClientGone, info.Err = true, err
		panic(http.ErrAbortHandler) // to return would be an answer: 200, and empty
	}
	// Not earlier: this may come after a minute of waiting for the slice.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	writeError(w, r, classify(err))
}

// classify says what a client is told of an error on the way to its slice.
func classify(err error) error {
	var coded *platform.Error
	var tooLarge *http.MaxBytesError
	var netErr net.Error
	switch {
	case errors.As(err, &coded):
		return err
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, errClientBody):
		return platform.Errorf(platform.ErrInvalid, "The request's body could not be read.").WithCause(err)
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return platform.Errorf(platform.ErrGatewayTimeout, "Your workspace did not answer in time.").WithCause(err)
	}
	return platform.Errorf(platform.ErrBadGateway, "Your workspace cannot be reached right now. Try again in a few seconds.").WithCause(err)
}

var (
	errTooLarge  = platform.Errorf(platform.ErrTooLarge, "The body is larger than %d MiB.", maxBody>>20)
	errQueued    = platform.Errorf(platform.ErrUnavailable, "Your workspace is not ready yet: you are in the queue.")
	errHeld      = platform.Errorf(platform.ErrUnavailable, "Your workspace is down for maintenance. Your data is safe.")
	errSuspended = platform.Errorf(platform.ErrUnavailable, "Your workspace is suspended. Your data is safe.")
	errGone      = platform.Errorf(platform.ErrUnavailable, "Your workspace is being removed.")
	errRefused   = platform.Errorf(platform.ErrUnavailable, "Your workspace is being updated. Try again in a few seconds.")
)

// isWebSocket reports whether a request asks for a WebSocket, the one protocol
// that is switched to.
func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
