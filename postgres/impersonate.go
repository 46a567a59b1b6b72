package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// Impersonate ends an admin's session and makes one of a user in its place,
// which counts as no proof of who they are. Returns the user; ErrNotFound if
// there is none, and ErrConflict if they are an admin or blocked.
func (s *GatewayStore) Impersonate(ctx context.Context, userID string, admin [32]byte, start platform.SessionStart, reason string, by platform.AuditEntry) (platform.User, error) {
	var user platform.User
	err := s.changeUser(ctx, "impersonate", userID, func(tx pgx.Tx, u platform.UserRecord) error {
		switch {
		case u.Role != platform.RoleUser:
			return platform.Errorf(platform.ErrConflict, "Nobody acts for an admin.")
		case u.Blocked:
			return platform.Errorf(platform.ErrConflict, "The user is blocked.")
		}
		user = u.User
		// Whoever ended the admin's session, or blocked the admin, meanwhile has the last
		// word; who is about to, ends the new session too.
		_, err := lockUser(ctx, tx, by.ActorID)
		if platform.CodeOf(err) == platform.ErrNotFound {
			err = errSessionEnded
		}
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			DELETE FROM gateway.sessions s USING gateway.users a
			WHERE s.token_hash = $1 AND s.user_id = $2 AND a.id = s.user_id AND a.role = 'admin' AND a.blocked_at IS NULL`, admin[:], by.ActorID)
		if err == nil && tag.RowsAffected() == 0 {
			err = errSessionEnded
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO gateway.sessions (token_hash, user_id, impersonator_id, expires_at, authenticated_at, user_agent, client_addr)
			VALUES ($1, $2, $3, $4, 'epoch', $5, $6)`,
			start.TokenHash[:], userID, by.ActorID, start.ExpiresAt, start.UserAgent, start.ClientAddr); err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailSupportAccess, userID, user.Email); err != nil {
			return err
		}
		by.After = snapshot(map[string]any{"reason": reason, "expires_at": start.ExpiresAt.UTC()})
		return insertAudit(ctx, tx, by)
	})
	return user, err
}

// LastSeen returns when users last used the platform themselves, or a program of
// theirs did, by id; those who never did are missing.
func (s *GatewayStore) LastSeen(ctx context.Context, userIDs []string) (map[string]time.Time, error) {
	rows, err := s.db.Query(ctx, `
		SELECT id::text, last_seen_at FROM gateway.users WHERE id = ANY($1::uuid[]) AND last_seen_at IS NOT NULL`, userIDs)
	if err != nil {
		return nil, fmt.Errorf("last seen: %w", outage(err))
	}
	seen := make(map[string]time.Time)
	var id string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		seen[id] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("last seen: %w", outage(err))
	}
	return seen, nil
}
