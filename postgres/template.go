package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"ipnoelp.io/platform/migrations"
)

// templateLock keeps two programs from building a template at the same time.
const templateLock = 0x746d706c // "tmpl"

// sliceVersionTable is where the slice looks, too: goose's default name.
const sliceVersionTable = "goose_db_version"

// SliceSchemaVersion is the number of the newest migration of the slices'
// databases.
func SliceSchemaVersion() (int64, error) {
	names, err := fs.Glob(migrations.FS, "slice/*.sql")
	if err != nil {
		return 0, fmt.Errorf("slice schema version: %w", err)
	}
	var newest int64
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("slice schema version: %w", err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

// template is the database that slices' databases are copies of: migrated, its
// tables owned by RoleTemplate, and connected to by nobody, since a database in
// use cannot be copied.
type template struct {
	mu   sync.Mutex // guards name
	name string     // "" until it is known to be there
}

// ensure returns the template's name, building it the first time.
func (t *template) ensure(ctx context.Context, db *pgxpool.Pool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.name != "" {
		return t.name, nil
	}
	version, err := SliceSchemaVersion()
	if err != nil {
		return "", err
	}
	name := RoleTemplate + "_" + strconv.FormatInt(version, 10)
	if err := buildTemplate(ctx, db, name); err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	t.name = name
	return name, nil
}

// buildTemplate makes the template under another name and renames it at the
// end: what has the name is whole.
func buildTemplate(ctx context.Context, db *pgxpool.Pool, name string) error {
	conn, err := db.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	exec := func(stmt string, args ...any) error {
		_, err := conn.Exec(ctx, stmt, args...)
		return err
	}
	if err := exec(`SELECT pg_advisory_lock($1)`, templateLock); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, templateLock) //nolint:errcheck // it ends with the connection too
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	building := name + "_building"
	if err := exec(`DROP DATABASE IF EXISTS ` + ident(building) + ` WITH (FORCE)`); err != nil {
		return err
	}
	// Owned by us: if it were RoleTemplate's, handing over the tables of a copy
	// (REASSIGN OWNED) would hand over the template itself.
	if err := exec(`CREATE DATABASE ` + ident(building)); err != nil {
		return err
	}
	if err := exec(`REVOKE ALL ON DATABASE ` + ident(building) + ` FROM PUBLIC`); err != nil {
		return err
	}
	schema := func(stmt string) error {
		return onDatabase(ctx, db, building, "", func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, stmt)
			return err
		})
	}
	if err := schema(`GRANT CREATE ON SCHEMA public TO ` + ident(RoleTemplate)); err != nil {
		return err
	}
	// For trusted extensions, which a slice's role may install itself.
	if err := exec(`GRANT CREATE ON DATABASE ` + ident(building) + ` TO ` + ident(RoleTemplate)); err != nil {
		return err
	}
	if err := migrateSlice(ctx, db, building); err != nil {
		return err
	}
	// A copy's schema belongs to the copy's owner, and to nobody else.
	if err := schema(`REVOKE ALL ON SCHEMA public FROM PUBLIC, ` + ident(RoleTemplate)); err != nil {
		return err
	}
	if err := exec(`REVOKE ALL ON DATABASE ` + ident(building) + ` FROM ` + ident(RoleTemplate)); err != nil {
		return err
	}
	if err := exec(`ALTER DATABASE ` + ident(building) + ` ALLOW_CONNECTIONS false`); err != nil {
		return err
	}
	return exec(`ALTER DATABASE ` + ident(building) + ` RENAME TO ` + ident(name))
}

// migrateSlice applies migrations/slice to a database as RoleTemplate.
func migrateSlice(ctx context.Context, db *pgxpool.Pool, database string) error {
	sqlDB := stdlib.OpenDB(*connConfig(db, database, RoleTemplate))
	defer sqlDB.Close()
	return migrate(ctx, sqlDB, "slice", sliceVersionTable)
}
