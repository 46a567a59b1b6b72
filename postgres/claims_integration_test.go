//go:build integration

package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

// gatewayBench is a database, the store under test acting as the gateway's
// role, and a superuser's pool to set the scene.
type gatewayBench struct {
	name  string
	store *postgres.GatewayStore
	admin *pgxpool.Pool
}

func newGatewayBench(t *testing.T) *gatewayBench {
	t.Helper()
	b := &gatewayBench{name: postgrestest.New(t)}
	open := func(role string) *pgxpool.Pool {
		p, err := pgxpool.New(t.Context(), postgrestest.URL(t, b.name, role))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	b.admin = open("")
	b.store = postgres.NewGatewayStore(open(postgres.RoleGateway))
	b.exec(t, `INSERT INTO gateway.generations (fingerprint, is_current) VALUES ('old', false), ('current', true)`)
	return b
}

func (b *gatewayBench) exec(t *testing.T, stmt string, args ...any) {
	t.Helper()
	if _, err := b.admin.Exec(t.Context(), stmt, args...); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

func (b *gatewayBench) count(t *testing.T, query string, args ...any) int {
	t.Helper()
	var n int
	if err := b.admin.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// addSlice inserts a slice and returns its number. A warm one took 10 s.
func (b *gatewayBench) addSlice(t *testing.T, state platform.SliceState, generation string) int {
	t.Helper()
	return b.count(t, `
		INSERT INTO gateway.slices (state, generation, requested_at, warm_at)
		SELECT $1, id, now() - interval '10 s', CASE WHEN $1 = 'warm' THEN now() END
		FROM gateway.generations WHERE fingerprint = $2
		RETURNING number`, string(state), generation)
}

// firstSession returns the one that signUp begins.
func firstSession(email string) [32]byte { return sha256.Sum256([]byte(email)) }

func (b *gatewayBench) signUp(t *testing.T, email string) (platform.User, platform.Slice) {
	t.Helper()
	u, sl, err := b.store.SignUp(t.Context(), email, "hash", platform.SessionStart{TokenHash: firstSession(email), ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{})
	if err != nil {
		t.Fatal(err)
	}
	return u, sl
}

// A sign-up commits without waiting for the disk and waits after it: whoever was
// answered has an account that no crash takes away, and the connection is as
// before.
func TestSignUpIsOnTheDisk(t *testing.T) {
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "current")
	cfg, err := pgxpool.ParseConfig(postgrestest.URL(t, b.name, postgres.RoleGateway))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 1
	one, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	b.store = postgres.NewGatewayStore(one)
	var written string
	if err := b.admin.QueryRow(t.Context(), `SELECT pg_current_wal_insert_lsn()::text`).Scan(&written); err != nil {
		t.Fatal(err)
	}
	b.signUp(t, "ana@example.com")
	if b.count(t, `SELECT count(*) WHERE pg_current_wal_flush_lsn() > $1::text::pg_lsn`, written) != 1 {
		t.Error("answered before anything of it was on the disk")
	}
	var commits string
	if err := one.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&commits); err != nil || commits != "on" {
		t.Errorf("synchronous_commit %q, %v; want on", commits, err)
	}
}

func TestSignUpClaimsAWarmSliceOfTheCurrentGeneration(t *testing.T) {
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "old")
	b.addSlice(t, platform.SliceProvisioning, "current")
	want := b.addSlice(t, platform.SliceWarm, "current")

	hash, _ := platform.HashSessionToken(platform.NewSessionToken())
	u, sl, err := b.store.SignUp(t.Context(), "ana@example.com", "hash", platform.SessionStart{TokenHash: hash, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{})
	if err != nil {
		t.Fatal(err)
	}
	if sl.Number != want || sl.State != platform.SliceAssigned || sl.UserID != u.ID {
		t.Errorf("slice %+v, want number %d, assigned to %s", sl, want, u.ID)
	}
	ses, got, err := b.store.Session(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	if ses.User.ID != u.ID || ses.User.Email != "ana@example.com" || ses.User.Role != platform.RoleUser || got.Number != want || got.Generation != sl.Generation {
		t.Errorf("session %+v slice %+v", ses, got)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.claims WHERE queue_id IS NULL AND slice_number = $1`, want); n != 1 {
		t.Errorf("%d hit claims, want 1", n)
	}
	if _, err := b.store.QueuePosition(t.Context(), u.ID); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("queue position error %v, want not_found", err)
	}
}

func TestSignUpWithATakenAddressChangesNothing(t *testing.T) {
	b := newGatewayBench(t)
	b.signUp(t, "ana@example.com")
	number := b.addSlice(t, platform.SliceWarm, "current")
	b.exec(t, `DELETE FROM gateway.queue`)

	hash, _ := platform.HashSessionToken(platform.NewSessionToken())
	_, _, err := b.store.SignUp(t.Context(), "ana@example.com", "other", platform.SessionStart{TokenHash: hash, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{})
	if platform.CodeOf(err) != platform.ErrConflict {
		t.Fatalf("error %v, want conflict", err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE number = $1 AND state = 'warm'`, number); n != 1 {
		t.Error("the warm slice was taken")
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.sessions`); n != 1 {
		t.Errorf("%d sessions, want the first user's only", n)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.queue`); n != 0 {
		t.Errorf("%d in the queue, want 0", n)
	}
}

// 20 sign-ups at once with one warm slice: one gets it at once, the others get
// theirs in the order of the queue, each a different one, whoever serves.
func TestTwentySignUpsWithOneWarmSlice(t *testing.T) {
	const n = 20
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "current")

	var wg sync.WaitGroup
	hits := make(chan int, n)
	for i := range n {
		wg.Go(func() {
			hash, _ := platform.HashSessionToken(platform.NewSessionToken())
			_, sl, err := b.store.SignUp(t.Context(), fmt.Sprintf("u%d@example.com", i), "hash", platform.SessionStart{TokenHash: hash, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{})
			if err != nil {
				t.Error(err)
			} else if sl.Number != 0 {
				hits <- sl.Number
			}
		})
	}
	wg.Wait()
	close(hits)
	if len(hits) != 1 {
		t.Fatalf("%d sign-ups got the one warm slice", len(hits))
	}
	waiting := b.userIDs(t, `SELECT user_id::text FROM gateway.queue ORDER BY id`)
	if len(waiting) != n-1 {
		t.Fatalf("%d in the queue, want %d", len(waiting), n-1)
	}

	for range n - 1 {
		b.addSlice(t, platform.SliceWarm, "current")
	}
	served := make(chan int, 4)
	for range 4 { // as many gateways
		wg.Go(func() {
			k, err := b.store.ServeQueue(t.Context())
			if err != nil {
				t.Error(err)
			}
			served <- k
		})
	}
	wg.Wait()
	close(served)
	total := 0
	for k := range served {
		total += k
	}
	if total != n-1 {
		t.Fatalf("%d served, want %d", total, n-1)
	}
	if c := b.count(t, `SELECT count(DISTINCT number) FROM gateway.slices WHERE state = 'assigned'`); c != n {
		t.Errorf("%d slices assigned, want %d", c, n)
	}
	got := b.userIDs(t, `SELECT user_id::text FROM gateway.claims WHERE queue_id IS NOT NULL ORDER BY slice_number`)
	if !slices.Equal(got, waiting) {
		t.Errorf("slices went to %v, waiting were %v", got, waiting)
	}
}

func (b *gatewayBench) userIDs(t *testing.T, query string) []string {
	t.Helper()
	rows, err := b.admin.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestNobodyOvertakesTheQueue(t *testing.T) {
	b := newGatewayBench(t)
	first, sl := b.signUp(t, "first@example.com")
	if sl.Number != 0 {
		t.Fatalf("got slice %d of an empty pool", sl.Number)
	}
	number := b.addSlice(t, platform.SliceWarm, "current")
	second, sl := b.signUp(t, "second@example.com")
	if sl.Number != 0 {
		t.Fatal("the second user overtook the first")
	}
	for u, want := range map[string]int{first.ID: 1, second.ID: 2} {
		p, err := b.store.QueuePosition(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if p.Position != want || p.Estimate != time.Duration(want)*10*time.Second {
			t.Errorf("position %+v, want %d after %d0 s", p, want, want)
		}
	}
	if k, err := b.store.ServeQueue(t.Context()); err != nil || k != 1 {
		t.Fatalf("served %d, %v; want 1", k, err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE number = $1 AND user_id = $2`, number, first.ID); n != 1 {
		t.Error("the slice did not go to the first user")
	}
	all, err := b.store.QueuePositions(t.Context())
	if err != nil || len(all) != 1 || all[second.ID].Position != 1 {
		t.Errorf("positions %v, %v; want the second user at 1", all, err)
	}
}

// A sign-up that fails after it took a slice leaves it to the queue.
func TestServeQueueWaitsForASliceBeingTaken(t *testing.T) {
	b := newGatewayBench(t)
	b.signUp(t, "waits@example.com")
	number := b.addSlice(t, platform.SliceWarm, "current")
	tx, err := b.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM gateway.slices WHERE number = $1 FOR UPDATE`, number); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		n, err := b.store.ServeQueue(t.Context())
		if err == nil && n != 1 {
			err = fmt.Errorf("served %d, want 1", n)
		}
		done <- err
	}()
	b.until(t, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// until polls a boolean query for up to 10 s.
func (b *gatewayBench) until(t *testing.T, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var ok bool
		if err := b.admin.QueryRow(ctx, query).Scan(&ok); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v", query, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never true: %s", query)
		case <-tick.C:
		}
	}
}
