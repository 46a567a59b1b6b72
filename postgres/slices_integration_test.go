//go:build integration

package postgres_test

import (
	"crypto/rand"
	"strings"
	"testing"

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
		_, s, err := gateway.SignUp(t.Context(), strings.ToLower(rand.Text())+"@example.com", "x", platform.SessionStart{TokenHash: hash, ExpiresAt: far()}, platform.AuditEntry{})
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
