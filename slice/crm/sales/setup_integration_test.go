//go:build integration

package sales

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

const patience = 10 * time.Second

var doc = openapitest.Slice()

func TestMain(m *testing.M) {
	doc.Main(m, "/api/stages", "/api/pipeline", "/api/deals", "/api/tasks")
}

// told is an event that was published.
type told struct {
	name    string
	payload any
}

type clients chan told

func (c clients) Publish(name string, payload any) { c <- told{name, payload} }

type bundle struct {
	t      *testing.T
	pool   *pgxpool.Pool
	svc    *Service
	told   clients
	url    string
	client *http.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, pool: pool, told: make(clients, 10_000), client: doc.Client(t, nil)}
	b.svc = b.service()
	mux := http.NewServeMux()
	b.svc.Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// service makes one more service on the database, as after a restart.
func (b *bundle) service() *Service {
	return New(b.pool, event.NewBus(b.pool, b.told), slog.New(slog.NewTextHandler(b.t.Output(), nil)))
}

// run runs a service until stop is called.
func (b *bundle) run(s *Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(stop)
	return stop
}

// do asks, and fails the test unless the status is the one wanted.
func (b *bundle) do(method, path, body string, status int) []byte {
	b.t.Helper()
	got, answer, err := b.ask(method, path, body)
	if err != nil || got != status {
		b.t.Fatalf("%s %s %s: %d %s, %v, want %d", method, path, body, got, answer, err, status)
	}
	return answer
}

func (b *bundle) ask(method, path, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequest(method, b.url+path, bytes.NewBufferString(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// as is do with the answer read.
func as[T any](b *bundle, method, path, body string, status int) T {
	b.t.Helper()
	var v T
	if err := json.Unmarshal(b.do(method, path, body, status), &v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bundle) deal(title, stageID string) Deal {
	b.t.Helper()
	return as[Deal](b, "POST", "/api/deals", fmt.Sprintf(`{"title":%q,"stage_id":%q}`, title, stageID), 201)
}

func (b *bundle) move(id, stageID, more string) Deal {
	b.t.Helper()
	return as[Deal](b, "POST", "/api/deals/"+id+"/move", fmt.Sprintf(`{"stage_id":%q%s}`, stageID, more), 200)
}

func (b *bundle) contact(name string) (id string) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.t.Context(), `INSERT INTO contacts (name) VALUES ($1) RETURNING id::text`, name).Scan(&id); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// events returns the names of what was told since the last call.
func (b *bundle) events() []string {
	names := []string{}
	for {
		select {
		case e := <-b.told:
			names = append(names, e.name)
		default:
			return names
		}
	}
}

// titles are the deals of a stage in their order, through all pages.
func (b *bundle) titles(stageID string) []string {
	b.t.Helper()
	list := []string{}
	for cursor := ""; ; {
		page := as[dealPage](b, "GET", "/api/deals?limit=2&stage="+stageID+cursor, "", 200)
		for _, d := range page.Deals {
			list = append(list, d.Title)
		}
		if page.NextCursor == nil {
			return list
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

type dealPage struct {
	Deals      []Deal  `json:"deals"`
	NextCursor *string `json:"next_cursor"`
}

type taskPage struct {
	Tasks      []Task  `json:"tasks"`
	NextCursor *string `json:"next_cursor"`
}
