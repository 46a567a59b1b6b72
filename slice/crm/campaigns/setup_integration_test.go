//go:build integration

package campaigns

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
)

var doc = openapitest.Slice()

func TestMain(m *testing.M) {
	doc.Main(m, "/api/quick-replies", "/api/scheduled-messages", "/api/broadcasts")
}

// testBundle is a service on a real database.
type testBundle struct {
	*testing.T
	pool    *pgxpool.Pool
	clients *clients
	outbox  *fakeOutbox
	account account
	service *Service
	api     *httptest.Server
	client  *http.Client
	stop    func() // of the service; waits
}

// clients keeps what was published.
type clients struct {
	mu     sync.Mutex // guards events
	events []string
}

func (c *clients) Publish(name string, _ any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, name)
}

func (c *clients) count(name string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e == name {
			n++
		}
	}
	return n
}

// account is one that is linked, unless another status is set.
type account struct {
	other atomic.Pointer[whatsapp.Status]
}

func (a *account) Status() whatsapp.Status {
	if s := a.other.Load(); s != nil {
		return *s
	}
	return whatsapp.Status{State: whatsapp.StateReady, Account: &whatsapp.Account{ID: "49300@c.us", Phone: "+49300", Name: "Bakery {{name}}"}}
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	b := &testBundle{T: t, pool: pool, clients: &clients{}, outbox: &fakeOutbox{}, client: doc.Client(t, nil), stop: func() {}}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs a new service, as after a restart.
func (b *testBundle) start() {
	b.Helper()
	b.stop()
	bus := event.NewBus(b.pool, b.clients)
	b.serve(New(b.pool, bus, &b.account, b.outbox, slog.New(slog.DiscardHandler)))
	api := b.api
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.service.Run(ctx); close(done) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-done; api.Close() })
}

// serve serves the API of a service.
func (b *testBundle) serve(s *Service) {
	b.service = s
	mux := http.NewServeMux()
	s.Register(mux)
	b.api = httptest.NewServer(mux)
}

func (b *testBundle) do(method, path, body string, want int) map[string]any {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.api.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		b.Fatalf("%s %s %.200s: %d %s, want %d", method, path, body, res.StatusCode, text, want)
	}
	var v map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

func (b *testBundle) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

// eventually waits until f returns "".
func (b *testBundle) eventually(f func() string) {
	b.Helper()
	var last string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if last = f(); last == "" {
			return
		}
	}
	b.Fatal(last)
}

// object is a JSON body.
func object(fields ...any) string {
	m := make(map[string]any)
	for i := 0; i < len(fields); i += 2 {
		m[fields[i].(string)] = fields[i+1]
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// badInput is a request that must be refused.
type badInput struct {
	method, path, body string
	status             int
}

func (b *testBundle) refused(cases []badInput) {
	b.Helper()
	for _, tc := range cases {
		v := b.do(tc.method, tc.path, tc.body, tc.status)
		if v["detail"] == "" || v["type"] == "" {
			b.Errorf("%s %s %.100s: %v", tc.method, tc.path, tc.body, v)
		}
	}
}
