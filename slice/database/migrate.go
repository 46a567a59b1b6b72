package database

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"ipnoelp.io/platform/migrations"
)

// Migrate brings the database to this program's version. A database made from
// the current template needs one query; otherwise an advisory lock keeps two
// processes apart.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations.FS, "slice")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() // the pool itself stays open
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	pending, err := pending(ctx, pool, p)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if !pending {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// MigrateUntil tries until it succeeds, since the database may start after the
// slice; it returns false when ctx ended before.
func MigrateUntil(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) bool {
	wait := firstRetry
	for {
		err := Migrate(ctx, pool)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		log.Error("database is not ready; it is tried again", "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

// pending looks without the lock and without making goose's table.
func pending(ctx context.Context, pool *pgxpool.Pool, p *goose.Provider) (bool, error) {
	var exists bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&exists); err != nil {
		return false, err
	}
	if !exists {
		return true, nil
	}
	var version int64
	if err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id) FILTER (WHERE is_applied), 0) FROM goose_db_version`).Scan(&version); err != nil {
		return false, err
	}
	sources := p.ListSources()
	return version < sources[len(sources)-1].Version, nil
}
