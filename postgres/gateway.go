package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	return outage(err)
}

// outage gives what the connection or the server's state is to blame for, and
// not the statement, the code for clients: they may try again.
func outage(err error) error {
	var refused *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &refused):
		// Of the server: it starts or stops, or has no connection left.
		if !strings.HasPrefix(refused.Code, "57P") && refused.Code != "53300" {
			return err
		}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), pgconn.SafeToRetry(err):
	default:
		return err
	}
	return platform.Errorf(platform.ErrUnavailable, "Your data cannot be reached right now. Try again in a moment.").WithCause(err)
}
