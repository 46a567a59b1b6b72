//go:build integration

package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

func TestPrepareTwiceChangesNothing(t *testing.T) {
	name := postgrestest.New(t)
	if err := postgres.Prepare(t.Context(), postgrestest.Server(t), postgres.PrepareOptions{Database: name}); err != nil {
		t.Fatal(err)
	}
}

// Each program's role can do its own work and no more.
func TestRolesAreLeastPrivileged(t *testing.T) {
	name := postgrestest.New(t)
	cases := []struct {
		role, stmt string
		allowed    bool
	}{
		{postgres.RoleGateway, `SELECT count(*) FROM gateway.users`, true},
		{postgres.RoleGateway, `UPDATE gateway.slices SET generation = 1`, false},
		{postgres.RoleGateway, `DELETE FROM gateway.slices`, false},
		{postgres.RoleGateway, `CREATE DATABASE nope`, false},
		{postgres.RoleGateway, `CREATE TABLE gateway.nope ()`, false},
		{postgres.RoleProvisioner, `SELECT count(*) FROM gateway.slices`, true},
		{postgres.RoleProvisioner, `SELECT count(*) FROM gateway.queue`, true},
		{postgres.RoleProvisioner, `SELECT password_hash FROM gateway.users`, false},
		{postgres.RoleProvisioner, `SELECT * FROM gateway.sessions`, false},
		{postgres.RoleTemplate, `SELECT count(*) FROM gateway.slices`, false},
	}
	for _, c := range cases {
		t.Run(c.role+"/"+c.stmt, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), postgrestest.URL(t, name, c.role))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), c.stmt)
			if (err == nil) != c.allowed {
				t.Errorf("allowed %v, want %v (%v)", err == nil, c.allowed, err)
			}
		})
	}
}
