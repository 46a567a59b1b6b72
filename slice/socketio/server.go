package socketio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

const (
	defaultPingInterval = 25 * time.Second // below the 60 s after which nginx cuts a silent connection
	defaultPingTimeout  = 20 * time.Second
	joinTimeout         = 10 * time.Second // for a client that opens a session and joins nothing
	upgradeTimeout      = 10 * time.Second
	writeTimeout        = 10 * time.Second // for one frame; a client that takes longer is cut off

	maxPayload  = 16 << 10 // bytes that a client may send at once; it has nothing to say
	maxSessions = 128      // the gateway allows a slice 32 sockets; some may be half closed
	maxQueued   = 512      // packets that wait for one client; a slower one has to come back
)

// Config says how a Server behaves. The zero value is usable.
type Config struct {
	// OnConnect runs for each client that joined, on a goroutine of its own. Its
	// context ends when the client is gone; it must return then.
	OnConnect func(ctx context.Context, c *Client)

	Logger       *slog.Logger  // nil discards
	PingInterval time.Duration // 0 is 25 s
	PingTimeout  time.Duration // 0 is 20 s
}

// Server is an http.Handler for the path of Socket.IO. All methods are safe for
// concurrent use.
type Server struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // sessions and what OnConnect runs

	mu       sync.Mutex // guards sessions
	sessions map[string]*session
}

// New returns a server without clients.
func New(cfg Config) *Server {
	if cfg.OnConnect == nil {
		cfg.OnConnect = func(context.Context, *Client) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PingInterval == 0 {
		cfg.PingInterval = defaultPingInterval
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = defaultPingTimeout
	}
	s := &Server{cfg: cfg, sessions: make(map[string]*session)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Broadcast tells every client that joined. It does not wait for them.
func (s *Server) Broadcast(event string, payload any) {
	packet, err := eventPacket(event, payload)
	if err != nil {
		s.cfg.Logger.Error("event cannot be sent", "event", event, "error", err)
		return
	}
	for _, c := range s.all() {
		c.sendJoined(packet)
	}
}

// Close ends all sessions in a way that makes clients come back, and waits for
// what they run.
func (s *Server) Close() {
	s.cancel()
	for _, c := range s.all() {
		c.close()
	}
	s.wg.Wait()
}

func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		list = append(list, c)
	}
	return list
}

// ServeHTTP serves handshakes, polls and WebSockets.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	transport, sid := q.Get("transport"), q.Get("sid")
	switch {
	case q.Get("EIO") != "4":
		refuse(w, "Only Engine.IO protocol 4 is spoken here.")
		return
	case transport != "polling" && transport != "websocket":
		refuse(w, "The transport must be polling or websocket.")
		return
	}
	var c *session
	if sid != "" {
		s.mu.Lock()
		c = s.sessions[sid]
		s.mu.Unlock()
		if c == nil {
			refuse(w, "There is no such Socket.IO session.")
			return
		}
	}
	switch {
	case transport == "websocket":
		s.serveWebSocket(w, r, c)
	case c == nil && r.Method == http.MethodGet:
		s.handshake(w)
	case c != nil && r.Method == http.MethodGet:
		c.servePoll(w, r)
	case c != nil && r.Method == http.MethodPost:
		c.servePost(w, r)
	default:
		refuse(w, "A session begins with GET.")
	}
}

// handshake begins a session over long polling.
func (s *Server) handshake(w http.ResponseWriter) {
	c, err := s.open(polling)
	if err != nil {
		problem.Write(w, err)
		return
	}
	writeText(w, c.openPacket())
}

// open begins a session.
func (s *Server) open(t transport) (*session, error) {
	c := &session{
		server:    s,
		id:        rand.Text(),
		transport: t,
		wake:      make(chan struct{}, 1),
		pong:      make(chan struct{}, 1),
		join:      make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, platform.Errorf(platform.ErrUnavailable, "The slice is stopping.")
	}
	if len(s.sessions) >= maxSessions {
		return nil, platform.Errorf(platform.ErrTooMany, "Too many clients are connected.")
	}
	s.sessions[c.id] = c
	s.wg.Go(c.watch)
	return c, nil
}

// forget removes a session that ended.
func (s *Server) forget(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.id)
}

func (c *session) openPacket() string {
	upgrades := []string{"websocket"}
	if c.transport == webSocket {
		upgrades = []string{}
	}
	b, _ := json.Marshal(openData{ // plain fields cannot fail
		SID: c.id, Upgrades: upgrades, MaxPayload: maxPayload,
		PingInterval: c.server.cfg.PingInterval.Milliseconds(), PingTimeout: c.server.cfg.PingTimeout.Milliseconds(),
	})
	return engineOpen + string(b)
}

func refuse(w http.ResponseWriter, detail string) {
	problem.Write(w, platform.Errorf(platform.ErrInvalid, "%s", detail))
}

func writeText(w http.ResponseWriter, body string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	w.Write([]byte(body)) // the client may be gone; the heartbeat notices
}
