package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// Pool returns how many users wait and how many slices there are by state.
func (s *GatewayStore) Pool(ctx context.Context) (queued int, slices map[platform.SliceState]int, err error) {
	rows, err := s.db.Query(ctx, `
		SELECT '', count(*) FROM gateway.queue
		UNION ALL SELECT state, count(*) FROM gateway.slices GROUP BY state`)
	if err != nil {
		return 0, nil, fmt.Errorf("pool: %w", outage(err))
	}
	defer rows.Close()
	slices = make(map[platform.SliceState]int)
	for rows.Next() {
		var state platform.SliceState
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return 0, nil, fmt.Errorf("pool: %w", outage(err))
		}
		if state == "" {
			queued = n
		} else {
			slices[state] = n
		}
	}
	if err := rows.Err(); err != nil {
		return 0, nil, fmt.Errorf("pool: %w", outage(err))
	}
	return queued, slices, nil
}

// ListSlices returns up to limit slices, highest number first, with the
// e-mail addresses of their users by user id. An empty state means all; before
// is the number to continue below, 0 to begin.
func (s *GatewayStore) ListSlices(ctx context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error) {
	rows, err := s.db.Query(ctx, `
		SELECT s.number, s.state, s.generation, s.failure, s.requested_at, s.state_changed_at, s.user_id::text, u.email
		FROM gateway.slices s LEFT JOIN gateway.users u ON u.id = s.user_id
		WHERE ($1 = '' OR s.state = $1) AND ($2 = 0 OR s.number < $2)
		ORDER BY s.number DESC LIMIT $3`, string(state), before, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("list slices: %w", outage(err))
	}
	defer rows.Close()
	var slices []platform.Slice
	emails := make(map[string]string)
	for rows.Next() {
		var sl platform.Slice
		var userID, email *string
		if err := rows.Scan(&sl.Number, &sl.State, &sl.Generation, &sl.Failure, &sl.RequestedAt, &sl.StateChangedAt, &userID, &email); err != nil {
			return nil, nil, fmt.Errorf("list slices: %w", outage(err))
		}
		if userID != nil && email != nil {
			sl.UserID = *userID
			emails[*userID] = *email
		}
		slices = append(slices, sl)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("list slices: %w", outage(err))
	}
	return slices, emails, nil
}

// Slice returns one slice and its user's e-mail address, "" if it has none.
// Returns ErrNotFound if there never was such a slice.
func (s *GatewayStore) Slice(ctx context.Context, number int) (platform.Slice, string, error) {
	sl := platform.Slice{Number: number}
	var email string
	err := s.db.QueryRow(ctx, `
		SELECT s.state, s.generation, s.failure, s.requested_at, s.state_changed_at, coalesce(s.user_id::text, ''), coalesce(u.email, '')
		FROM gateway.slices s LEFT JOIN gateway.users u ON u.id = s.user_id WHERE s.number = $1`, number).
		Scan(&sl.State, &sl.Generation, &sl.Failure, &sl.RequestedAt, &sl.StateChangedAt, &sl.UserID, &email)
	if err != nil {
		return platform.Slice{}, "", fmt.Errorf("slice %d: %w", number, notFound(err, "There is no such slice."))
	}
	return sl, email, nil
}

// RetireSlice gives a slice to the provisioner to take down; its user, if any,
// joins the queue's end for a new one. Returns ErrNotFound if there never was
// such a slice, and ErrConflict if it is being taken down or gone already.
func (s *GatewayStore) RetireSlice(ctx context.Context, number int, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// As in changeUser.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, queueLock); err != nil {
			return err
		}
		var state platform.SliceState
		var user string
		err := tx.QueryRow(ctx, `
			SELECT state, coalesce(user_id::text, '') FROM gateway.slices WHERE number = $1 FOR UPDATE`, number).Scan(&state, &user)
		if err != nil {
			return notFound(err, "There is no such slice.")
		}
		switch state {
		case platform.SliceFailed, platform.SliceRetiring, platform.SliceGone:
			return platform.Errorf(platform.ErrConflict, "The slice is %s already.", state)
		}
		if _, err := tx.Exec(ctx, `
			UPDATE gateway.slices SET state = 'retiring', user_id = NULL, state_changed_at = now() WHERE number = $1`, number); err != nil {
			return err
		}
		before := map[string]any{"state": state}
		if user != "" {
			before["user_id"] = user
			if err := enqueue(ctx, tx, user); err != nil {
				return err
			}
		}
		by.Before, by.After = snapshot(before), snapshot(map[string]any{"state": platform.SliceRetiring})
		return insertAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("retire slice %d: %w", number, outage(err))
	}
	return nil
}
