package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/slicemetrics"
	"ipnoelp.io/platform/problem"
)

// readyTimeout is how long the database may take to say that it is there.
const readyTimeout = 2 * time.Second

// Describe sends what the gateway counts.
func (g *Gateway) Describe(ch chan<- *prometheus.Desc) { g.metrics.Registry.Describe(ch) }

type health struct {
	Status string `json:"status"`
}

// registerOps adds what Nomad, Consul and Prometheus ask for.
func (g *Gateway) registerOps(r gin.IRouter) {
	r.GET("/healthz", func(c *gin.Context) {
		problem.WriteJSON(c.Writer, http.StatusOK, health{"ok"})
	})
	r.GET("/readyz", inside, g.ready)
	r.GET("/metrics", inside, gin.WrapH(promhttp.HandlerFor(g.metrics.Registry, promhttp.HandlerOpts{Registry: g.metrics.Registry})))
	gatherer := slicemetrics.NewGatherer(g.Store, g.slices, g.Log)
	r.GET("/metrics/slices", inside, func(c *gin.Context) {
		text, err := gatherer.Gather(c.Request.Context())
		if err != nil {
			request.Fail(c.Writer, c.Request, err)
			return
		}
		c.Data(http.StatusOK, slicemetrics.ContentType, text)
	})
}

// inside hides a route from whoever comes through the edge.
func inside(c *gin.Context) {
	if !request.From(c.Request.Context()).Direct {
		noRoute(c)
		c.Abort()
	}
}

func (g *Gateway) ready(c *gin.Context) {
	if g.draining.Load() {
		request.Fail(c.Writer, c.Request, platform.Errorf(platform.ErrUnavailable, "Shutting down."))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	if err := g.Store.Ping(ctx); err != nil {
		request.Fail(c.Writer, c.Request, platform.Errorf(platform.ErrUnavailable, "The database does not answer.").WithCause(err))
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, health{"ok"})
}

func noRoute(c *gin.Context) {
	request.Fail(c.Writer, c.Request, platform.Errorf(platform.ErrNotFound, "There is nothing at this address."))
}

func noMethod(c *gin.Context) {
	request.Fail(c.Writer, c.Request, platform.Errorf(platform.ErrMethod, "The method %s is not allowed here.", c.Request.Method))
}
