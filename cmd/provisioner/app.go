package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/jobs"
	"ipnoelp.io/platform/nomad"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/provisioner"
	"ipnoelp.io/platform/tracing"
)

const (
	// sparePoolConns are beside one for each slice being changed: for the
	// rounds, which read two things at once. DATABASE_URL's pool_max_conns
	// overrides the sum.
	sparePoolConns = 3

	readHeaderTimeout = 5 * time.Second
	shutdownTimeout   = 5 * time.Second
)

// App is the provisioner with its adapters.
type App struct {
	cfg         Config
	log         *slog.Logger
	db          *pgxpool.Pool
	leader      *consul.Leader
	provisioner *provisioner.Provisioner
	registry    *prometheus.Registry
	traces      *tracing.Provider
}

// Build makes the app; it connects to nothing yet.
func Build(cfg Config, log *slog.Logger) (*App, error) {
	nomadClient, err := nomad.NewClient(cfg.NomadAddr, cfg.NomadToken)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	consulClient, err := consul.NewClient(cfg.ConsulHTTPAddr, cfg.ConsulHTTPToken)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	source, err := jobs.Source(jobs.Slice)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	sliceJob := nomad.SliceJob{Source: source, Variables: cfg.jobVariables()}
	schema, err := postgres.SliceSchemaVersion()
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	fingerprint, err := sliceJob.Fingerprint(strconv.FormatInt(schema, 10))
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	db, err := newPool(cfg)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	traces, err := tracing.New(cfg.Traces, "provisioner", log)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("build: %w", err)
	}
	a := &App{cfg: cfg, log: log, db: db, registry: prometheus.NewRegistry(), traces: traces}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		postgres.NewPoolCollector("provisioner", db))
	a.leader = consul.NewLeader(consulClient, cfg.LeaderKey, cfg.InstanceID, log)
	opts := provisioner.Options{
		Records:     postgres.NewProvisionerStore(db),
		Databases:   postgres.NewSliceDatabases(db, cfg.SliceDatabaseHost, cfg.SliceDatabaseSSLMode),
		Variables:   nomad.NewVariables(nomadClient),
		Jobs:        nomad.NewJobs(nomadClient, sliceJob),
		Catalog:     consul.NewCatalog(consulClient),
		Wakers:      []provisioner.Waker{nomad.NewEvents(nomadClient, log), listener{cfg.DatabaseURL, log}},
		PlatformKey: cfg.platformKey,
		Fingerprint: fingerprint,
		WarmTarget:  cfg.WarmTarget,
		Concurrency: cfg.Concurrency,
		MaxStarting: cfg.MaxStarting,
		Timeout:     cfg.ProvisionTimeout,
		Log:         log,
		Registerer:  a.registry,
		Tracer:      traces.Tracer(),
	}
	if cfg.FaultPoint != "" {
		opts.FaultPoint = dieAt(provisioner.Step(cfg.FaultPoint))
	}
	a.provisioner = provisioner.New(opts)
	return a, nil
}

func newPool(cfg Config) (*pgxpool.Pool, error) {
	dbCfg, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL")
	}
	if !strings.Contains(cfg.DatabaseURL, "pool_max_conns") {
		dbCfg.MaxConns = int32(cfg.Concurrency) + sparePoolConns
	}
	dbCfg.ConnConfig.RuntimeParams["application_name"] = "provisioner"
	db, err := pgxpool.NewWithConfig(context.Background(), dbCfg)
	if err != nil {
		return nil, fmt.Errorf("database pool: %w", err)
	}
	return db, nil
}

// Run answers over HTTP, and provisions whenever it leads, until ctx is done.
func (a *App) Run(ctx context.Context) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("run: LISTEN_ADDR: %w", err)
	}
	a.log.Info("listening", "addr", ln.Addr().String(), "instance", a.cfg.InstanceID)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: readHeaderTimeout, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)}
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(ln)
		cancel()
	}()
	err = a.leader.Lead(ctx, a.provisioner.Run)

	closing, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if closeErr := server.Shutdown(closing); closeErr != nil {
		server.Close()
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// Close releases what Build made.
func (a *App) Close() {
	a.traces.Close()
	a.db.Close()
}

// listener wakes the provisioner when users are served or begin to wait.
type listener struct {
	url string
	log *slog.Logger
}

func (l listener) Watch(ctx context.Context, wake func()) error {
	pg := postgres.Listener{
		URL:       l.url,
		Channels:  []string{postgres.ChannelSlices, postgres.ChannelQueue, postgres.ChannelSettings},
		Connected: func(context.Context) { wake() },
		Notified:  func(string, string) { wake() },
		Log:       l.log,
	}
	return pg.Run(ctx)
}
