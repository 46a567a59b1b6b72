package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

// statusClientGone is nginx's code for a client that left before the answer.
const statusClientGone = 499

// identified gives each request an id and finds out where it comes from. Both
// are believed from trusted proxies only.
func (g *Gateway) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header["X-Forwarded-For"]
		info := &request.Info{Direct: len(forwarded) == 0}
		peer, _ := netip.ParseAddrPort(r.RemoteAddr)
		client := peer.Addr()
		if g.trusted(client) {
			if id := r.Header.Get(platform.HeaderRequestID); wellFormedID(id) {
				info.ID = id
			}
			client = g.client(forwarded, client)
		}
		info.ClientAddr = client.Unmap().String()
		if info.ID == "" {
			info.ID = uuid.NewString()
		}
		info.Route = classOf(r.URL.Path)
		out := &response{ResponseWriter: w, id: [1]string{info.ID}}
		out.Header()[platform.HeaderRequestID] = out.id[:]
		next.ServeHTTP(out, r.WithContext(request.With(r.Context(), info)))
	})
}

func (g *Gateway) trusted(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range g.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the last address of X-Forwarded-For that no trusted proxy
// has: everything to the left of it may be made up.
func (g *Gateway) client(forwarded []string, peer netip.Addr) netip.Addr {
	for _, line := range slices.Backward(forwarded) {
		for more := true; more; {
			var hop string
			comma := strings.LastIndexByte(line, ',')
			hop, more = line[comma+1:], comma >= 0
			line = line[:max(comma, 0)]
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				return peer
			}
			if peer = a; !g.trusted(a) {
				return peer
			}
		}
	}
	return peer
}

// wellFormedID accepts what nginx ($request_id) and other proxies make.
func wellFormedID(id string) bool {
	if len(id) < 16 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// event is what is known of a request at its end.
type event struct {
	method   string
	route    request.Route
	status   int // 0 if the handler wrote none
	bytes    int64
	hijacked bool
	start    time.Time
	id       string
	userID   string
	actorID  string // the admin who acted for the user; "" if nobody did
	err      error
	gone     bool // the client left before the answer
}

// observed counts each request and logs it once, when it ends.
func (g *Gateway) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, out := request.From(r.Context()), w.(*response)
		start, detached := time.Now(), false
		span := g.startSpan(r, info)
		gathered := func() event {
			return event{
				method: r.Method, route: info.Route, status: out.status, bytes: out.bytes, hijacked: out.hijacked, start: start,
				id: info.ID, userID: info.UserID, actorID: info.ImpersonatorID, err: info.Err,
				gone: info.ClientGone || out.status >= 500 && errors.Is(r.Context().Err(), context.Canceled),
			}
		}
		info.Detach = func() (ended func(bytes int64)) {
			detached = true
			e := gathered()               // now: nothing of the request is kept
			endSpan(span, info, e.status) // of the handshake
			return func(bytes int64) {
				e.bytes = bytes
				g.ended(e)
			}
		}
		g.metrics.InFlight.Inc()
		defer func() {
			if !detached {
				endSpan(span, info, g.ended(gathered()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// ended counts and logs a request, and returns the status that counts.
func (g *Gateway) ended(e event) (status int) {
	took := time.Since(e.start)
	g.metrics.InFlight.Dec()
	status = e.status
	switch {
	case e.gone:
		status = statusClientGone
	case status == 0:
		status = http.StatusOK // net/http's own, for an answer without a body
	}
	g.metrics.Answered(string(e.route), status, took, e.hijacked)
	level := slog.LevelInfo
	switch {
	case e.route == request.RouteOps && status < 400:
		level = slog.LevelDebug // health checks, every second
	case status >= 500 && platform.CodeOf(e.err) != platform.ErrUnavailable:
		level = slog.LevelError
	}
	if h := g.Log.Handler(); h.Enabled(context.Background(), level) {
		r := slog.NewRecord(e.start.Add(took), level, "request", 0) // from nowhere: that is dear to find out
		r.AddAttrs(
			slog.String("method", e.method),
			slog.String("route", string(e.route)),
			slog.Int("status", status),
			slog.Int64("bytes", e.bytes),
			slog.Duration("duration", took),
			slog.String("request_id", e.id),
			slog.String("user_id", e.userID),
		)
		if e.actorID != "" {
			r.AddAttrs(slog.String("impersonator_id", e.actorID))
		}
		if e.err != nil {
			r.AddAttrs(slog.String("error", e.err.Error()))
		}
		_ = h.Handle(context.Background(), r)
	}
	return status
}

// recovered turns a panic into a 500, or cuts the connection when part of an
// answer is out. http.ErrAbortHandler is meant for net/http and goes on to it.
func (g *Gateway) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			info := request.From(r.Context())
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				if info.Err == nil {
					info.Err = errors.New("the answer was cut off")
				}
				panic(http.ErrAbortHandler)
			}
			g.Log.Error("panic", "error", v, "request_id", info.ID, "stack", string(debug.Stack()))
			if out := w.(*response); out.status != 0 || out.hijacked {
				info.Err = fmt.Errorf("panic: %v", v)
				panic(http.ErrAbortHandler)
			}
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(ownWriteTimeout))
			request.Fail(w, r, fmt.Errorf("panic: %v", v))
		}()
		next.ServeHTTP(w, r)
	})
}

// route sends tenant traffic to the slices and answers everything else.
func (g *Gateway) route(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = request.NewTimedBody(w, r.Body)
	}
	switch request.From(r.Context()).Route {
	case request.RouteAPI, request.RouteSocket:
		g.proxy.ServeHTTP(w, r)
		return
	}
	// Small answers; the export and the sockets have deadlines of their own.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(ownWriteTimeout))
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if err := g.origins.Check(r); err != nil {
		request.Fail(w, r, err)
		return
	}
	g.own.ServeHTTP(w, r)
}

// What users' slices answer.
const prefixAPI, prefixSocket = "/api/", "/socket.io/"

// classOf decides who answers. It is not what authorises: slices get only
// authenticated requests, and admin routes check the role themselves.
func classOf(path string) request.Route {
	switch {
	case strings.HasPrefix(path, prefixAPI):
		return request.RouteAPI
	case strings.HasPrefix(path, prefixSocket):
		return request.RouteSocket
	case strings.HasPrefix(path, "/auth/"):
		return request.RouteAuth
	case strings.HasPrefix(path, "/admin/"):
		return request.RouteAdmin
	case path == "/healthz", path == "/readyz", path == "/metrics", path == "/metrics/slices":
		return request.RouteOps
	}
	return request.RouteOther
}
