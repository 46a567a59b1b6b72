//go:build integration

package postgres_test

import (
	"context"
	"crypto/rand"
	"math/big"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
	"ipnoelp.io/platform/provisioner/provisionertest"
)

func newPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func TestProvisionerStoreConforms(t *testing.T) {
	name := postgrestest.New(t)
	store := postgres.NewProvisionerStore(newPool(t, postgrestest.URL(t, name, postgres.RoleProvisioner)))
	gateway := postgres.NewGatewayStore(newPool(t, postgrestest.URL(t, name, postgres.RoleGateway)))
	signUp := func(t *testing.T) platform.Slice {
		t.Helper()
		var hash [32]byte
		rand.Read(hash[:])
		_, s, err := gateway.SignUp(t.Context(), strings.ToLower(rand.Text())+"@example.com", "x", hash, far())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	provisionertest.TestRecords(t, store,
		func(t *testing.T) {
			if s := signUp(t); s.Number == 0 {
				t.Fatal("nothing to claim")
			}
		},
		func(t *testing.T) {
			if s := signUp(t); s.Number != 0 {
				t.Fatalf("claimed %+v", s)
			}
		})
}

// newProvisionerRole makes a role with the rights of RoleProvisioner that logs
// in as itself: acting as a role in a superuser's session would prove nothing
// about who may become whom.
func newProvisionerRole(t testing.TB, database string) (url string) {
	t.Helper()
	ctx := context.Background() // the cleanup comes after the test's own
	conn, err := pgx.Connect(ctx, postgrestest.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	name, password := "provisioner_"+rand.Text(), rand.Text()
	ident := pgx.Identifier{name}.Sanitize()
	for _, stmt := range []string{
		`CREATE ROLE ` + ident + ` LOGIN CREATEDB CREATEROLE PASSWORD '` + password + `'`,
		`GRANT ` + postgres.RoleProvisioner + `, ` + postgres.RoleTemplate + ` TO ` + ident,
	} {
		if _, err := conn.Exec(ctx, stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	t.Cleanup(func() {
		defer conn.Close(ctx)
		// The template may have been built by this role.
		for _, stmt := range []string{`REASSIGN OWNED BY ` + ident + ` TO ` + postgres.RoleProvisioner, `DROP OWNED BY ` + ident, `DROP ROLE ` + ident} {
			if _, err := conn.Exec(ctx, stmt); err != nil {
				t.Errorf("%s: %v", stmt, err)
			}
		}
	})
	cfg, err := pgx.ParseConfig(postgrestest.URL(t, database, ""))
	if err != nil {
		t.Fatal(err)
	}
	return urlOf(cfg, name, password, database)
}

// randomNumber keeps tests on one server out of each other's way.
func randomNumber(t testing.TB) int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return int(n.Int64()) + 1_000_000_000
}
