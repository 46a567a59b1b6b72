package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// leaveBatch bounds one call of DeleteDueUsers.
const leaveBatch = 100

// ScheduleDeletion has an account deleted once the time of grace is over, and
// returns when. The user's sessions but one end, with their API tokens and the
// links that were sent; which sessions and tokens, is returned. The slice goes on.
// Returns ErrNotFound if there is no such user, ErrUnauthenticated if the one session
// ended, and ErrConflict if it is scheduled already or nobody would be left to run the
// platform.
func (s *GatewayStore) ScheduleDeletion(ctx context.Context, userID string, but [32]byte, by platform.AuditEntry) (at time.Time, ended [][32]byte, err error) {
	err = s.changeUser(ctx, "schedule the deletion of", userID, func(tx pgx.Tx, u platform.UserRecord) error {
		if err := haveSession(ctx, tx, userID, but); err != nil {
			return err
		}
		if !u.DeletionAt.IsZero() {
			return platform.Errorf(platform.ErrConflict, "Your account is going to be deleted already.")
		}
		if err := keepAnAdmin(ctx, tx, u); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			UPDATE gateway.users SET deletion_requested_at = now(),
				deletion_at = now() + make_interval(days => (SELECT deletion_grace_days FROM gateway.settings))
			WHERE id = $1 RETURNING deletion_at`, userID).Scan(&at)
		if err != nil {
			return err
		}
		if ended, err = endAccess(ctx, tx, userID, but); err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailDeletionRequested, userID, u.Email); err != nil {
			return err
		}
		by.Action, by.After = "user.deletion_request", snapshot(map[string]any{"deletion_at": at.UTC()})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	return at, ended, err
}

// endAccess is endAll with the user's API tokens. It returns which sessions and tokens
// ended.
func endAccess(ctx context.Context, tx pgx.Tx, userID string, but [32]byte) (ended [][32]byte, err error) {
	rows, err := tx.Query(ctx, `
		WITH tokens AS (DELETE FROM gateway.api_tokens WHERE user_id = $1 RETURNING token_hash)
		SELECT token_hash FROM tokens UNION ALL SELECT token_hash FROM gateway.sessions WHERE `+othersOf, userID, but[:])
	if err != nil {
		return nil, err
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, err
	}
	for _, h := range hashes {
		ended = append(ended, [32]byte(h))
	}
	return ended, endAll(ctx, tx, userID, but)
}

// CancelDeletion lets an account stay, and tells its user. Returns ErrNotFound if
// there is no such user, and ErrConflict if no deletion is scheduled.
func (s *GatewayStore) CancelDeletion(ctx context.Context, userID string, by platform.AuditEntry) error {
	return s.cancelDeletion(ctx, userID, func(pgx.Tx) error { return nil }, by)
}

// CancelOwnDeletion is CancelDeletion for a user whose session asks for it. Returns
// ErrUnauthenticated if it ended.
func (s *GatewayStore) CancelOwnDeletion(ctx context.Context, userID string, session [32]byte, by platform.AuditEntry) error {
	return s.cancelDeletion(ctx, userID, func(tx pgx.Tx) error { return haveSession(ctx, tx, userID, session) }, by)
}

func (s *GatewayStore) cancelDeletion(ctx context.Context, userID string, may func(pgx.Tx) error, by platform.AuditEntry) error {
	return s.changeUser(ctx, "cancel the deletion of", userID, func(tx pgx.Tx, u platform.UserRecord) error {
		if err := may(tx); err != nil {
			return err
		}
		if u.DeletionAt.IsZero() {
			return platform.Errorf(platform.ErrConflict, "No deletion of the account is scheduled.")
		}
		if _, err := tx.Exec(ctx, `UPDATE gateway.users SET deletion_requested_at = NULL, deletion_at = NULL WHERE id = $1`, userID); err != nil {
			return err
		}
		if err := queueMail(ctx, tx, platform.MailDeletionCancelled, userID, u.Email); err != nil {
			return err
		}
		by.Action, by.Before = "user.deletion_cancel", snapshot(map[string]any{"deletion_at": u.DeletionAt.UTC()})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
}

// DeleteDueUsers deletes accounts whose time is over, as DeleteUser does, and
// returns their ids. Any number of gateways may call it at once: each account is
// deleted by one of them. What fails with one does not keep the others.
func (s *GatewayStore) DeleteDueUsers(ctx context.Context) ([]string, error) {
	rows, err := s.db.Query(ctx, `SELECT id::text FROM gateway.users WHERE deletion_at <= now() ORDER BY deletion_at LIMIT $1`, leaveBatch)
	if err != nil {
		return nil, fmt.Errorf("accounts to delete: %w", outage(err))
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("accounts to delete: %w", outage(err))
	}
	var deleted []string
	var failed []error
	for _, id := range due {
		switch done, err := s.deleteDueUser(ctx, id); {
		case done:
			deleted = append(deleted, id)
		case err != nil && platform.CodeOf(err) != platform.ErrNotFound: // else another gateway did
			failed = append(failed, err)
		}
	}
	return deleted, errors.Join(failed...)
}

func (s *GatewayStore) deleteDueUser(ctx context.Context, id string) (done bool, err error) {
	err = s.changeUser(ctx, "delete as asked", id, func(tx pgx.Tx, u platform.UserRecord) error {
		// It may have been cancelled since.
		var due bool
		err := tx.QueryRow(ctx, `SELECT coalesce(deletion_at <= now(), false) FROM gateway.users WHERE id = $1`, id).Scan(&due)
		if err != nil || !due {
			return err
		}
		if err := deleteUser(ctx, tx, u, aboutUser(platform.AuditEntry{Action: "user.delete"}, id)); err != nil {
			return err
		}
		done = true
		return nil
	})
	return done && err == nil, err
}

// AccountHistory returns what is kept of a user beside the account itself.
// Returns ErrNotFound if there is no such user.
func (s *GatewayStore) AccountHistory(ctx context.Context, userID string) (platform.AccountHistory, error) {
	var h platform.AccountHistory
	b := &pgx.Batch{}
	b.Queue(`SELECT email_verified_at, deletion_requested_at FROM gateway.users WHERE id = $1`, userID).QueryRow(func(row pgx.Row) error {
		var verified, requested *time.Time
		err := row.Scan(&verified, &requested)
		h.EmailVerifiedAt, h.DeletionRequestedAt = momentOf(verified), momentOf(requested)
		return err
	})
	b.Queue(`
		SELECT s.number, s.state, s.user_id IS NOT DISTINCT FROM c.user_id, c.requested_at, c.claimed_at
		FROM gateway.claims c JOIN gateway.slices s ON s.number = c.slice_number
		WHERE c.user_id = $1 ORDER BY c.id`, userID).Query(func(rows pgx.Rows) (err error) {
		h.Slices, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c platform.SliceClaim, err error) {
			err = row.Scan(&c.Number, &c.State, &c.Current, &c.RequestedAt, &c.ClaimedAt)
			return c, err
		})
		return err
	})
	// A reset is asked for by address. One from before the account was somebody
	// else's who had the address then; the account may have begun with a mail to sign
	// up. What came of a change of address would tell who else has an account.
	b.Queue(`
		SELECT m.kind, m.recipient, m.created_at, m.sent_at
		FROM gateway.mails m JOIN gateway.users u ON u.id = $1
		WHERE m.user_id = u.id AND m.kind <> 'change_email'
			OR m.recipient = u.email AND NOT m.address_left
				AND (m.kind = 'sign_up' OR m.kind = 'reset_password' AND m.created_at >= u.created_at)
		ORDER BY m.id`, userID).Query(func(rows pgx.Rows) (err error) {
		h.Mails, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m platform.SentMail, err error) {
			var sentAt *time.Time
			err = row.Scan(&m.Kind, &m.Recipient, &m.CreatedAt, &sentAt)
			m.SentAt = momentOf(sentAt)
			return m, err
		})
		return err
	})
	if err := s.db.SendBatch(ctx, b).Close(); err != nil {
		return platform.AccountHistory{}, fmt.Errorf("history of user %s: %w", userID, notFound(err, "There is no such user."))
	}
	return h, nil
}
