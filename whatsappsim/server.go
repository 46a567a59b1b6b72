package whatsappsim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// Server is the stand-in as an http.Handler.
type Server struct {
	config Config
	log    *slog.Logger
	world  *world
	store  *store // nil without a state file
	files  *fileStore
	mux    *http.ServeMux

	ctx    context.Context // ends with Close; long-lived requests and goroutines follow it
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines of the server

	mu       sync.Mutex // guards the following fields
	closed   bool
	requests sync.WaitGroup // handlers; nothing is added once closed
	closeErr error
	closing  sync.Once
}

// New returns a server with what the state file holds. Close it after use.
func New(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("whatsappsim: %w", err)
	}
	config = config.withDefaults()
	s := &Server{config: config, log: config.Logger, world: newWorld(), mux: http.NewServeMux()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.world.changed = func() {}
	s.world.ackDelay = config.AckDelay
	s.world.later = func(d time.Duration, f func()) { s.work.Go(func() { s.after(d, f) }) }
	s.files = newFileStore(config.StateFile)
	if config.StateFile != "" {
		s.store = newStore(s.world, config.StateFile, s.log)
		s.world.changed = s.store.changed
		if err := s.store.load(); err != nil {
			s.cancel()
			return nil, fmt.Errorf("whatsappsim: %w", err)
		}
		// A place that cannot be written is a fault of configuration: say so now.
		if err := s.store.save(); err != nil {
			s.cancel()
			return nil, fmt.Errorf("whatsappsim: %w", err)
		}
		if err := s.files.open(s.world.hasFile); err != nil {
			s.cancel()
			return nil, fmt.Errorf("whatsappsim: %w", err)
		}
		s.work.Go(func() { s.store.run(s.ctx) })
	}
	d := newDelivery(s.world, config.DeliveryDelay)
	s.world.sent = d.add
	d.addStored()
	s.work.Go(func() { d.run(s.ctx) })
	s.routes()
	return s, nil
}

// after calls f after d, unless the server ends before.
func (s *Server) after(d time.Duration, f func()) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
	case <-timer.C:
		f()
	}
}

func (s *Server) routes() {
	s.mux.HandleFunc("GET /{$}", s.webPage)
	s.mux.HandleFunc("GET /phone", page("phone.html"))
	s.mux.HandleFunc("GET /assets/{name}", asset)
	s.mux.HandleFunc("GET /qr.png", qrPicture)
	s.mux.HandleFunc("GET /device", s.handleDevice)
	s.mux.HandleFunc("POST /device/files", s.uploadFile)
	s.mux.HandleFunc("GET /device/files/{hash}", s.downloadFile)
	s.mux.HandleFunc("GET /pictures/{id}", profilePicture)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		problem.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("GET /control/accounts", s.listAccounts)
	s.mux.HandleFunc("POST /control/accounts", s.createAccount)
	s.mux.HandleFunc("POST /control/accounts/{phone}/scan", s.scan)
	s.mux.HandleFunc("GET /control/accounts/{phone}/messages", s.messages)
	s.mux.HandleFunc("POST /control/accounts/{phone}/messages", s.customerWrites)
	s.mux.HandleFunc("POST /control/accounts/{phone}/read", s.customerReads)
	s.mux.HandleFunc("POST /control/accounts/{phone}/files", s.customerSendsFile)
	s.mux.HandleFunc("GET /control/accounts/{phone}/files", s.file)
	s.mux.HandleFunc("POST /control/accounts/{phone}/edits", s.customerEdits)
	s.mux.HandleFunc("POST /control/accounts/{phone}/deletions", s.customerDeletes)
	s.mux.HandleFunc("POST /control/accounts/{phone}/reactions", s.customerReacts)
	s.mux.HandleFunc("POST /control/accounts/{phone}/typing", s.customerTypes)
	s.mux.HandleFunc("POST /control/accounts/{phone}/plays", s.customerPlays)
	s.mux.HandleFunc("POST /control/accounts/{phone}/groups", s.createGroup)
	s.mux.HandleFunc("POST /control/accounts/{phone}/phone/messages", s.phoneWrites)
	s.mux.HandleFunc("POST /control/accounts/{phone}/phone/read", s.phoneReads)
	s.mux.HandleFunc("POST /control/accounts/{phone}/link-code", s.typeCode)
	s.mux.HandleFunc("POST /control/accounts/{phone}/passkey", s.passkey)
	s.mux.HandleFunc("POST /control/accounts/{phone}/populate", s.populate)
	s.mux.HandleFunc("POST /control/faults", s.pageFault)
	s.mux.HandleFunc("POST /control/accounts/{phone}/logout", s.logout)
	s.mux.HandleFunc("POST /control/accounts/{phone}/faults", s.fault)
	s.mux.HandleFunc("GET /control/accounts/{phone}/events", s.events)
}

// ServeHTTP answers every error as problem details, also those of the mux.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		problem.Write(w, platform.Errorf(platform.ErrUnavailable, "The server ends."))
		return
	}
	defer s.requests.Done()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	h, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	refusal := &refusal{header: make(http.Header)}
	h.ServeHTTP(refusal, r)
	if refusal.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", refusal.header.Get("Allow"))
		problem.Write(w, platform.Errorf(platform.ErrMethod, "%s is not possible here.", r.Method))
		return
	}
	problem.Write(w, platform.Errorf(platform.ErrNotFound, "There is nothing at this path."))
}

func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.requests.Add(1)
	return true
}

// refusal takes what the mux answers where no route matches.
type refusal struct {
	header http.Header
	status int
}

func (f *refusal) Header() http.Header         { return f.header }
func (f *refusal) Write(b []byte) (int, error) { return len(b), nil }
func (f *refusal) WriteHeader(status int)      { f.status = status }

// Close ends every connection, waits for them, and saves the state. It can be
// called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.cancel()
		s.requests.Wait()
		s.work.Wait()
		if s.store != nil {
			s.closeErr = s.store.save()
		}
	})
	return s.closeErr
}
