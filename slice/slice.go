// Package slice is what runs in a tenant's container: the CRM backend beside
// the Chromium that holds the tenant's WhatsApp session.
//
//	whatsapp  drives Chromium and WhatsApp Web
//	crm       what the slice knows and does, a package for each part
//	alarm     work that is due at a time, from memory
//	database  the slice's own database
//	login     encrypted copies of the browser's login
//	httpapi   identity check, JSON API, Socket.IO events
//	socketio  the Socket.IO protocol
//	seccomp   the container's system call filter
//
// The contract of the container with the rest of the platform is in
// docs/slice-contract.md.
package slice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/crm"
	"ipnoelp.io/platform/slice/crm/archive"
	"ipnoelp.io/platform/slice/crm/campaigns"
	"ipnoelp.io/platform/slice/crm/contacts"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/crm/media"
	"ipnoelp.io/platform/slice/crm/reports"
	"ipnoelp.io/platform/slice/crm/sales"
	"ipnoelp.io/platform/slice/crm/webhooks"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/httpapi"
	"ipnoelp.io/platform/slice/login"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/tracing"
)

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second  // for a body; the largest has under 1 MB
	idleTimeout       = 120 * time.Second // above the gateway's 90 s, so that it is the one to close
	maxHeaderBytes    = 32 << 10          // above the gateway's 16 KiB and what it adds
	drainTimeout      = 2 * time.Second   // for requests in flight when the slice stops
)

// Slice is one tenant's program.
type Slice struct {
	cfg      Config
	log      *slog.Logger
	db       *pgxpool.Pool
	engine   *whatsapp.Engine
	events   *event.Bus
	inbox    *inbox.Service
	modules  []crm.Module
	hub      *httpapi.Hub
	migrated chan struct{} // closed once the database is at this program's version
	server   *http.Server
	listener net.Listener
	traces   *tracing.Provider
}

// New builds a slice and opens its port. Nothing runs before Run.
func New(cfg Config, log *slog.Logger) (*Slice, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	traces, err := tracing.New(cfg.Traces, "slice", log, tracing.Slice.Int(cfg.Number))
	if err != nil {
		return nil, err
	}
	db, err := database.OpenTraced(string(cfg.DatabaseURL), traces.Tracer())
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	s := &Slice{cfg: cfg, log: log, db: db, migrated: make(chan struct{}), traces: traces}
	copies, err := s.loginCopies()
	if err != nil {
		db.Close()
		return nil, err
	}
	s.engine = whatsapp.New(whatsapp.Config{
		Login:          copies,
		URL:            cfg.WhatsAppURL,
		BundlePath:     cfg.BundlePath,
		ProfileDir:     cfg.ProfileDir,
		ChromiumPath:   cfg.ChromiumPath,
		Logger:         log.With("part", "whatsapp"),
		DisableSandbox: cfg.DisableChromiumSandbox,
		MemoryLimit:    cfg.MemoryLimit << 20,
	})
	s.hub = httpapi.NewHub(s.engine, log.With("part", "socketio"))
	s.events = event.NewBus(db, s.hub)
	files := media.NewStore(db, cfg.MediaQuota<<20)
	s.inbox = inbox.NewService(inbox.Options{
		Store: inbox.NewStore(db), WhatsApp: traceSends(s.engine, traces.Tracer()), Files: files, Bus: s.events,
		Log: log.With("part", "inbox"), ReconcileEvery: cfg.ReconcileEvery,
	})
	s.modules = []crm.Module{
		s.inbox,
		media.New(files, s.engine, log.With("part", "media")),
		contacts.New(db, s.events, s.engine, log.With("part", "contacts")),
		archive.New(db, s.events, log.With("part", "archive")),
		campaigns.New(db, s.events, s.engine, s.inbox, log.With("part", "campaigns")),
		webhooks.New(db, s.events, log.With("part", "webhooks")),
		sales.New(db, s.events, log.With("part", "sales")),
		reports.New(db),
	}
	s.server = &http.Server{
		Handler: httpapi.New(httpapi.Config{
			Number: cfg.Number, Token: string(cfg.Token),
			Session: s.engine, Modules: s.modules, Hub: s.hub,
			Healthy: s.Healthy, Migrated: s.Migrated, Logger: log.With("part", "http"), Tracer: traces.Tracer(),
		}),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	var listen net.ListenConfig
	if s.listener, err = listen.Listen(context.Background(), "tcp", cfg.ListenAddr); err != nil {
		db.Close()
		return nil, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	return s, nil
}

// loginCopies returns the copies of the login, nil when there is no key for them.
func (s *Slice) loginCopies() (whatsapp.Login, error) {
	if s.cfg.SnapshotKey == "" {
		return nil, nil
	}
	copies, err := login.New(s.db, string(s.cfg.SnapshotKey))
	if err != nil {
		return nil, fmt.Errorf("SLICE_SNAPSHOT_KEY: %w", err)
	}
	return patientLogin{copies, s.migrated}, nil
}

// patientLogin waits for the database's tables before it looks into them. The
// browser starts at the same time as the database otherwise.
type patientLogin struct {
	*login.Copies
	migrated <-chan struct{}
}

func (p patientLogin) Restore(ctx context.Context, profile string) (bool, error) {
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-p.migrated:
		return p.Copies.Restore(ctx, profile)
	}
}

// Addr is the address that the slice listens on.
func (s *Slice) Addr() net.Addr { return s.listener.Addr() }

// Healthy reports whether the database is migrated and the page is loaded.
func (s *Slice) Healthy() bool { return s.Migrated() && s.engine.Healthy() }

// Migrated reports whether the database is at this program's version.
func (s *Slice) Migrated() bool {
	select {
	case <-s.migrated:
		return true
	default:
		return false
	}
}

// Run works until ctx ends, and stops within ten seconds then: requests first,
// then what is being sent, then the browser, so that its login is written.
func (s *Slice) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The browser outlives the rest, which may still be sending.
	browserCtx, stopBrowser := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBrowser()

	var browser, rest sync.WaitGroup
	browser.Go(func() { // ends with stopBrowser
		if err := s.engine.Run(browserCtx, s.inbox.Handle); err != nil {
			cancel(fmt.Errorf("run whatsapp: %w", err))
		}
	})
	rest.Go(func() { // ends with ctx
		if !database.MigrateUntil(ctx, s.db, s.log) {
			return
		}
		close(s.migrated)
		for _, m := range s.modules {
			rest.Go(func() { m.Run(ctx) })
		}
	})
	rest.Go(func() { // ends with Shutdown
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve http: %w", err))
		}
	})

	<-ctx.Done()
	s.log.Info("stopping")
	s.hub.Close() // before Shutdown, which would wait for polls
	drain, stopDrain := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer stopDrain()
	if err := s.server.Shutdown(drain); err != nil {
		s.server.Close()
	}
	rest.Wait()
	browser.Go(s.traces.Close) // as long as the browser takes, so no time of its own
	stopBrowser()
	browser.Wait()
	s.db.Close()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
