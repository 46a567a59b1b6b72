//go:build integration

package event_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

// clients note what they are told.
type clients struct {
	mu   sync.Mutex
	told []any
}

func (c *clients) Publish(name string, payload any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, name, payload)
}

func setup(t *testing.T) (*event.Bus, *pgxpool.Pool, *clients) {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if !database.MigrateUntil(t.Context(), pool, slog.New(slog.DiscardHandler)) {
		t.Fatal("the database is not migrated")
	}
	c := &clients{}
	return event.NewBus(pool, c), pool, c
}

// deliveries lists webhook and event of what is stored for webhooks.
func deliveries(t *testing.T, pool *pgxpool.Pool) (all []string) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
		SELECT coalesce(array_agg(w.url || ' ' || d.event ORDER BY w.url, d.event), '{}')
		FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func addWebhook(t *testing.T, pool *pgxpool.Pool, url string, active bool, events ...string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `INSERT INTO webhooks (url, secret, active, events) VALUES ($1, 'secret', $2, $3)`, url, active, events); err != nil {
		t.Fatal(err)
	}
}

func TestChangeAndEventsAreOne(t *testing.T) {
	t.Parallel()
	bus, pool, clients := setup(t)
	addWebhook(t, pool, "https://all.example.com", true, "*")
	addWebhook(t, pool, "https://deals.example.com", true, "deal:created", "deal:moved")
	addWebhook(t, pool, "https://tasks.example.com", true, "task:due")
	addWebhook(t, pool, "https://off.example.com", false, "*")
	queued := 0
	bus.Webhooks(func(name string) bool { return name != "task:due" }, func() { queued++ })

	refused := errors.New("refused")
	err := bus.Transact(t.Context(), func(tx *event.Tx) error {
		tx.Emit("deal:created", 1)
		tx.AfterCommit(func() { t.Error("called after a rollback") })
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	err = bus.Transact(t.Context(), func(tx *event.Tx) error {
		addLabel(t, tx)
		tx.Emit("deal:created", func() {}) // no JSON
		return nil
	})
	if err == nil {
		t.Error("an event that cannot be stored was told")
	}
	var labels int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM labels`).Scan(&labels); err != nil || labels != 0 {
		t.Errorf("%d labels, %v: the change stayed without its event", labels, err)
	}
	if got := deliveries(t, pool); len(got) > 0 || len(clients.told) > 0 || queued > 0 {
		t.Fatalf("after rollbacks: stored %v, told %v, queued %d", got, clients.told, queued)
	}

	err = bus.Transact(t.Context(), func(tx *event.Tx) error {
		tx.Emit("deal:created", 1)
		tx.Emit("task:due", 2) // which the service says none wants
		tx.AfterCommit(func() {
			if len(clients.told) != 4 {
				t.Errorf("called before the events were told: %v", clients.told)
			}
		})
		if got := deliveries(t, pool); len(got) > 0 || len(clients.told) > 0 {
			t.Errorf("before the commit: stored %v, told %v", got, clients.told)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []any{"deal:created", 1, "task:due", 2}; !slices.Equal(clients.told, want) {
		t.Errorf("told %v, want %v", clients.told, want)
	}
	want := []string{"https://all.example.com deal:created", "https://deals.example.com deal:created"}
	if got := deliveries(t, pool); !slices.Equal(got, want) || queued != 1 {
		t.Errorf("stored %v, want %v; queued %d times", got, want, queued)
	}
}

func addLabel(t *testing.T, tx *event.Tx) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), `INSERT INTO labels (name, color) VALUES ('VIP', '#ff0000')`); err != nil {
		t.Fatal(err)
	}
}

func TestClientsAreToldInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	bus, pool, clients := setup(t)
	if _, err := pool.Exec(t.Context(), `CREATE TABLE counter AS SELECT 0 AS n`); err != nil {
		t.Fatal(err)
	}
	const writers = 40
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			err := bus.Transact(t.Context(), func(tx *event.Tx) error {
				var n int
				err := tx.QueryRow(t.Context(), `UPDATE counter SET n = n + 1 RETURNING n`).Scan(&n)
				tx.Emit("chat:updated", n)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range writers {
		if len(clients.told) != 2*writers || clients.told[2*i+1] != i+1 {
			t.Fatalf("told %v", clients.told)
		}
	}
}

func TestWhatIsNotStoredIsToldWithoutADatabase(t *testing.T) {
	t.Parallel()
	bus, pool, clients := setup(t)
	wanted := false
	bus.Webhooks(func(string) bool { return wanted }, func() {})
	pool.Close()
	if err := bus.Tell(context.Background(), "whatsapp:state", 1); err != nil {
		t.Errorf("asked the database for an event that no webhook wants: %v", err)
	}
	wanted = true
	if err := bus.Tell(context.Background(), "whatsapp:state", 2); err == nil {
		t.Error("no error, though the event is stored nowhere")
	}
	if want := []any{"whatsapp:state", 1, "whatsapp:state", 2}; !slices.Equal(clients.told, want) {
		t.Errorf("told %v, want %v", clients.told, want)
	}
}
