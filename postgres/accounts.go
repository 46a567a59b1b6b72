package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ipnoelp.io/platform"
)

// errBadToken does not say whether a token never was, was used, or expired.
var errBadToken = platform.Errorf(platform.ErrNotFound, "This link is not valid any more. Ask for a new one.")

var errEmailTaken = platform.Errorf(platform.ErrConflict, "This e-mail address is taken.")

// PasswordHash returns the hash of a user's password. Returns ErrNotFound if
// there is no such user.
func (s *GatewayStore) PasswordHash(ctx context.Context, userID string) (string, error) {
	var hash string
	err := s.db.QueryRow(ctx, `SELECT password_hash FROM gateway.users WHERE id = $1`, userID).Scan(&hash)
	if err != nil {
		return "", fmt.Errorf("password of user %s: %w", userID, notFound(err, "There is no such user."))
	}
	return hash, nil
}

// AccountToken returns what a token from a mail stands for. Returns ErrNotFound
// if it is not good, or not any more.
func (s *GatewayStore) AccountToken(ctx context.Context, tokenHash [32]byte) (platform.AccountToken, error) {
	return accountToken(ctx, s.db, tokenHash)
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func accountToken(ctx context.Context, db queryer, tokenHash [32]byte) (platform.AccountToken, error) {
	var t platform.AccountToken
	u := &t.User
	err := db.QueryRow(ctx, `
		SELECT t.purpose, t.email, u.id::text, u.email, u.email_verified_at IS NOT NULL, u.role, u.created_at
		FROM gateway.account_tokens t JOIN gateway.users u ON u.id = t.user_id
		WHERE t.token_hash = $1 AND t.expires_at > now()`, tokenHash[:]).
		Scan(&t.Purpose, &t.Email, &u.ID, &u.Email, &u.EmailVerified, &u.Role, &u.CreatedAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return t, errBadToken
	case err != nil:
		return t, fmt.Errorf("account token: %w", outage(err))
	}
	return t, nil
}

// useToken takes a token out of circulation, and the others of its purpose
// with it. The user stays locked until the end of the transaction.
func useToken(ctx context.Context, tx pgx.Tx, tokenHash [32]byte) (platform.AccountToken, error) {
	t, err := accountToken(ctx, tx, tokenHash)
	if err != nil {
		return t, err
	}
	_, err = lockUser(ctx, tx, t.User.ID)
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errBadToken
	}
	if err != nil {
		return t, err
	}
	if t, err = accountToken(ctx, tx, tokenHash); err != nil { // somebody may have used it, or the user be another
		return t, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM gateway.account_tokens WHERE user_id = $1 AND purpose = $2`, t.User.ID, string(t.Purpose))
	return t, err
}

// VerifyEmail uses a token that came to an address: the account's own, which is
// verified now, or the new one, which takes its place; then the old one is told,
// and links sent to it are good no more. Returns ErrNotFound for a token that is
// not good, and ErrConflict if somebody else has the new address by now.
func (s *GatewayStore) VerifyEmail(ctx context.Context, tokenHash [32]byte, by platform.AuditEntry) (platform.User, error) {
	var u platform.User
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		t, err := useToken(ctx, tx, tokenHash)
		if err != nil {
			return err
		}
		u = t.User
		switch {
		case t.Purpose == platform.MailVerifyEmail && t.Email == u.Email:
			by.Action = "user.email_verify"
		case t.Purpose == platform.MailChangeEmail:
			by.Action = "user.email_change"
			if err := leaveEmail(ctx, tx, u); err != nil {
				return err
			}
		default: // for another purpose, or for an address that is no longer the account's
			return errBadToken
		}
		by.Before, by.After = snapshot(map[string]any{"email_verified": u.EmailVerified}), snapshot(map[string]any{"email_verified": true})
		u.Email, u.EmailVerified = t.Email, true
		by.ActorID = u.ID // who opens the link
		if err := setEmail(ctx, tx, u.ID, u.Email); err != nil {
			return err
		}
		return insertAudit(ctx, tx, aboutUser(by, u.ID))
	})
	if err != nil {
		return platform.User{}, fmt.Errorf("verify e-mail: %w", outage(err))
	}
	return u, nil
}

// leaveEmail tells the old address, and makes worthless what was sent to it.
func leaveEmail(ctx context.Context, tx pgx.Tx, u platform.User) error {
	if _, err := tx.Exec(ctx, `DELETE FROM gateway.account_tokens WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	if err := dropChanges(ctx, tx, u.ID); err != nil {
		return err
	}
	// Whoever has the address next is somebody else. What was sent to it still counts.
	if _, err := tx.Exec(ctx, `UPDATE gateway.mails SET address_left = true WHERE kind IN ('reset_password', 'sign_up') AND recipient = $1`, u.Email); err != nil {
		return err
	}
	return queueMail(ctx, tx, platform.MailEmailChanged, u.ID, u.Email)
}

// forgetEmail removes what was sent to an address and names no user.
func forgetEmail(ctx context.Context, tx pgx.Tx, email string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM gateway.mails WHERE kind IN ('reset_password', 'sign_up') AND recipient = $1`, email); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM gateway.account_tokens WHERE purpose = 'sign_up' AND email = $1`, email)
	return err
}

// setEmail sets the address too where it stays the same: gateways are notified
// of that.
func setEmail(ctx context.Context, tx pgx.Tx, userID, email string) error {
	_, err := tx.Exec(ctx, `UPDATE gateway.users SET email = $2, email_verified_at = now() WHERE id = $1`, userID, email)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "users_email_key" {
		return errEmailTaken
	}
	return err
}

// ResetPassword uses a token: the user gets another password and has no
// sessions any more. The token came by mail, so the address is verified too: where
// it was not before, a user may be somebody else who gave this address, and their
// second factors and passkeys are removed. Returns ErrNotFound for a token that is
// not good.
func (s *GatewayStore) ResetPassword(ctx context.Context, tokenHash [32]byte, passwordHash string, by platform.AuditEntry) (platform.User, error) {
	var u platform.User
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		t, err := useToken(ctx, tx, tokenHash)
		if err != nil {
			return err
		}
		if u = t.User; t.Purpose != platform.MailResetPassword || t.Email != u.Email {
			return errBadToken
		}
		by.ActorID = u.ID
		if !u.EmailVerified && u.Role == platform.RoleUser { // an admin's address is the operator's word
			if _, err := removeFactors(ctx, tx, u.ID, u.Email, by); err != nil {
				return err
			}
		}
		u.EmailVerified = true
		_, err = tx.Exec(ctx, `
			UPDATE gateway.users SET password_hash = $2, email_verified_at = coalesce(email_verified_at, now()) WHERE id = $1`,
			u.ID, passwordHash)
		if err != nil {
			return err
		}
		// Tokens and a change of address that somebody else may have made end as well.
		if _, err := endAccess(ctx, tx, u.ID, [32]byte{}); err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailPasswordChanged, u.ID, u.Email); err != nil {
			return err
		}
		by.Action = "user.password_reset"
		return insertAudit(ctx, tx, aboutUser(by, u.ID))
	})
	if err != nil {
		return platform.User{}, fmt.Errorf("reset password: %w", outage(err))
	}
	return u, nil
}

// ChangePassword gives a user another password, ends their other sessions and
// the links that were sent, and gives the session at hand another token.
// Returns ErrConflict if the password is no longer the one whose hash is
// before, and ErrNotFound if the session ended.
func (s *GatewayStore) ChangePassword(ctx context.Context, userID, before, after string, session, rotated [32]byte, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var email string
		err := tx.QueryRow(ctx, `UPDATE gateway.users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING email`,
			userID, before, after).Scan(&email)
		if errors.Is(err, pgx.ErrNoRows) {
			return platform.Errorf(platform.ErrConflict, "The password was changed meanwhile.")
		}
		if err != nil {
			return err
		}
		if _, err := rotate(ctx, tx, userID, session, rotated); err != nil {
			return err
		}
		if err := endAll(ctx, tx, userID, rotated); err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailPasswordChanged, userID, email); err != nil {
			return err
		}
		by.Action = "user.password_change"
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("change password of user %s: %w", userID, outage(err))
	}
	return nil
}

// endAll ends a user's sessions but one and their links, and the changes of address
// that are on their way; a reset on its way goes to the owner.
func endAll(ctx context.Context, tx pgx.Tx, userID string, but [32]byte) error {
	if _, err := tx.Exec(ctx, `DELETE FROM gateway.sessions WHERE `+othersOf, userID, but[:]); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM gateway.account_tokens WHERE user_id = $1 AND purpose <> 'verify_email'`, userID); err != nil {
		return err
	}
	return dropChanges(ctx, tx, userID)
}

// dropChanges forgets the changes of address whose mails are not out.
func dropChanges(ctx context.Context, tx pgx.Tx, userID string) error {
	_, err := tx.Exec(ctx, `DELETE FROM gateway.mails WHERE user_id = $1 AND kind = 'change_email' AND sent_at IS NULL`, userID)
	return err
}

func queueMail(ctx context.Context, tx pgx.Tx, kind platform.MailKind, userID, recipient string) error {
	_, err := tx.Exec(ctx, `INSERT INTO gateway.mails (kind, user_id, recipient) VALUES ($1, $2, $3)`, string(kind), userID, recipient)
	return err
}

func aboutUser(by platform.AuditEntry, userID string) platform.AuditEntry {
	by.SubjectType, by.SubjectID = "user", userID
	return by
}
