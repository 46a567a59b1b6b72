package postgres

import (
	"context"
	"fmt"

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
