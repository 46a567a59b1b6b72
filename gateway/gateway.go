// Package gateway is the program between the edge and the slices. It answers
// sign-up, log-in and the admin routes itself, and sends each user's other
// requests to their slice. Any number of gateways run side by side.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"ipnoelp.io/platform/gateway/admin"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/downstream"
	"ipnoelp.io/platform/gateway/mailing"
	"ipnoelp.io/platform/gateway/metrics"
	"ipnoelp.io/platform/gateway/password"
	"ipnoelp.io/platform/gateway/proxy"
	"ipnoelp.io/platform/gateway/queue"
	"ipnoelp.io/platform/gateway/slicemetrics"
	"ipnoelp.io/platform/gateway/sockets"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 180 * time.Second // above nginx's, so that nginx closes first
	ownWriteTimeout   = time.Minute       // for the client to take what the gateway itself answers
	maxHeaderBytes    = 16 << 10
	shutdownTimeout   = 32 * time.Second // for requests under way, once new ones are refused
	drainSpread       = 25 * time.Second // over which sockets are told to reconnect elsewhere
	expireEvery       = 10 * time.Minute
	expireTimeout     = time.Minute
	noteSeenEvery     = time.Minute
	closeOverEvery    = 5 * time.Second
	noteSeenTimeout   = 10 * time.Second
)

// Store is everything the gateway keeps in its database.
type Store interface {
	auth.Store
	queue.Store
	admin.Store
	mailing.Store

	// Ping reports whether the database answers.
	Ping(ctx context.Context) error

	// DeleteExpiredSessions removes sessions nobody can use any more.
	DeleteExpiredSessions(ctx context.Context) (int64, error)

	// DeleteDueUsers deletes accounts whose users asked for it, once their time
	// of grace is over, and returns their ids.
	DeleteDueUsers(ctx context.Context) ([]string, error)

	// DeleteOldMails removes tokens that expired and mails that are over.
	DeleteOldMails(ctx context.Context) error

	// SessionsSeen notes that sessions are in use.
	SessionsSeen(ctx context.Context, hashes [][32]byte) error

	// SessionsServed returns those of the sessions that are valid and whose
	// users' slices, where they have one, serve them; true for who has one.
	SessionsServed(ctx context.Context, hashes [][32]byte) (map[[32]byte]bool, error)

	// HasAdmin and CreateFirstAdmin serve EnsureAdmin.
	HasAdmin(ctx context.Context) (bool, error)
	CreateFirstAdmin(ctx context.Context, email, passwordHash string) (bool, error)
}

// Options of a gateway. Those without a remark are required.
type Options struct {
	Store          Store
	Resolver       proxy.Resolver
	Log            *slog.Logger
	Mailer         mailing.Mailer         // nil: no mail is sent
	MailsDelivered bool                   // to people, not into an outbox: sign-ups begin with one, unless the settings say otherwise
	PublicURL      *url.URL               // where browsers find the app
	PlatformKey    []byte                 // slice tokens are derived from it
	TrustedProxies []netip.Prefix         // peers whose X-Forwarded-For and X-Request-Id are believed
	WarmTarget     int                    // shown to admins
	Cluster        admin.Cluster          // where slices run, for admins; may be nil
	NomadUI        *url.URL               // for links of admins; may be nil
	SliceLimits    proxy.Limits           // of each slice
	Collectors     []prometheus.Collector // of the adapters; may be nil
	Tracer         trace.Tracer           // nil: no traces
	DrainDelay     time.Duration          // between not being ready and refusing connections; may be 0
	ServerTiming   bool                   // sign-ups tell how long the hash took
	HashWorker     password.Opener        // who hashes passwords; nil: this process
}

// Gateway is one gateway. Make it with New, then Run it.
type Gateway struct {
	Options
	metrics  *metrics.Metrics
	sockets  *sockets.Registry
	sessions *auth.Sessions
	tokens   *auth.Sessions // API tokens, looked up and remembered like sessions
	hasher   *password.Hasher
	origins  *auth.Origins
	queue    *queue.Queue
	mails    *mailing.Worker
	proxy    *proxy.Proxy
	slices   *slicemetrics.Client
	own      http.Handler // what the gateway answers itself
	events   *admin.Events
	draining atomic.Bool
}

// New returns a gateway that serves nothing until Run.
func New(o Options) (*Gateway, error) {
	g := &Gateway{Options: o, sockets: sockets.NewRegistry()}
	g.metrics = metrics.New(g.sockets.Len)
	g.sessions = auth.NewSessions(o.Store, o.PlatformKey, g.metrics.SessionCache)
	g.tokens = auth.NewSessions(auth.AsSessions{Store: o.Store}, o.PlatformKey, g.metrics.SessionCache)
	g.queue = queue.New(o.Store, g.metrics.QueueServed, o.Log)
	g.mails = mailing.New(o.Store, o.Mailer, o.PublicURL, g.metrics.Mails, o.Log)
	var err error
	if g.hasher, err = password.NewHasher(g.metrics.HashSeconds, o.HashWorker); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if g.origins, err = auth.NewOrigins(o.PublicURL); err != nil {
		return nil, fmt.Errorf("gateway: public URL: %w", err)
	}
	g.proxy = proxy.New(proxy.Options{
		PublicURL: o.PublicURL, Auth: auth.Tenant{Sessions: g.sessions, Tokens: g.tokens}, Resolver: o.Resolver, Origins: g.origins,
		Sockets: g.sockets, Limits: o.SliceLimits, Metrics: g.metrics, Log: o.Log,
	})
	g.slices = slicemetrics.NewClient(o.Resolver, o.PlatformKey)
	g.metrics.Registry.MustRegister(o.Collectors...)
	g.metrics.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_slices_failing", Help: "Slices that are left alone because they failed several times in a row.",
	}, func() float64 { return float64(g.proxy.Failing()) }))
	g.events = &admin.Events{Sessions: g.sessions, Origins: g.origins, Sockets: g.sockets}
	if g.own, err = g.newRouter(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

// newRouter returns the routes that the gateway answers itself.
func (g *Gateway) newRouter() (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()               // recovery and logs are in front, for tenant traffic too
	_ = r.SetTrustedProxies(nil) // fails on malformed addresses only
	r.RedirectTrailingSlash = false
	r.HandleMethodNotAllowed = true
	r.NoRoute(noRoute)
	r.NoMethod(noMethod)
	if err := useDocument(r); err != nil {
		return nil, err
	}

	accounts := &auth.Service{
		Store: g.Store, Sessions: g.sessions, Hasher: g.hasher, Metrics: g.metrics, Log: g.Log,
		SessionEnded: g.SessionEnded, ServerTiming: g.ServerTiming,
		MailQueued: g.mails.Wake, MailsDelivered: g.MailsDelivered, Devices: auth.NewDevices(g.PlatformKey),
		PlatformKey: g.PlatformKey, Issuer: g.PublicURL.Hostname(), Origin: g.PublicURL.Scheme + "://" + g.PublicURL.Host,
	}
	accounts.Register(r)
	events := &queue.Events{
		Queue: g.queue, Statuses: accounts, Sessions: g.sessions, Origins: g.origins, Sockets: g.sockets,
	}
	events.Register(r)
	admins := &admin.Service{
		Store: g.Store, Sessions: g.sessions, WarmTarget: g.WarmTarget, Log: g.Log,
		SliceMetrics: g.slices, Cluster: g.Cluster, NomadUI: g.NomadUI, UserChanged: g.userChanged, Events: g.events,
		SessionEnded: g.SessionEnded,
	}
	admins.Register(r)
	g.registerOps(r)
	return r, nil
}

// Handler returns the whole gateway as one handler.
func (g *Gateway) Handler() http.Handler {
	// Outermost first.
	var h http.Handler = http.HandlerFunc(g.route)
	h = g.recovered(h)
	h = g.observed(h)
	h = g.identified(h)
	return h
}

// Close ends what New started. Call it after Run.
func (g *Gateway) Close() { g.hasher.Close() }

// Run serves on ln until ctx is done, then lets requests under way finish.
func (g *Gateway) Run(ctx context.Context, ln net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { g.queue.Run(background) })
	wg.Go(func() { g.mails.Run(background) })
	wg.Go(func() { g.expire(background) })
	wg.Go(func() { g.noteSeen(background) })
	wg.Go(func() { g.renewSessions(background) })
	wg.Go(func() { g.closeOver(background) })

	srv, clients := g.newServer(ln)
	wg.Go(func() { clients.Watch(background) })
	served := make(chan error, 1)
	wg.Go(func() { served <- srv.Serve(clients) })
	select {
	case err := <-served:
		return fmt.Errorf("gateway: serve: %w", err)
	case <-ctx.Done():
	}
	return g.shutDown(srv, clients)
}

// newServer returns a server and the listener that it serves, on top of ln.
func (g *Gateway) newServer(ln net.Listener) (*http.Server, *downstream.Listener) {
	srv := &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// No WriteTimeout: the proxy sets deadlines for each piece.
		ErrorLog: slog.NewLogLogger(g.Log.Handler(), slog.LevelDebug),
	}
	return srv, downstream.NewListener(ln, srv, prefixAPI, prefixSocket)
}

// shutDown takes the gateway out of service in the order that clients notice
// least: not ready, sockets told to reconnect elsewhere, requests finished.
func (g *Gateway) shutDown(srv *http.Server, clients *downstream.Listener) error {
	g.Log.Info("shutting down", "sockets", g.sockets.Len())
	g.draining.Store(true)
	<-time.After(g.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- errors.Join(srv.Shutdown(ctx), clients.Drain(ctx)) }()
	g.sockets.Drain(ctx, drainSpread)
	err := <-done
	g.proxy.Close()
	switch {
	case errors.Is(err, context.DeadlineExceeded): // long polls, or slow clients
		g.Log.Warn("requests under way are cut off", "after", shutdownTimeout)
		_ = srv.Close() // the connections that are left
	case err != nil:
		return fmt.Errorf("gateway: shut down: %w", err)
	}
	return nil
}
