package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

const userRecords = `
WITH places AS (
	SELECT user_id, row_number() OVER (ORDER BY id) AS place FROM gateway.queue
)
SELECT u.id::text, u.email, u.role, u.created_at, u.blocked_at, u.block_reason, u.deletion_at,
	coalesce(s.number, 0), coalesce(s.state, ''), coalesce(s.generation, 0), coalesce(p.place, 0),
	(SELECT count(*) FROM gateway.sessions WHERE user_id = u.id AND expires_at > now())
FROM gateway.users u
LEFT JOIN gateway.slices s ON s.user_id = u.id AND s.state <> 'gone'
LEFT JOIN places p ON p.user_id = u.id `

func scanUserRecord(row pgx.CollectableRow) (platform.UserRecord, error) {
	var u platform.UserRecord
	var blockedAt, deletionAt *time.Time
	err := row.Scan(&u.ID, &u.Email, &u.Role, &u.CreatedAt, &blockedAt, &u.BlockReason, &deletionAt,
		&u.Slice.Number, &u.Slice.State, &u.Slice.Generation, &u.Position, &u.Sessions)
	u.DeletionAt = momentOf(deletionAt)
	if blockedAt != nil {
		u.Blocked, u.BlockedAt = true, *blockedAt
	}
	if u.Slice.Number != 0 {
		u.Slice.UserID = u.ID
	}
	return u, err
}

// ListUsers returns the accounts that the filter selects, newest first.
func (s *GatewayStore) ListUsers(ctx context.Context, f platform.UserFilter) ([]platform.UserRecord, error) {
	rows, err := s.db.Query(ctx, userRecords+`
		WHERE ($1 = '' OR strpos(u.email, $1) > 0)
			AND ($2 = '' OR u.role = $2)
			AND ($3 = '' OR (u.blocked_at IS NOT NULL) = ($3 = 'blocked'))
			AND ($4 = '' OR (u.created_at, u.id) < ($5, nullif($4, '')::uuid))
		ORDER BY u.created_at DESC, u.id DESC LIMIT $6`,
		f.Email, string(f.Role), string(f.State), f.After.ID, f.After.CreatedAt, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", outage(err))
	}
	all, err := pgx.CollectRows(rows, scanUserRecord)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", outage(err))
	}
	return all, nil
}

// UserRecord returns one account. Returns ErrNotFound if there is none.
func (s *GatewayStore) UserRecord(ctx context.Context, id string) (platform.UserRecord, error) {
	rows, err := s.db.Query(ctx, userRecords+`WHERE u.id = $1`, id)
	if err != nil {
		return platform.UserRecord{}, fmt.Errorf("user %s: %w", id, outage(err))
	}
	u, err := pgx.CollectExactlyOneRow(rows, scanUserRecord)
	if err != nil {
		return platform.UserRecord{}, fmt.Errorf("user %s: %w", id, notFound(err, "There is no such user."))
	}
	return u, nil
}

// BlockUser keeps a user out until UnblockUser; their place in the queue is
// lost. Returns ErrNotFound if there is no such user, and ErrConflict if they
// are blocked already or nobody would be left to run the platform.
func (s *GatewayStore) BlockUser(ctx context.Context, id, reason string, by platform.AuditEntry) error {
	return s.changeUser(ctx, "block", id, func(tx pgx.Tx, u platform.UserRecord) error {
		if u.Blocked {
			return platform.Errorf(platform.ErrConflict, "The user is blocked already.")
		}
		if err := keepAnAdmin(ctx, tx, u); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE gateway.users SET blocked_at = now(), block_reason = $2 WHERE id = $1`, id, reason); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM gateway.queue WHERE user_id = $1`, id); err != nil {
			return err
		}
		// A blocked admin acts for nobody.
		if _, err := tx.Exec(ctx, `DELETE FROM gateway.sessions WHERE impersonator_id = $1`, id); err != nil {
			return err
		}
		by.Before = snapshot(map[string]any{"state": platform.UserActive})
		by.After = snapshot(map[string]any{"state": platform.UserBlocked, "reason": reason})
		return insertAudit(ctx, tx, by)
	})
}

// UnblockUser lets a user in again, who has to log in anew, and who joins the
// queue's end if they have no slice. Returns ErrNotFound if there is no such
// user, and ErrConflict if they are not blocked.
func (s *GatewayStore) UnblockUser(ctx context.Context, id string, by platform.AuditEntry) error {
	return s.changeUser(ctx, "unblock", id, func(tx pgx.Tx, u platform.UserRecord) error {
		if !u.Blocked {
			return platform.Errorf(platform.ErrConflict, "The user is not blocked.")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM gateway.sessions WHERE user_id = $1`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE gateway.users SET blocked_at = NULL, block_reason = '' WHERE id = $1`, id); err != nil {
			return err
		}
		if err := enqueue(ctx, tx, id); err != nil {
			return err
		}
		by.Before = snapshot(map[string]any{"state": platform.UserBlocked, "reason": u.BlockReason})
		by.After = snapshot(map[string]any{"state": platform.UserActive})
		return insertAudit(ctx, tx, by)
	})
}

// DeleteUser removes an account with its sessions and gives its slice to the
// provisioner to take down. What stays is the history of claims, without the
// user, and the audit log. Returns ErrNotFound if there is no such user, and
// ErrConflict if nobody would be left to run the platform.
func (s *GatewayStore) DeleteUser(ctx context.Context, id string, by platform.AuditEntry) error {
	return s.changeUser(ctx, "delete", id, func(tx pgx.Tx, u platform.UserRecord) error {
		if err := keepAnAdmin(ctx, tx, u); err != nil {
			return err
		}
		return deleteUser(ctx, tx, u, by)
	})
}

// deleteUser removes a user whom changeUser holds.
func deleteUser(ctx context.Context, tx pgx.Tx, u platform.UserRecord, by platform.AuditEntry) error {
	// A slice that is gone already keeps no name either.
	if _, err := tx.Exec(ctx, `
		UPDATE gateway.slices SET user_id = NULL,
			state = CASE WHEN state = 'gone' THEN state ELSE 'retiring' END,
			state_changed_at = CASE WHEN state IN ('gone', 'retiring') THEN state_changed_at ELSE now() END
		WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	// These have the address and no user; the others go with the account. They are first:
	// a sign-up with this address takes its token before it makes the account.
	if err := forgetEmail(ctx, tx, u.Email); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM gateway.users WHERE id = $1`, u.ID); err != nil {
		return err
	}
	before := map[string]any{"role": u.Role, "state": u.State(), "created_at": u.CreatedAt.UTC()}
	if u.Slice.Number != 0 {
		before["slice"] = u.Slice.Number
	}
	if !u.DeletionAt.IsZero() { // they are told that it is done
		before["deletion_at"] = u.DeletionAt.UTC()
		if _, err := tx.Exec(ctx, `INSERT INTO gateway.mails (kind, recipient) VALUES ($1, $2)`, string(platform.MailAccountDeleted), u.Email); err != nil {
			return err
		}
	}
	by.Before = snapshot(before)
	return insertAudit(ctx, tx, by)
}

// changeUser runs change in a transaction that holds the user's row. The queue
// is locked first, as by those who serve it: they hold places and ask for users.
func (s *GatewayStore) changeUser(ctx context.Context, what, id string, change func(pgx.Tx, platform.UserRecord) error) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, queueLock); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, userRecords+`WHERE u.id = $1 FOR UPDATE OF u`, id)
		if err != nil {
			return err
		}
		u, err := pgx.CollectExactlyOneRow(rows, scanUserRecord)
		if err != nil {
			return notFound(err, "There is no such user.")
		}
		return change(tx, u)
	})
	if err != nil {
		return fmt.Errorf("%s user %s: %w", what, id, outage(err))
	}
	return nil
}

// enqueue gives a user without a slice a place at the queue's end. Admins need
// none, and who is blocked gets it later.
func enqueue(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO gateway.queue (user_id)
		SELECT id FROM gateway.users u
		WHERE id = $1 AND role = 'user' AND blocked_at IS NULL AND NOT EXISTS (SELECT FROM gateway.slices WHERE user_id = u.id)
		ON CONFLICT (user_id) DO NOTHING`, id)
	return err
}

// keepAnAdmin refuses what would leave the platform without an admin; those who
// are about to leave do not count. It holds all of them, so that two do not
// remove each other.
func keepAnAdmin(ctx context.Context, tx pgx.Tx, u platform.UserRecord) error {
	if u.Role != platform.RoleAdmin || u.Blocked || !u.DeletionAt.IsZero() {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT id::text FROM gateway.users WHERE role = 'admin' AND blocked_at IS NULL AND deletion_at IS NULL ORDER BY id FOR UPDATE`)
	if err != nil {
		return err
	}
	admins, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(admins) < 2 {
		return platform.Errorf(platform.ErrConflict, "This is the last admin.")
	}
	return nil
}
