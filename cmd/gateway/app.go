package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/gateway"
	"ipnoelp.io/platform/gateway/admin"
	"ipnoelp.io/platform/gateway/password"
	"ipnoelp.io/platform/gateway/proxy"
	"ipnoelp.io/platform/nomad"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/tracing"
)

const (
	// poolConns are held open: queries take a millisecond or two, so that few
	// serve many requests, while opening one in the middle of a burst of
	// sign-ups, or waking one more that slept, costs more than all their queries.
	// DATABASE_URL's pool_max_conns overrides it.
	poolConns = 4

	// startTimeout bounds the first steps on the database; Nomad starts the
	// program again.
	startTimeout = 30 * time.Second
)

// App is the gateway with its adapters.
type App struct {
	cfg      Config
	log      *slog.Logger
	db       *pgxpool.Pool
	resolver *consul.Resolver
	gateway  *gateway.Gateway
	traces   *tracing.Provider
}

// Build makes the app; it connects to nothing yet. Workers of their own hash its
// passwords.
func Build(cfg Config, hashWorker password.Opener, log *slog.Logger) (*App, error) {
	dbCfg, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("build: DATABASE_URL is not a PostgreSQL URL")
	}
	if !strings.Contains(cfg.DatabaseURL, "pool_max_conns") {
		dbCfg.MaxConns, dbCfg.MinConns = poolConns, poolConns
	}
	dbCfg.ConnConfig.RuntimeParams["application_name"] = "gateway"
	dbCfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := postgres.WarmUp(ctx, conn); err != nil && !conn.IsClosed() {
			log.Warn("a database connection is not warmed up", "error", err)
		}
		return nil
	}
	db, err := pgxpool.NewWithConfig(context.Background(), dbCfg)
	if err != nil {
		return nil, fmt.Errorf("build: database pool: %w", err)
	}
	client, err := api.NewClient(&api.Config{Address: cfg.ConsulHTTPAddr, Token: cfg.ConsulHTTPToken})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("build: consul client: %w", err)
	}
	resolver := consul.NewResolver(client, log)
	var machines admin.Cluster // nil, not an adapter without a client
	if cfg.NomadAddr != "" {
		client, err := nomad.NewClient(cfg.NomadAddr, cfg.NomadToken)
		if err != nil {
			db.Close()
			return nil, fmt.Errorf("build: %w", err)
		}
		machines = nomad.NewCluster(client, log)
	}
	traces, err := tracing.New(cfg.Traces, "gateway", log)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("build: %w", err)
	}
	g, err := gateway.New(gateway.Options{
		Store:          postgres.NewGatewayStore(db),
		Resolver:       resolver,
		Log:            log,
		Mailer:         cfg.Mail.mailer(log),
		MailsDelivered: cfg.Mail.SMTPAddr != "",
		PublicURL:      cfg.publicURL,
		PlatformKey:    cfg.platformKey,
		TrustedProxies: cfg.TrustedProxies,
		WarmTarget:     cfg.WarmTarget,
		Cluster:        machines,
		NomadUI:        cfg.nomadUI,
		SliceLimits:    proxy.Limits{Requests: cfg.SliceRequests, Rate: cfg.SliceRate, Burst: cfg.SliceBurst},
		Collectors:     []prometheus.Collector{resolver, postgres.NewPoolCollector("gateway", db)},
		Tracer:         traces.Tracer(),
		DrainDelay:     cfg.DrainDelay,
		ServerTiming:   cfg.ServerTiming,
		HashWorker:     hashWorker,
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("build: %w", err)
	}
	return &App{cfg: cfg, log: log, db: db, resolver: resolver, gateway: g, traces: traces}, nil
}

// Run serves until ctx is done.
func (a *App) Run(ctx context.Context) error {
	if a.cfg.AdminEmail != "" {
		start, cancel := context.WithTimeout(ctx, startTimeout)
		err := a.gateway.EnsureAdmin(start, platform.Credentials{Email: a.cfg.AdminEmail, Password: a.cfg.AdminPassword})
		cancel()
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("run: LISTEN_ADDR: %w", err)
	}
	a.log.Info("listening", "addr", ln.Addr().String(), "public_url", a.cfg.publicURL.String())

	// The listener outlives the serving: sockets are closed with it in force.
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { _ = a.listener().Run(listening) }) // nil, in the end
	return a.gateway.Run(ctx, ln)
}

// Close releases what Build made.
func (a *App) Close() {
	a.gateway.Close()
	a.traces.Close()
	a.resolver.Close()
	a.db.Close()
}

// listener tells the gateway what changes in the database.
func (a *App) listener() *postgres.Listener {
	return &postgres.Listener{
		URL:          a.cfg.DatabaseURL,
		Channels:     []string{postgres.ChannelSlices, postgres.ChannelQueue, postgres.ChannelSessions, postgres.ChannelUsers, postgres.ChannelSettings},
		Connected:    a.gateway.NotificationsUp,
		Disconnected: func(error) { a.gateway.NotificationsDown() },
		Notified:     a.notified,
		Log:          a.log,
	}
}

func (a *App) notified(channel, payload string) {
	switch channel {
	case postgres.ChannelSlices:
		number, state, userID, err := postgres.ParseSliceNotification(payload)
		if err != nil {
			a.log.Error("notification", "error", err)
			return
		}
		a.gateway.SliceChanged(number, state, userID)
	case postgres.ChannelQueue:
		a.gateway.QueueChanged()
	case postgres.ChannelSettings:
		a.gateway.SettingsChanged()
	case postgres.ChannelUsers:
		userID, state, err := postgres.ParseUserNotification(payload)
		if err != nil {
			a.log.Error("notification", "error", err)
			return
		}
		a.gateway.UserChanged(userID, state)
	case postgres.ChannelSessions:
		tokenHash, _, err := postgres.ParseSessionNotification(payload)
		if err != nil {
			a.log.Error("notification", "error", err)
			return
		}
		a.gateway.SessionEnded(tokenHash)
	}
}
