package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ipnoelp.io/platform"
)

const passkeyHandle = 32 // bytes

// passkeyColumns are what scanPasskey reads, of p and h.
const passkeyColumns = `p.id::text, p.credential_id, p.public_key, h.handle, p.sign_count, p.transports, p.syncable, p.synced, p.name, p.created_at, p.last_used_at` //nolint:gosec // names of columns

func scanPasskey(row pgx.Row, also ...any) (platform.Passkey, error) {
	var p platform.Passkey
	var used *time.Time
	err := row.Scan(append([]any{
		&p.ID, &p.CredentialID, &p.PublicKey, &p.UserHandle, &p.SignCount, &p.Transports, &p.Syncable, &p.Synced, &p.Name, &p.CreatedAt, &used,
	}, also...)...)
	if used != nil {
		p.LastUsedAt = *used
	}
	return p, err
}

// PasskeyHandle returns what authenticators know a user by; the first call
// makes it.
func (s *GatewayStore) PasskeyHandle(ctx context.Context, userID string) ([]byte, error) {
	handle := make([]byte, passkeyHandle)
	rand.Read(handle)
	_, err := s.db.Exec(ctx, `INSERT INTO gateway.passkey_handles (user_id, handle) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING`, userID, handle)
	if err == nil {
		err = s.db.QueryRow(ctx, `SELECT handle FROM gateway.passkey_handles WHERE user_id = $1`, userID).Scan(&handle)
	}
	if err != nil {
		return nil, fmt.Errorf("passkey handle of user %s: %w", userID, outage(err))
	}
	return handle, nil
}

// ListPasskeys returns a user's passkeys, newest first.
func (s *GatewayStore) ListPasskeys(ctx context.Context, userID string) ([]platform.Passkey, error) {
	rows, err := s.db.Query(ctx, `
		SELECT `+passkeyColumns+` FROM gateway.passkeys p JOIN gateway.passkey_handles h USING (user_id)
		WHERE user_id = $1 ORDER BY p.created_at DESC, p.id`, userID)
	if err != nil {
		return nil, fmt.Errorf("passkeys of user %s: %w", userID, outage(err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (platform.Passkey, error) { return scanPasskey(row) })
	if err != nil {
		return nil, fmt.Errorf("passkeys of user %s: %w", userID, outage(err))
	}
	return all, nil
}

// PasskeyByCredential returns a passkey and its user. Returns ErrNotFound if
// there is none with this credential id.
func (s *GatewayStore) PasskeyByCredential(ctx context.Context, credentialID []byte) (platform.Passkey, platform.User, error) {
	var u platform.User
	p, err := scanPasskey(s.db.QueryRow(ctx, `
		SELECT `+passkeyColumns+`, u.id::text, u.email, u.email_verified_at IS NOT NULL, u.role, u.created_at, u.blocked_at IS NOT NULL
		FROM gateway.passkeys p JOIN gateway.passkey_handles h USING (user_id) JOIN gateway.users u ON u.id = p.user_id
		WHERE p.credential_id = $1`, credentialID),
		&u.ID, &u.Email, &u.EmailVerified, &u.Role, &u.CreatedAt, &u.Blocked)
	if err != nil {
		return p, u, fmt.Errorf("passkey: %w", notFound(err, "There is no such passkey."))
	}
	return p, u, nil
}

// CreatePasskey adds a passkey to a user who has a handle, and whose session asks
// for it; it tells the user, and returns the passkey with its id. Returns
// ErrConflict if the user has too many, or if the credential is somebody's already,
// and ErrUnauthenticated if the session ended.
func (s *GatewayStore) CreatePasskey(ctx context.Context, userID string, session [32]byte, p platform.Passkey, by platform.AuditEntry) (platform.Passkey, error) {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		email, err := lockSession(ctx, tx, userID, session) // two at once do not pass the count together
		if err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM gateway.passkeys WHERE user_id = $1`, userID).Scan(&n); err != nil {
			return err
		}
		if n >= platform.MaxPasskeys {
			return platform.Errorf(platform.ErrConflict, "You have %d passkeys. Remove one first.", n)
		}
		err = tx.QueryRow(ctx, `
			INSERT INTO gateway.passkeys (user_id, credential_id, public_key, sign_count, transports, syncable, synced, name)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id::text, created_at`,
			userID, p.CredentialID, p.PublicKey, int64(p.SignCount), p.Transports, p.Syncable, p.Synced, p.Name).Scan(&p.ID, &p.CreatedAt)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.ConstraintName == "passkeys_credential_id_key" {
			return platform.Errorf(platform.ErrConflict, "This passkey is registered already.")
		}
		if err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailPasskeyAdded, userID, email); err != nil {
			return err
		}
		by.Action, by.After = "passkey.create", snapshot(map[string]any{"passkey": p.ID, "syncable": p.Syncable})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return p, fmt.Errorf("create passkey of user %s: %w", userID, outage(err))
	}
	return p, nil
}

// RenamePasskey gives one of a user's passkeys another name, and returns it.
// Returns ErrNotFound if the user has no such passkey.
func (s *GatewayStore) RenamePasskey(ctx context.Context, userID, id, name string, by platform.AuditEntry) (platform.Passkey, error) {
	var p platform.Passkey
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var err error
		p, err = scanPasskey(tx.QueryRow(ctx, `
			UPDATE gateway.passkeys p SET name = $3 FROM gateway.passkey_handles h
			WHERE h.user_id = p.user_id AND p.user_id = $1 AND p.id = $2 RETURNING `+passkeyColumns, userID, id, name))
		if err != nil {
			return notFound(err, "There is no such passkey.")
		}
		by.Action, by.After = "passkey.rename", snapshot(map[string]any{"passkey": id})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return p, fmt.Errorf("rename passkey %s: %w", id, outage(err))
	}
	return p, nil
}

// DeletePasskey removes one of a user's passkeys, and tells the user. Returns
// ErrNotFound if the user has no such passkey, and ErrUnauthenticated if the session
// that asks ended.
func (s *GatewayStore) DeletePasskey(ctx context.Context, userID string, session [32]byte, id string, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		email, err := lockSession(ctx, tx, userID, session)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM gateway.passkeys WHERE user_id = $1 AND id = $2`, userID, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrNotFound, "There is no such passkey.")
		}
		if err := queueMail(ctx, tx, platform.MailPasskeyRemoved, userID, email); err != nil {
			return err
		}
		by.Action, by.Before = "passkey.delete", snapshot(map[string]any{"passkey": id})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("delete passkey %s: %w", id, outage(err))
	}
	return nil
}

// UseChallenge reports whether a challenge was not answered before; from now on
// it was. It may be forgotten after until.
func (s *GatewayStore) UseChallenge(ctx context.Context, hash [32]byte, until time.Time) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		INSERT INTO gateway.used_challenges (challenge_hash, expires_at) VALUES ($1, $2) ON CONFLICT (challenge_hash) DO NOTHING`, hash[:], until)
	if err != nil {
		return false, fmt.Errorf("use challenge: %w", outage(err))
	}
	return tag.RowsAffected() == 1, nil
}

// UsePasskey notes a use of a passkey, and reports whether its counter may be
// (platform.Passkey.Counted). If not, nothing changes and an entry in the audit
// log says so. Returns ErrNotFound if there is no such passkey any more.
func (s *GatewayStore) UsePasskey(ctx context.Context, userID, id string, signCount uint32, synced bool, by platform.AuditEntry) (bool, error) {
	var p platform.Passkey
	good := false
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Locked: of two uses at once with the same counter, one is refused.
		err := tx.QueryRow(ctx, `SELECT sign_count FROM gateway.passkeys WHERE user_id = $1 AND id = $2 FOR UPDATE`, userID, id).Scan(&p.SignCount)
		if err != nil {
			return notFound(err, "There is no such passkey.")
		}
		if good = p.Counted(signCount); good {
			_, err := tx.Exec(ctx, `UPDATE gateway.passkeys SET sign_count = $2, synced = $3, last_used_at = now() WHERE id = $1`, id, int64(signCount), synced)
			return err
		}
		by.Action = "passkey.clone_suspected"
		by.Before = snapshot(map[string]any{"passkey": id, "sign_count": p.SignCount})
		by.After = snapshot(map[string]any{"passkey": id, "sign_count": signCount})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return false, fmt.Errorf("use passkey %s: %w", id, outage(err))
	}
	return good, nil
}
