package postgrestest

import (
	"context"
	"crypto/rand"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/postgres"
)

// ProvisionerURL makes a role with the rights of the provisioner's that logs in
// as itself, until the test ends, and returns the URL of a database for it.
// Acting as a role in a superuser's session would prove nothing about who may
// become whom.
func ProvisionerURL(t testing.TB, database string) string {
	t.Helper()
	ctx := context.Background() // the cleanup comes after the test's own
	name, password := "provisioner_"+strings.ToLower(rand.Text()), rand.Text()
	role := pgx.Identifier{name}.Sanitize()
	exec := func(fatal bool, statements ...string) {
		conn, err := pgx.Connect(ctx, Server(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		for _, stmt := range statements {
			if _, err := conn.Exec(ctx, stmt); err != nil && fatal {
				t.Fatalf("%s: %v", stmt, err)
			} else if err != nil {
				t.Errorf("%s: %v", stmt, err)
			}
		}
	}
	exec(true, `CREATE ROLE `+role+` LOGIN CREATEDB CREATEROLE PASSWORD '`+password+`'`,
		`GRANT `+postgres.RoleProvisioner+`, `+postgres.RoleTemplate+` TO `+role)
	t.Cleanup(func() { // the template database may be its own
		exec(false, `REASSIGN OWNED BY `+role+` TO `+postgres.RoleProvisioner, `DROP OWNED BY `+role, `DROP ROLE `+role)
	})
	u, err := url.Parse(URL(t, database, ""))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, password)
	return u.String()
}

// Host returns the server's address, host:port.
func Host(t testing.TB) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(Server(t))
	if err != nil {
		t.Fatalf("TEST_DATABASE_URL: %v", err)
	}
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

// SliceNumber returns a number far from those in use: slices' databases and
// roles belong to the whole server, which tests share.
func SliceNumber(t testing.TB) int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return 1_000_000_000 + int(n.Int64())
}
