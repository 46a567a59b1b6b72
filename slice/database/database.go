// Package database opens and migrates the slice's database, which all parts of
// the CRM share.
package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

const (
	// maxConns is below the connection limit of a slice's role.
	maxConns = 4
	// MaxConnIdle is short, because thousands of idle slices share a server and
	// must not hold connections to it.
	MaxConnIdle       = 15 * time.Second
	ConnCheckInterval = 5 * time.Second
	connectTimeout    = 5 * time.Second
	statementTimeout  = "15000" // ms; every query here takes milliseconds
)

// Open prepares a pool that connects when it is first used, and holds no
// connection while nobody asks anything.
func Open(databaseURL string) (*pgxpool.Pool, error) { return OpenTraced(databaseURL, nil) }

// OpenTraced is Open with a span for each query that is part of a trace.
func OpenTraced(databaseURL string, tracer trace.Tracer) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("database URL: not a PostgreSQL URL") // pgx's text may hold the password
	}
	cfg.MaxConns, cfg.MinConns = maxConns, 0
	cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = MaxConnIdle, ConnCheckInterval
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.RuntimeParams["application_name"] = "slice"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = statementTimeout
	// Queries here end before a compiled plan would have been worth it.
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	if tracer != nil {
		cfg.ConnConfig.Tracer = queries{tracer}
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return pool, nil
}
