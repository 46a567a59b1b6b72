package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// CreateAPIToken stores a token of a user, whose session asks for it, and returns
// its id and when it was made. Returns ErrConflict if the user has too many, and
// ErrUnauthenticated if the session ended.
func (s *GatewayStore) CreateAPIToken(ctx context.Context, userID string, session [32]byte, t platform.APIToken, by platform.AuditEntry) (platform.APIToken, error) {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockSession(ctx, tx, userID, session); err != nil { // two at once do not pass the count together
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM gateway.api_tokens WHERE user_id = $1 AND expires_at > now()`, userID).Scan(&n); err != nil {
			return err
		}
		if n >= platform.MaxAPITokens {
			return platform.Errorf(platform.ErrConflict, "You have %d tokens. Remove one first.", n)
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO gateway.api_tokens (user_id, token_hash, name, scope, expires_at) VALUES ($1, $2, $3, $4, $5)
			RETURNING id::text, created_at`, userID, t.TokenHash[:], t.Name, string(t.Scope), t.ExpiresAt).Scan(&t.ID, &t.CreatedAt)
		if err != nil {
			return err
		}
		by.Action, by.After = "api_token.create", snapshot(map[string]any{"token": t.ID, "scope": t.Scope, "expires_at": t.ExpiresAt})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return t, fmt.Errorf("create token of user %s: %w", userID, outage(err))
	}
	return t, nil
}

// ListAPITokens returns a user's tokens that have not expired, newest first.
func (s *GatewayStore) ListAPITokens(ctx context.Context, userID string) ([]platform.APIToken, error) {
	rows, err := s.db.Query(ctx, `
		SELECT id::text, name, scope, created_at, expires_at, last_used_at FROM gateway.api_tokens
		WHERE user_id = $1 AND expires_at > now() ORDER BY created_at DESC, id`, userID)
	if err != nil {
		return nil, fmt.Errorf("tokens of user %s: %w", userID, outage(err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (platform.APIToken, error) {
		var t platform.APIToken
		var used *time.Time
		err := row.Scan(&t.ID, &t.Name, &t.Scope, &t.CreatedAt, &t.ExpiresAt, &used)
		if used != nil {
			t.LastUsedAt = *used
		}
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("tokens of user %s: %w", userID, outage(err))
	}
	return all, nil
}

// DeleteAPIToken ends one of a user's tokens, and returns which it was. Returns
// ErrNotFound if the user has no such token.
func (s *GatewayStore) DeleteAPIToken(ctx context.Context, userID, id string, by platform.AuditEntry) (hash [32]byte, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var h []byte
		var scope platform.Scope
		var expiresAt time.Time
		err := tx.QueryRow(ctx, `DELETE FROM gateway.api_tokens WHERE user_id = $1 AND id = $2 RETURNING token_hash, scope, expires_at`, userID, id).
			Scan(&h, &scope, &expiresAt)
		if err != nil {
			return notFound(err, "There is no such token.")
		}
		hash = [32]byte(h)
		by.Action, by.Before = "api_token.delete", snapshot(map[string]any{"token": id, "scope": scope, "expires_at": expiresAt})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return hash, fmt.Errorf("delete token %s: %w", id, outage(err))
	}
	return hash, nil
}

// selectAPISession ends with what the hash of the token is compared with, $1.
const selectAPISession = `
	SELECT t.token_hash, u.id::text, u.email, u.email_verified_at IS NOT NULL, u.role, u.created_at, u.blocked_at IS NOT NULL,
		t.id::text, t.scope, t.created_at, coalesce(t.last_used_at, t.created_at - $2::interval), t.expires_at,
		sl.number, sl.state, sl.generation
	FROM gateway.api_tokens t
	JOIN gateway.users u ON u.id = t.user_id
	LEFT JOIN gateway.slices sl ON sl.user_id = u.id AND sl.state <> 'gone'
	WHERE t.expires_at > now() AND t.token_hash = `

func scanAPISession(row pgx.Row) (ses platform.Session, _ platform.Slice, err error) {
	var hash []byte
	var number *int
	var state *platform.SliceState
	var generation *int64
	u := &ses.User
	err = row.Scan(&hash, &u.ID, &u.Email, &u.EmailVerified, &u.Role, &u.CreatedAt, &u.Blocked,
		&ses.ID, &ses.Scope, &ses.CreatedAt, &ses.LastSeenAt, &ses.EndsAt, &number, &state, &generation)
	if err != nil {
		return platform.Session{}, platform.Slice{}, err
	}
	ses.TokenHash, ses.ExpiresAt = [32]byte(hash), ses.EndsAt
	return ses, sliceOf(u.ID, number, state, generation), nil
}

// APITokenSession returns a token that has not expired in the shape of a
// session, and its user's slice. Returns ErrNotFound if there is no such token.
func (s *GatewayStore) APITokenSession(ctx context.Context, tokenHash [32]byte) (platform.Session, platform.Slice, error) {
	ses, sl, err := scanAPISession(s.db.QueryRow(ctx, selectAPISession+`$1`, tokenHash[:], platform.SessionSeenEvery))
	if err != nil {
		return platform.Session{}, platform.Slice{}, fmt.Errorf("token: %w", notFound(err, "There is no such token."))
	}
	return ses, sl, nil
}

// APITokenSessions gives each those of the tokens that have not expired.
func (s *GatewayStore) APITokenSessions(ctx context.Context, tokenHashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	rows, err := s.db.Query(ctx, selectAPISession+`ANY($1)`, byteKeys(tokenHashes), platform.SessionSeenEvery)
	return eachSession(rows, err, scanAPISession, each)
}
