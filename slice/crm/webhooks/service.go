package webhooks

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/alarm"
	"ipnoelp.io/platform/slice/crm/event"
)

const (
	maxWebhooks = 20
	maxInFlight = 4 // requests at a time, over all webhooks

	keepFor    = 30 * 24 * time.Hour // of a delivery in the log
	keepCount  = 1000                // deliveries in the log of a webhook
	maxPending = 10_000              // deliveries of a webhook that wait
	pruneAfter = 500                 // deliveries made

	loadRetry = time.Second
)

// Service keeps webhooks and delivers to them.
type Service struct {
	pool   *pgxpool.Pool
	bus    *event.Bus
	log    *slog.Logger
	client *http.Client
	permit func(netip.Addr) bool // which addresses are told anything
	slots  chan struct{}         // one for each request in flight
	alarm  *alarm.Alarm
	pruner *alarm.Alarm

	loading sync.Mutex // held while wants is read from the database, so that the latest wins

	mu       sync.Mutex      // guards the following fields
	wants    map[string]bool // what any active webhook wants
	lanes    map[int64]*lane // of webhooks that were sent to
	settled  int             // deliveries since the log was pruned
	draining *sync.WaitGroup // of running lanes
}

// lane is the state of one webhook that is kept in memory only.
type lane struct {
	running   bool      // a goroutine sends
	failures  int       // attempts since one succeeded
	restUntil time.Time // nothing is sent before
}

// New returns a service that delivers nothing before Run.
func New(pool *pgxpool.Pool, bus *event.Bus, log *slog.Logger) *Service {
	return newService(pool, bus, log, isPublic)
}

// newService lets tests permit other addresses.
func newService(pool *pgxpool.Pool, bus *event.Bus, log *slog.Logger, permit func(netip.Addr) bool) *Service {
	s := &Service{
		pool: pool, bus: bus, log: log, permit: permit,
		wants: map[string]bool{event.Any: true}, // until it is known
		slots: make(chan struct{}, maxInFlight), lanes: make(map[int64]*lane), draining: new(sync.WaitGroup),
	}
	dialer := &net.Dialer{Timeout: connectTimeout, Control: control(permit)}
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // one could reach what we may not
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    connectTimeout,
			MaxIdleConns:           maxInFlight,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 32 << 10,
			DisableCompression:     true, // nothing is unpacked
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.alarm = alarm.New("webhook deliveries", log, s.dispatch)
	s.pruner = alarm.New("webhook log", log, func(ctx context.Context) (time.Time, error) { return s.prune(ctx, time.Now()) })
	bus.Webhooks(s.wanted, s.alarm.Wake)
	return s
}

// Run delivers until ctx ends.
func (s *Service) Run(ctx context.Context) {
	for {
		err := s.reload(ctx)
		if err == nil {
			break
		}
		s.log.Error("webhooks cannot be read; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(loadRetry):
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.alarm.Run(ctx) })
	wg.Go(func() { s.pruner.Run(ctx) })
	wg.Wait()
	s.draining.Wait()
	s.client.CloseIdleConnections()
}

// wanted reports whether an active webhook wants an event.
func (s *Service) wanted(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wants[event.Any] || s.wants[name]
}

// reload reads what is wanted.
func (s *Service) reload(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	var names []string
	if err := s.pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(DISTINCT name), '{}') FROM webhooks, unnest(events) name WHERE active`).Scan(&names); err != nil {
		return err
	}
	wants := make(map[string]bool, len(names))
	for _, n := range names {
		wants[n] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants = wants
	return nil
}

// changed takes notice of webhooks that were changed.
func (s *Service) changed(ctx context.Context) {
	// The change is made, whether its client still waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
	defer cancel()
	if err := s.reload(ctx); err != nil {
		s.log.Error("webhooks cannot be read", "error", err)
		s.mu.Lock()
		s.wants = map[string]bool{event.Any: true} // too much is stored rather than too little
		s.mu.Unlock()
	}
	s.alarm.Wake()
}

// hurry ends the rest of a webhook, since the user wants to see what happens.
func (s *Service) hurry(webhookID int64) {
	s.mu.Lock()
	if l := s.lanes[webhookID]; l != nil {
		l.failures, l.restUntil = 0, time.Time{}
	}
	s.mu.Unlock()
	s.alarm.Wake()
}
