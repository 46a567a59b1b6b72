package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// handler answers what Nomad, Consul and Prometheus ask.
func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter) { problem.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"}) }
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	// Ready on standby, too: the other instance acts.
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.provisioner.Ready(); err != nil {
			problem.Write(w, platform.Errorf(platform.ErrUnavailable, "The latest round failed; the log says why.").WithCause(err))
			return
		}
		ok(w)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, platform.Errorf(platform.ErrNotFound, "There is only /healthz, /readyz and /metrics."))
	})
	return mux
}
