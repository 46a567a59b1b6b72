package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// QueueMail notes a mail that is to be sent. Without a user it is for the
// account with this address, if there is one when it is sent.
func (s *GatewayStore) QueueMail(ctx context.Context, kind platform.MailKind, userID, recipient string) error {
	_, err := s.db.Exec(ctx, `INSERT INTO gateway.mails (kind, user_id, recipient) VALUES ($1, nullif($2, '')::uuid, $3)`,
		string(kind), userID, recipient)
	if err != nil {
		return fmt.Errorf("queue mail %s: %w", kind, outage(err))
	}
	return nil
}

// QueueEmailChange notes the mail by which a user's session asks to confirm another
// address. Returns ErrUnauthenticated if the session ended.
func (s *GatewayStore) QueueEmailChange(ctx context.Context, userID string, session [32]byte, email string) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockSession(ctx, tx, userID, session); err != nil {
			return err
		}
		return queueMail(ctx, tx, platform.MailChangeEmail, userID, email)
	})
	if err != nil {
		return fmt.Errorf("queue change of e-mail: %w", outage(err))
	}
	return nil
}

// DueMails returns up to limit mails whose time has come, and puts off their
// next attempt by lease: no other gateway sends them meanwhile.
func (s *GatewayStore) DueMails(ctx context.Context, limit int, lease time.Duration) ([]platform.QueuedMail, error) {
	rows, err := s.db.Query(ctx, `
		UPDATE gateway.mails m
		SET attempts = attempts + 1, next_attempt_at = now() + $2::interval
		FROM (SELECT id FROM gateway.mails WHERE next_attempt_at <= now()
			ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED) due
		WHERE m.id = due.id
		RETURNING m.id, m.kind, m.recipient, m.created_at, m.attempts,
			(SELECT deletion_at FROM gateway.users WHERE id = m.user_id),
			m.kind = 'sign_up' AND EXISTS (SELECT FROM gateway.users WHERE email = m.recipient)`, limit, lease)
	if err != nil {
		return nil, fmt.Errorf("due mails: %w", outage(err))
	}
	defer rows.Close()
	var due []platform.QueuedMail
	for rows.Next() {
		var m platform.QueuedMail
		var deletionAt *time.Time
		if err := rows.Scan(&m.ID, &m.Kind, &m.Recipient, &m.CreatedAt, &m.Attempts, &deletionAt, &m.HasAccount); err != nil {
			return nil, fmt.Errorf("due mails: %w", outage(err))
		}
		m.DeletionAt = momentOf(deletionAt)
		due = append(due, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("due mails: %w", outage(err))
	}
	return due, nil
}

// mailToken makes the token of a mail, if the mail still has a point.
//
//nolint:gosec // a statement, no secret
const mailToken = `
INSERT INTO gateway.account_tokens (token_hash, user_id, purpose, email, expires_at)
SELECT $2, u.id, m.kind, m.recipient, $3
FROM gateway.mails m
LEFT JOIN gateway.users u ON u.id = CASE m.kind
	WHEN 'reset_password' THEN (SELECT id FROM gateway.users WHERE email = m.recipient)
	ELSE m.user_id END
WHERE m.id = $1
	AND (u.id IS NULL) = (m.kind = 'sign_up')
	AND (m.kind <> 'verify_email' OR u.email = m.recipient AND u.email_verified_at IS NULL)
	AND (m.kind <> 'change_email' OR NOT EXISTS (SELECT FROM gateway.users WHERE email = m.recipient))
	AND (SELECT count(*) FROM gateway.mails o
		WHERE o.recipient = m.recipient AND o.kind = m.kind AND o.sent_at > now() - interval '1 hour') < $4
	AND (m.kind <> 'sign_up' OR (SELECT count(*) FROM gateway.mails o
		WHERE o.recipient = m.recipient AND o.kind = m.kind AND o.sent_at > now() - interval '1 day') < $5)`

// AddMailToken stores the token that a mail is going to carry. Returns
// ErrNotFound, and the mail is not to be sent, if it has no point any more:
// there is no such account, the address is verified or taken by now, or its
// owner got several of the kind within the hour or, to sign up, the day.
func (s *GatewayStore) AddMailToken(ctx context.Context, mailID int64, tokenHash [32]byte, expiresAt time.Time) error {
	var made bool
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Who ends the user's links at this moment ends this one too, or the mail; one that
		// names no user is for whoever reads what comes to its address.
		_, err := tx.Exec(ctx, `
			SELECT FROM gateway.users WHERE id = (SELECT user_id FROM gateway.mails WHERE id = $1) FOR SHARE`, mailID)
		if err == nil { // whoever forgets it goes first, or its token with it
			_, err = tx.Exec(ctx, `SELECT FROM gateway.mails WHERE id = $1 FOR SHARE`, mailID)
		}
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, mailToken, mailID, tokenHash[:], expiresAt, platform.MailsPerHour, platform.SignUpMailsPerDay)
		made = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return fmt.Errorf("token of mail %d: %w", mailID, outage(err))
	}
	if !made {
		return platform.Errorf(platform.ErrNotFound, "The mail has no point any more.")
	}
	return nil
}

// MailSent says that a mail is out.
func (s *GatewayStore) MailSent(ctx context.Context, id int64) error {
	_, err := s.db.Exec(ctx, `UPDATE gateway.mails SET sent_at = now(), next_attempt_at = NULL, failure = '' WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("mail %d sent: %w", id, outage(err))
	}
	return nil
}

// MailFailed says why a mail is not out, and when to try again; never, if that
// is zero.
func (s *GatewayStore) MailFailed(ctx context.Context, id int64, failure string, again time.Time) error {
	var next *time.Time
	if !again.IsZero() {
		next = &again
	}
	_, err := s.db.Exec(ctx, `UPDATE gateway.mails SET failure = $2, next_attempt_at = $3 WHERE id = $1`, id, failure, next)
	if err != nil {
		return fmt.Errorf("mail %d failed: %w", id, outage(err))
	}
	return nil
}

// DropMail forgets a mail that has no point.
func (s *GatewayStore) DropMail(ctx context.Context, id int64) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM gateway.mails WHERE id = $1`, id); err != nil {
		return fmt.Errorf("drop mail %d: %w", id, outage(err))
	}
	return nil
}

// DeleteOldMails removes tokens that expired, mails that nobody sent within a
// day, and the record of the others after a week.
func (s *GatewayStore) DeleteOldMails(ctx context.Context) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM gateway.account_tokens WHERE expires_at <= now()`); err != nil {
		return fmt.Errorf("delete expired tokens: %w", err)
	}
	_, err := s.db.Exec(ctx, `
		DELETE FROM gateway.mails
		WHERE created_at < now() - interval '1 week'
			OR created_at < now() - interval '1 day' AND next_attempt_at IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("delete old mails: %w", err)
	}
	return nil
}
