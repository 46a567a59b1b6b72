package httpapi

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/docs/openapi"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm"
	"ipnoelp.io/platform/slice/request"
)

const (
	healthPath = "/healthz"
	socketPath = "/socket.io/"

	maxHealthWait = 10 * time.Second
	healthPoll    = 10 * time.Millisecond
)

// Config says what a handler serves and to whom.
type Config struct {
	Number   int    // this slice's
	Token    string // what the gateway proves itself with
	Session  Session
	Modules  []crm.Module
	Hub      *Hub
	Healthy  func() bool
	Migrated func() bool // the database is at this program's version
	Logger   *slog.Logger
	Tracer   trace.Tracer // nil: no traces
}

// New returns the slice's handler. The order of the chain: the log knows of
// every request, and nothing is served before the identity is checked.
func New(cfg Config) http.Handler {
	a := &api{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, a.health)
	registerSession(mux, cfg.Session)
	mux.Handle("GET /api/openapi.json", request.Func(document))
	for _, m := range cfg.Modules {
		m.Register(mux)
	}
	mux.Handle(socketPath, cfg.Hub)
	mux.Handle("GET "+metricsPath, metrics(cfg.Session))

	return request.Log(cfg.Logger, requireIdentity(cfg.Number, cfg.Token,
		traced(cfg.Tracer, requireData(cfg.Migrated, withProblems(mux)))), healthPath, metricsPath)
}

type api struct{ Config }

// health answers whether the slice is healthy. With ?wait=1500ms it waits up to
// that long for it to become so: a check that is made once a second then sees a
// start when it happens, and not up to a second later.
func (a *api) health(w http.ResponseWriter, r *http.Request) {
	wait, err := healthWait(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	deadline := time.Now().Add(wait)
	for !a.Healthy() && time.Now().Before(deadline) {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(healthPoll):
		}
	}
	if !a.Healthy() {
		request.Fail(w, r, platform.Errorf(platform.ErrUnavailable, "The slice is starting."))
		return
	}
	problem.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// document answers with the OpenAPI document of all this.
func document(w http.ResponseWriter, _ *http.Request) error {
	whole, err := openapi.Slice()
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, whole)
	}
	return err
}

// requireData keeps requests from a database that is not migrated yet.
func requireData(migrated func() bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		session := path == sessionPath || strings.HasPrefix(path, sessionPath+"/") && path != sessionPath+"/history"
		if strings.HasPrefix(path, "/api/") && !session && !migrated() {
			request.Fail(w, r, platform.Errorf(platform.ErrUnavailable, "The data is not available yet. Try again in a moment."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withProblems gives what the mux itself refuses the form of every error.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refusal := &refusal{header: make(http.Header)}
		h.ServeHTTP(refusal, r)
		if refusal.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", refusal.header.Get("Allow"))
			request.Fail(w, r, platform.Errorf(platform.ErrMethod, "%s is not possible here.", r.Method))
			return
		}
		request.Fail(w, r, platform.Errorf(platform.ErrNotFound, "There is nothing at this address."))
	})
}

// refusal takes in what the mux would have answered.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) Write(b []byte) (int, error) { return len(b), nil }
func (r *refusal) WriteHeader(status int)      { r.status = status }
