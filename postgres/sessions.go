package postgres

import (
	"context"
	"fmt"
	"time"

	"ipnoelp.io/platform"
)

// CreateSession stores a session of a user.
func (s *GatewayStore) CreateSession(ctx context.Context, tokenHash [32]byte, userID string, expiresAt time.Time) error {
	_, err := s.db.Exec(ctx, `INSERT INTO gateway.sessions (token_hash, user_id, expires_at) VALUES ($1, $2, $3)`,
		tokenHash[:], userID, expiresAt)
	if err != nil {
		return fmt.Errorf("create session of user %s: %w", userID, outage(err))
	}
	return nil
}

// Session returns a session that has not expired, and its user's slice; the
// zero Slice if the user has none. Returns ErrNotFound if there is no such
// session.
func (s *GatewayStore) Session(ctx context.Context, tokenHash [32]byte) (platform.Session, platform.Slice, error) {
	ses := platform.Session{TokenHash: tokenHash}
	var number *int
	var state *platform.SliceState
	var generation *int64
	u := &ses.User
	err := s.db.QueryRow(ctx, `
		SELECT u.id::text, u.email, u.role, u.created_at, u.blocked_at IS NOT NULL, s.created_at, s.expires_at, sl.number, sl.state, sl.generation
		FROM gateway.sessions s
		JOIN gateway.users u ON u.id = s.user_id
		LEFT JOIN gateway.slices sl ON sl.user_id = u.id AND sl.state <> 'gone'
		WHERE s.token_hash = $1 AND s.expires_at > now()`, tokenHash[:]).
		Scan(&u.ID, &u.Email, &u.Role, &u.CreatedAt, &u.Blocked, &ses.CreatedAt, &ses.ExpiresAt, &number, &state, &generation)
	if err != nil {
		return platform.Session{}, platform.Slice{}, fmt.Errorf("session: %w", notFound(err, "There is no such session."))
	}
	var sl platform.Slice
	if number != nil {
		sl = platform.Slice{Number: *number, State: *state, Generation: *generation, UserID: u.ID}
	}
	return ses, sl, nil
}

// SessionsServed returns those of the sessions that have neither ended nor
// expired, and whose users are not blocked and have a slice that serves them or
// none.
func (s *GatewayStore) SessionsServed(ctx context.Context, hashes [][32]byte) (map[[32]byte]bool, error) {
	keys := make([][]byte, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	rows, err := s.db.Query(ctx, `
		SELECT s.token_hash
		FROM gateway.sessions s
		JOIN gateway.users u ON u.id = s.user_id AND u.blocked_at IS NULL
		LEFT JOIN gateway.slices sl ON sl.user_id = s.user_id AND sl.state <> 'gone'
		WHERE s.token_hash = ANY($1) AND s.expires_at > now() AND (sl.state IS NULL OR sl.state = 'assigned')`, keys)
	if err != nil {
		return nil, fmt.Errorf("sessions served: %w", err)
	}
	defer rows.Close()
	served := make(map[[32]byte]bool, len(hashes))
	for rows.Next() {
		var h []byte
		if err := rows.Scan(&h); err != nil {
			return nil, fmt.Errorf("sessions served: %w", err)
		}
		served[[32]byte(h)] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sessions served: %w", err)
	}
	return served, nil
}

// DeleteSession ends a session; one that does not exist is ended already.
func (s *GatewayStore) DeleteSession(ctx context.Context, tokenHash [32]byte) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM gateway.sessions WHERE token_hash = $1`, tokenHash[:]); err != nil {
		return fmt.Errorf("delete session: %w", outage(err))
	}
	return nil
}

// DeleteExpiredSessions removes what nobody can use any more and returns how
// many there were.
func (s *GatewayStore) DeleteExpiredSessions(ctx context.Context) (int64, error) {
	tag, err := s.db.Exec(ctx, `DELETE FROM gateway.sessions WHERE expires_at <= now()`)
	if err != nil {
		return 0, fmt.Errorf("delete expired sessions: %w", err)
	}
	return tag.RowsAffected(), nil
}
