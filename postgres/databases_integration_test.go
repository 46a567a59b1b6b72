//go:build integration

package postgres_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
	"ipnoelp.io/platform/provisioner/provisionertest"
)

func far() time.Time { return time.Now().Add(time.Hour) }

func newSliceDatabases(t testing.TB) *postgres.SliceDatabases {
	t.Helper()
	db := newPool(t, postgrestest.ProvisionerURL(t, postgrestest.New(t)))
	return postgres.NewSliceDatabases(db, postgrestest.Host(t), "disable")
}

// makeSlice makes role and database, and drops them when the test ends.
func makeSlice(t testing.TB, d *postgres.SliceDatabases, number int) *pgx.Conn {
	t.Helper()
	if err := d.EnsureRole(t.Context(), number, "secret"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background() // the test's own is over
		if err := d.DropDatabase(ctx, number); err != nil {
			t.Error(err)
		}
		if err := d.DropRole(ctx, number); err != nil {
			t.Error(err)
		}
	})
	if err := d.EnsureDatabase(t.Context(), number); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), d.URL(number, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestSliceDatabasesConform(t *testing.T) {
	d := newSliceDatabases(t)
	number := postgrestest.SliceNumber(t)
	t.Cleanup(func() {
		ctx := context.Background()
		d.DropDatabase(ctx, number)
		d.DropRole(ctx, number)
	})
	provisionertest.TestDatabases(t, d, number, func(t *testing.T, number int, url string) bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return false
		}
		defer conn.Close(t.Context())
		if !hasPassword(t, conn.Config().User, conn.Config().Password) {
			return false
		}
		role := platform.SliceDatabase(number)
		var owners string
		if err := conn.QueryRow(t.Context(), `
			SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'`).Scan(&owners); err != nil || owners != role {
			t.Errorf("tables are owned by %q, want %s (%v)", owners, role, err)
		}
		// Its own database: it migrates it after an upgrade.
		for _, stmt := range []string{`INSERT INTO chats (id) VALUES ('a') ON CONFLICT DO NOTHING`,
			`ALTER TABLE chats ADD extra text`, `ALTER TABLE chats DROP extra`, `CREATE TABLE more ()`, `DROP TABLE more`} {
			if _, err := conn.Exec(t.Context(), stmt); err != nil {
				t.Errorf("%s: %v", stmt, err)
			}
		}
		return true
	})
}

// hasPassword looks at what the server stores: it may trust everybody here.
func hasPassword(t *testing.T, role, password string) bool {
	t.Helper()
	super, err := pgx.Connect(t.Context(), postgrestest.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(t.Context())
	var stored string
	if err := super.QueryRow(t.Context(), `SELECT rolpassword FROM pg_authid WHERE rolname = $1`, role).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	salt, err := base64.StdEncoding.DecodeString(strings.Split(strings.Split(stored, ":")[1], "$")[0])
	if err != nil {
		t.Fatal(err)
	}
	want, err := postgres.SaltedVerifier(password, salt)
	if err != nil {
		t.Fatal(err)
	}
	return stored == want
}

// No slice reaches the database of another, nor any other one, and none takes
// all of the server's connections.
func TestSlicesAreApart(t *testing.T) {
	d := newSliceDatabases(t)
	one, two := postgrestest.SliceNumber(t), postgrestest.SliceNumber(t)
	conn := makeSlice(t, d, one)
	makeSlice(t, d, two)
	base, err := url.Parse(d.URL(one, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	// Every database that the platform makes, and those of the server itself.
	rows, err := conn.Query(t.Context(), `
		SELECT datname FROM pg_database
		WHERE datname <> current_database() AND (datname IN ('postgres', 'template1', $1) OR datname LIKE 'wa\_%')`, postgrestest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 5 {
		t.Errorf("only %v to try", names)
	}
	for _, name := range names {
		u := *base
		u.Path = "/" + name
		if c, err := pgx.Connect(t.Context(), u.String()); err == nil {
			c.Close(t.Context())
			t.Errorf("slice %d connects to %s", one, name)
		}
	}
	for _, stmt := range []string{`CREATE DATABASE nope`, `CREATE ROLE nope`, `SET ROLE ` + platform.SliceDatabase(two),
		`SET ROLE ` + postgres.RoleTemplate, `SELECT * FROM pg_authid`} {
		if _, err := conn.Exec(t.Context(), stmt); err == nil {
			t.Errorf("a slice may %s", stmt)
		}
	}
	var limit int
	if err := conn.QueryRow(t.Context(), `SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user`).Scan(&limit); err != nil || limit < 1 {
		t.Errorf("connection limit %d (%v)", limit, err)
	}
}

// A slice that was cut off between CREATE DATABASE and what follows is whole
// after the next call.
func TestEnsureDatabaseResumes(t *testing.T) {
	d := newSliceDatabases(t)
	number := postgrestest.SliceNumber(t)
	conn := makeSlice(t, d, number)
	name := platform.SliceDatabase(number)
	super, err := pgx.Connect(t.Context(), postgrestest.URL(t, name, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(context.Background())
	for _, stmt := range []string{`REASSIGN OWNED BY ` + name + ` TO ` + postgres.RoleTemplate,
		`ALTER DATABASE ` + name + ` OWNER TO ` + name, `GRANT CONNECT ON DATABASE ` + name + ` TO PUBLIC`} {
		if _, err := super.Exec(t.Context(), stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	if err := d.EnsureDatabase(t.Context(), number); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO chats (id) VALUES ('a')`); err != nil {
		t.Errorf("the tables are not the slice's: %v", err)
	}
	var public bool
	if err := super.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database, aclexplode(datacl) WHERE datname = $1 AND grantee = 0)`, name).Scan(&public); err != nil || public {
		t.Errorf("everybody may connect: %v (%v)", public, err)
	}
}

// Several programs may find that there is no template yet.
func TestSlicesAreMadeAtOnce(t *testing.T) {
	const n = 6
	numbers, errs := make([]int, n), make(chan error, n)
	d := newSliceDatabases(t)
	for i := range numbers {
		numbers[i] = postgrestest.SliceNumber(t)
		go func() {
			if err := d.EnsureRole(t.Context(), numbers[i], "secret"); err != nil {
				errs <- err
				return
			}
			errs <- d.EnsureDatabase(t.Context(), numbers[i])
		}()
	}
	for range numbers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, number := range numbers {
		if err := d.DropDatabase(t.Context(), number); err != nil {
			t.Error(err)
		}
		if err := d.DropRole(t.Context(), number); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkCloneStrategy shows why EnsureDatabase names wal_log.
func BenchmarkCloneStrategy(b *testing.B) {
	d := newSliceDatabases(b)
	number := postgrestest.SliceNumber(b)
	makeSlice(b, d, number).Close(b.Context())
	super, err := pgx.Connect(b.Context(), postgrestest.Server(b))
	if err != nil {
		b.Fatal(err)
	}
	defer super.Close(context.Background())
	for _, strategy := range []string{"wal_log", "file_copy"} {
		b.Run(strategy, func(b *testing.B) {
			for b.Loop() {
				copyName := fmt.Sprintf("test_clone_%d", postgrestest.SliceNumber(b))
				if _, err := super.Exec(b.Context(), fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY %s`, copyName, platform.SliceDatabase(number), strategy)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if _, err := super.Exec(b.Context(), `DROP DATABASE `+copyName); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
