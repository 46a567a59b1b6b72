package postgres

import (
	"context"
	"fmt"

	"ipnoelp.io/platform"
)

const userByEmail = `
	SELECT id::text, email, email_verified_at IS NOT NULL, role, created_at, blocked_at IS NOT NULL, password_hash
	FROM gateway.users WHERE email = $1`

// UserByEmail returns the user with a normalised address and the hash of their
// password. Returns ErrNotFound if there is none.
func (s *GatewayStore) UserByEmail(ctx context.Context, email string) (platform.User, string, error) {
	var u platform.User
	var hash string
	err := s.db.QueryRow(ctx, userByEmail, email).
		Scan(&u.ID, &u.Email, &u.EmailVerified, &u.Role, &u.CreatedAt, &u.Blocked, &hash)
	if err != nil {
		return platform.User{}, "", fmt.Errorf("user by e-mail: %w", notFound(err, "There is no such user."))
	}
	return u, hash, nil
}

// HasAdmin reports whether any user is an admin.
func (s *GatewayStore) HasAdmin(ctx context.Context) (bool, error) {
	var found bool
	if err := s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM gateway.users WHERE role = 'admin')`).Scan(&found); err != nil {
		return false, fmt.Errorf("has admin: %w", err)
	}
	return found, nil
}

// CreateFirstAdmin makes an admin unless there is one already; it reports
// whether it did. Several gateways may try at once. Returns ErrConflict if the
// address belongs to a user who is no admin.
func (s *GatewayStore) CreateFirstAdmin(ctx context.Context, email, passwordHash string) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		WITH account AS (
			INSERT INTO gateway.users (email, password_hash, role)
			SELECT $1, $2, 'admin' WHERE NOT EXISTS (SELECT FROM gateway.users WHERE role = 'admin')
			ON CONFLICT (email) DO NOTHING
			RETURNING id, role
		)
		INSERT INTO gateway.audit_log (action, subject_type, subject_id, after)
		SELECT 'user.create', 'user', id::text, jsonb_build_object('role', role) FROM account`, email, passwordHash)
	if err != nil {
		return false, fmt.Errorf("create first admin: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return true, nil
	}
	exists, err := s.HasAdmin(ctx)
	if err != nil {
		return false, err
	}
	if !exists {
		return false, fmt.Errorf("create first admin: %w",
			platform.Errorf(platform.ErrConflict, "The admin's e-mail address belongs to an ordinary user."))
	}
	return false, nil
}
