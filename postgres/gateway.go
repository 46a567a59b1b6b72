package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
)

// GatewayStore reads and writes the gateway schema as the role gateway may:
// accounts, sessions, claims, the queue and the views for admins. It is safe
// for concurrent use.
type GatewayStore struct {
	db *pgxpool.Pool
}

// NewGatewayStore returns a store over a pool that the caller closes.
func NewGatewayStore(db *pgxpool.Pool) *GatewayStore { return &GatewayStore{db: db} }

// Ping reports whether the database answers.
func (s *GatewayStore) Ping(ctx context.Context) error {
	if err := s.db.Ping(ctx); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// notFound turns a missing row into an ErrNotFound with a message for clients.
func notFound(err error, message string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return platform.Errorf(platform.ErrNotFound, "%s", message)
	}
	return err
}
