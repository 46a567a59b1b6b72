package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// sliceConnections bounds what one slice can take of the server's connections;
// it needs two or three, and twice that while a new container replaces an old.
const sliceConnections = 10

// SQLSTATE codes; all but the last say that a call had its effect before.
const (
	codeDuplicateObject       = "42710"
	codeDuplicateDatabase     = "42P04"
	codeUniqueViolation       = "23505" // of a catalog, when two make the same thing at once
	codeInsufficientPrivilege = "42501"
)

// SliceDatabases makes and drops the slices' databases and roles. It connects
// as a role that may do no more than prepareRoles gives to RoleProvisioner. It
// is safe for concurrent use on different numbers.
type SliceDatabases struct {
	db       *pgxpool.Pool
	host     string // where slices reach the server, host:port
	sslmode  string
	template template
}

var _ provisioner.Databases = (*SliceDatabases)(nil)

// NewSliceDatabases returns the databases of the server that the pool is
// connected to; the caller closes the pool. Slices reach the server at
// sliceHost with the given sslmode.
func NewSliceDatabases(db *pgxpool.Pool, sliceHost, sslmode string) *SliceDatabases {
	return &SliceDatabases{db: db, host: sliceHost, sslmode: sslmode}
}

// URL is where a slice reaches its database.
func (d *SliceDatabases) URL(number int, password string) string {
	name := platform.SliceDatabase(number)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(name, password), Host: d.host, Path: "/" + name}
	if d.sslmode != "" {
		u.RawQuery = url.Values{"sslmode": {d.sslmode}}.Encode()
	}
	return u.String()
}

// EnsureRole makes the slice's role, or gives the one there this password.
func (d *SliceDatabases) EnsureRole(ctx context.Context, number int, password string) error {
	name := platform.SliceDatabase(number)
	verifier, err := scramVerifier(password)
	if err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	attributes := fmt.Sprintf(" LOGIN CONNECTION LIMIT %d PASSWORD %s", sliceConnections, literal(verifier))
	_, err = d.db.Exec(ctx, `CREATE ROLE `+ident(name)+attributes)
	if hasCode(err, codeDuplicateObject, codeUniqueViolation) {
		_, err = d.db.Exec(ctx, `ALTER ROLE `+ident(name)+attributes)
	}
	if err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	// An owner can be set, and what is owned dropped, by a member only.
	if _, err := d.db.Exec(ctx, `GRANT `+ident(name)+` TO CURRENT_USER`); err != nil {
		return fmt.Errorf("role %s: grant: %w", name, err)
	}
	return nil
}

// EnsureDatabase clones the template database for the slice, whose role
// exists. A database that is there keeps its data.
//
// STRATEGY wal_log (PostgreSQL 15's default, named here because it matters)
// copies the 7 MB template in 27 to 70 ms; file_copy takes 36 to 360 ms, as it
// waits for two checkpoints, which also slow down everybody else. See
// BenchmarkCloneStrategy.
func (d *SliceDatabases) EnsureDatabase(ctx context.Context, number int) error {
	name := platform.SliceDatabase(number)
	tmpl, err := d.template.ensure(ctx, d.db)
	if err != nil {
		return fmt.Errorf("database %s: %w", name, err)
	}
	_, err = d.db.Exec(ctx, `CREATE DATABASE `+ident(name)+` TEMPLATE `+ident(tmpl)+` OWNER `+ident(name)+` STRATEGY wal_log`)
	if err != nil && !hasCode(err, codeDuplicateDatabase, codeUniqueViolation) {
		return fmt.Errorf("database %s: %w", name, err)
	}
	if _, err := d.db.Exec(ctx, `REVOKE ALL ON DATABASE `+ident(name)+` FROM PUBLIC`); err != nil {
		return fmt.Errorf("database %s: revoke: %w", name, err)
	}
	// Always: an earlier call may have been cut off before this.
	if err := onDatabase(ctx, d.db, name, "", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `REASSIGN OWNED BY `+ident(RoleTemplate)+` TO `+ident(name))
		return err
	}); err != nil {
		return fmt.Errorf("database %s: owner of the tables: %w", name, err)
	}
	return nil
}

// DropDatabase drops the slice's database even while it is in use.
func (d *SliceDatabases) DropDatabase(ctx context.Context, number int) error {
	name := platform.SliceDatabase(number)
	_, err := d.db.Exec(ctx, `DROP DATABASE IF EXISTS `+ident(name)+` WITH (FORCE)`)
	if hasCode(err, codeInsufficientPrivilege) {
		// Autovacuum is in it, as a superuser whom FORCE may not end. Without
		// FORCE the server ends autovacuum itself, and waits for a few seconds.
		_, err = d.db.Exec(ctx, `DROP DATABASE IF EXISTS `+ident(name))
	}
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// DropRole drops the slice's role once its database is dropped.
func (d *SliceDatabases) DropRole(ctx context.Context, number int) error {
	name := platform.SliceDatabase(number)
	if _, err := d.db.Exec(ctx, `DROP ROLE IF EXISTS `+ident(name)); err != nil {
		return fmt.Errorf("drop role %s: %w", name, err)
	}
	return nil
}

// List returns the numbers that have a database, and those that have a role.
func (d *SliceDatabases) List(ctx context.Context) (databases, roles []int, err error) {
	rows, err := d.db.Query(ctx, `
		SELECT true, datname FROM pg_database WHERE datname LIKE 'wa\_slice\_%'
		UNION ALL
		SELECT false, rolname FROM pg_roles WHERE rolname LIKE 'wa\_slice\_%'`)
	if err != nil {
		return nil, nil, fmt.Errorf("list slice databases: %w", err)
	}
	var isDatabase bool
	var name string
	_, err = pgx.ForEachRow(rows, []any{&isDatabase, &name}, func() error {
		n, ok := platform.ParseSliceDatabase(name)
		switch {
		case ok && isDatabase:
			databases = append(databases, n)
		case ok:
			roles = append(roles, n)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list slice databases: %w", err)
	}
	return databases, roles, nil
}

// onDatabase runs fn on a connection to another database of the pool's server,
// acting as role unless it is empty.
func onDatabase(ctx context.Context, db *pgxpool.Pool, database, role string, fn func(*pgx.Conn) error) error {
	cfg := connConfig(db, database, role)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return fn(conn)
}

func connConfig(db *pgxpool.Pool, database, role string) *pgx.ConnConfig {
	cfg := db.Config().ConnConfig // a copy
	cfg.Database = database
	if role != "" {
		cfg.RuntimeParams["role"] = role
	}
	return cfg
}

func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, c := range codes {
		if pg.Code == c {
			return true
		}
	}
	return false
}
