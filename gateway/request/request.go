// Package request carries what the gateway knows about a request from the
// middleware in front to the handlers and, once it ends, to the log.
package request

import (
	"context"
	"net/http"

	"ipnoelp.io/platform/problem"
)

// Info is about one request. Only the goroutine that serves the request
// touches it.
type Info struct {
	ID         string // request id, also in the answer
	ClientAddr string // IP address of the client, as far as trusted proxies tell
	Direct     bool   // no proxy in between
	Route      Route
	UserID     string // "" until authenticated
	Slice      int    // the user's, of tenant traffic; 0 until authenticated
	// ImpersonatorID is of the admin who acts for that user; "" if nobody does.
	ImpersonatorID string

	// Traceparent tells the slice which span its own belongs to; "" without traces.
	Traceparent string

	Err        error // what went wrong, for the log
	ClientGone bool  // the client left before an answer

	// Detach says that the request goes on after its handler has returned, as
	// an upgraded connection does. Its end is to be told by ended, with the
	// bytes that went to the client. Nil where nobody logs requests.
	Detach func() (ended func(bytes int64))
}

// Route is the class of a request in metrics and logs.
type Route string

const (
	RouteAuth   Route = "auth"
	RouteAdmin  Route = "admin"
	RouteAPI    Route = "tenant_api"
	RouteSocket Route = "tenant_socket"
	RouteOps    Route = "ops" // health, readiness, metrics
	RouteOther  Route = "other"
)

type key struct{}

// With returns a context that carries info.
func With(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, key{}, info)
}

// From returns the request's Info; a throw-away one where nobody put any.
func From(ctx context.Context) *Info {
	if info, ok := ctx.Value(key{}).(*Info); ok {
		return info
	}
	return &Info{}
}

// Fail answers with err as problem details and keeps it for the log.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	From(r.Context()).Err = err
	problem.Write(w, err)
}
