// Package postgrestest gives a test a database of its own on a real server.
package postgrestest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/postgres"
)

// Server returns the superuser URL of the server that tests run on. The test
// fails when there is none: it would show nothing without one.
func Server(t testing.TB) string {
	t.Helper()
	u := os.Getenv("TEST_DATABASE_URL")
	if u == "" {
		t.Fatal("TEST_DATABASE_URL is not set: it names the PostgreSQL server that this test needs (`make test` sets it)")
	}
	return u
}

// URL returns the server's URL for another database, acting as role (the
// superuser itself when role is empty). Acting as a role has its rights
// without needing its password.
func URL(t testing.TB, database, role string) string {
	t.Helper()
	u, err := url.Parse(Server(t))
	if err != nil {
		t.Fatalf("TEST_DATABASE_URL: %v", err)
	}
	u.Path = "/" + database
	if role != "" {
		q := u.Query()
		q.Set("role", role)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// New makes a database with the gateway schema, dropped when the test ends,
// and returns its name.
func New(t testing.TB) string {
	t.Helper()
	name := "test_" + rand.Text()
	if err := postgres.Prepare(t.Context(), Server(t), postgres.PrepareOptions{Database: name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(t, name) })
	return name
}

func drop(t testing.TB, name string) {
	ctx := context.Background() // the test's own context is over by now
	conn, err := pgx.Connect(ctx, Server(t))
	if err != nil {
		t.Errorf("drop %s: %v", name, err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`); err != nil {
		t.Errorf("drop %s: %v", name, err)
	}
}
