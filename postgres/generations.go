package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// UseGeneration makes the generation with this fingerprint the current one,
// adding it if it is new, and returns its ID. From then on only warm slices of
// it are claimed.
func (s *ProvisionerStore) UseGeneration(ctx context.Context, fingerprint string) (id int64, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// One at a time; readers go on.
		if _, err := tx.Exec(ctx, `LOCK TABLE gateway.generations IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var current bool
		err := tx.QueryRow(ctx, `SELECT id, is_current FROM gateway.generations WHERE fingerprint = $1`, fingerprint).Scan(&id, &current)
		if errors.Is(err, pgx.ErrNoRows) {
			err = tx.QueryRow(ctx, `INSERT INTO gateway.generations (fingerprint) VALUES ($1) RETURNING id`, fingerprint).Scan(&id)
		}
		if err != nil || current {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE gateway.generations SET is_current = false WHERE is_current`); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE gateway.generations SET is_current = true WHERE id = $1`, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("use generation: %w", err)
	}
	return id, nil
}
