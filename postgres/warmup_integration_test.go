//go:build integration

package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

// A row's xmax tells of a lock or a change even where it was rolled back.
func TestWarmUpLeavesNothingAndLocksNoSlice(t *testing.T) {
	b := newGatewayBench(t)
	want := b.addSlice(t, platform.SliceWarm, "current")
	conn, err := pgx.Connect(t.Context(), postgrestest.URL(t, b.name, postgres.RoleGateway))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	if err := postgres.WarmUp(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE xmax = 0 AND state = 'warm'`); n != 1 {
		t.Error("the warm slice was locked or changed")
	}
	for _, table := range []string{"users", "sessions", "queue", "claims", "mails", "audit_log"} {
		if n := b.count(t, `SELECT count(*) FROM gateway.`+table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if status := conn.PgConn().TxStatus(); status != 'I' {
		t.Errorf("transaction status %c, want idle", status)
	}
	if _, sl := b.signUp(t, "ana@example.com"); sl.Number != want {
		t.Errorf("slice %d, want %d", sl.Number, want)
	}
}
