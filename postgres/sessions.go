package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// CreateSession stores a session of a user who logged in. Returns
// ErrUnauthenticated if the password or the passkey that they gave is not theirs any
// more.
func (s *GatewayStore) CreateSession(ctx context.Context, userID string, start platform.SessionStart, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Who changes the password at this moment goes first.
		tag, err := tx.Exec(ctx, `UPDATE gateway.users SET last_seen_at = now() WHERE id = $1 AND $2 IN ('', password_hash)`, userID, start.Password)
		if err == nil && tag.RowsAffected() == 0 {
			err = errLogInAgain
		}
		if err == nil && start.Passkey != "" {
			tag, err = tx.Exec(ctx, `SELECT FROM gateway.passkeys WHERE id = $1 AND user_id = $2`, start.Passkey, userID)
			if err == nil && tag.RowsAffected() == 0 {
				err = errLogInAgain
			}
		}
		if err != nil {
			return err
		}
		var id string
		err = tx.QueryRow(ctx, `
			INSERT INTO gateway.sessions (token_hash, user_id, expires_at, user_agent, client_addr) VALUES ($1, $2, $3, $4, $5)
			RETURNING id::text`,
			start.TokenHash[:], userID, start.ExpiresAt, start.UserAgent, start.ClientAddr).Scan(&id)
		if err != nil {
			return err
		}
		by.Action, by.After = "session.create", snapshot(map[string]any{"session": id, "method": start.Method})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("create session of user %s: %w", userID, outage(err))
	}
	return nil
}

var errLogInAgain = platform.Errorf(platform.ErrUnauthenticated, "The account was changed meanwhile. Log in again.")

// selectSession ends with what the hash of the token is compared with, $1.
const selectSession = `
	SELECT s.token_hash, u.id::text, u.email, u.email_verified_at IS NOT NULL, u.role, u.created_at, u.blocked_at IS NOT NULL, u.deletion_at,
		s.id::text, s.created_at, s.authenticated_at, s.last_seen_at, least(s.expires_at, s.last_seen_at + $2::interval), s.expires_at,
		coalesce(s.impersonator_id::text, ''), sl.number, sl.state, sl.generation
	FROM gateway.sessions s
	JOIN gateway.users u ON u.id = s.user_id
	LEFT JOIN gateway.slices sl ON sl.user_id = u.id AND sl.state <> 'gone'
	WHERE s.expires_at > now() AND s.last_seen_at > now() - $2::interval AND s.token_hash = `

func scanSession(row pgx.Row) (ses platform.Session, _ platform.Slice, err error) {
	var hash []byte
	var number *int
	var state *platform.SliceState
	var generation *int64
	var deletionAt *time.Time
	u := &ses.User
	err = row.Scan(&hash, &u.ID, &u.Email, &u.EmailVerified, &u.Role, &u.CreatedAt, &u.Blocked, &deletionAt,
		&ses.ID, &ses.CreatedAt, &ses.AuthenticatedAt, &ses.LastSeenAt, &ses.ExpiresAt, &ses.EndsAt, &ses.ImpersonatorID, &number, &state, &generation)
	if err != nil {
		return platform.Session{}, platform.Slice{}, err
	}
	ses.TokenHash, u.DeletionAt = [32]byte(hash), momentOf(deletionAt)
	return ses, sliceOf(u.ID, number, state, generation), nil
}

// Session returns a session that has not ended, and its user's slice; the
// zero Slice if the user has none. Returns ErrNotFound if there is no such
// session.
func (s *GatewayStore) Session(ctx context.Context, tokenHash [32]byte) (platform.Session, platform.Slice, error) {
	ses, sl, err := scanSession(s.db.QueryRow(ctx, selectSession+`$1`, tokenHash[:], platform.SessionIdleTimeout))
	if err != nil {
		return platform.Session{}, platform.Slice{}, fmt.Errorf("session: %w", notFound(err, "There is no such session."))
	}
	return ses, sl, nil
}

// Sessions gives each those of the sessions that have not ended.
func (s *GatewayStore) Sessions(ctx context.Context, tokenHashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	rows, err := s.db.Query(ctx, selectSession+`ANY($1)`, byteKeys(tokenHashes), platform.SessionIdleTimeout)
	return eachSession(rows, err, scanSession, each)
}

func eachSession(rows pgx.Rows, err error, scan func(pgx.Row) (platform.Session, platform.Slice, error), each func(platform.Session, platform.Slice)) error {
	if err != nil {
		return fmt.Errorf("sessions: %w", outage(err))
	}
	defer rows.Close()
	for rows.Next() {
		ses, sl, err := scan(rows)
		if err != nil {
			return fmt.Errorf("sessions: %w", err)
		}
		each(ses, sl)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sessions: %w", outage(err))
	}
	return nil
}

// ListSessions returns a user's sessions that have not ended, the last used
// first.
func (s *GatewayStore) ListSessions(ctx context.Context, userID string) ([]platform.Session, error) {
	rows, err := s.db.Query(ctx, `
		SELECT id::text, token_hash, created_at, authenticated_at, last_seen_at, least(expires_at, last_seen_at + $2::interval), user_agent, client_addr,
			coalesce(impersonator_id::text, '')
		FROM gateway.sessions
		WHERE user_id = $1 AND expires_at > now() AND last_seen_at > now() - $2::interval
		ORDER BY last_seen_at DESC, id`, userID, platform.SessionIdleTimeout)
	if err != nil {
		return nil, fmt.Errorf("sessions of user %s: %w", userID, outage(err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (platform.Session, error) {
		var ses platform.Session
		var hash []byte
		err := row.Scan(&ses.ID, &hash, &ses.CreatedAt, &ses.AuthenticatedAt, &ses.LastSeenAt, &ses.ExpiresAt, &ses.UserAgent, &ses.ClientAddr, &ses.ImpersonatorID)
		if err == nil {
			ses.TokenHash = [32]byte(hash)
		}
		return ses, err
	})
	if err != nil {
		return nil, fmt.Errorf("sessions of user %s: %w", userID, outage(err))
	}
	return all, nil
}

// SessionsServed returns those of the sessions that have neither ended nor
// expired, and whose users are not blocked and have a slice that serves them or
// none; true for who has one.
func (s *GatewayStore) SessionsServed(ctx context.Context, hashes [][32]byte) (map[[32]byte]bool, error) {
	keys := byteKeys(hashes)
	rows, err := s.db.Query(ctx, `
		SELECT s.token_hash, sl.state IS NOT NULL
		FROM gateway.sessions s
		JOIN gateway.users u ON u.id = s.user_id AND u.blocked_at IS NULL
		LEFT JOIN gateway.slices sl ON sl.user_id = s.user_id AND sl.state <> 'gone'
		WHERE s.token_hash = ANY($1) AND s.expires_at > now() AND s.last_seen_at > now() - $2::interval
			AND (sl.state IS NULL OR sl.state = 'assigned')
		UNION ALL
		SELECT t.token_hash, sl.state IS NOT NULL
		FROM gateway.api_tokens t
		JOIN gateway.users u ON u.id = t.user_id AND u.blocked_at IS NULL
		LEFT JOIN gateway.slices sl ON sl.user_id = t.user_id AND sl.state <> 'gone'
		WHERE t.token_hash = ANY($1) AND t.expires_at > now() AND (sl.state IS NULL OR sl.state = 'assigned')`,
		keys, platform.SessionIdleTimeout)
	if err != nil {
		return nil, fmt.Errorf("sessions served: %w", err)
	}
	defer rows.Close()
	served := make(map[[32]byte]bool, len(hashes))
	for rows.Next() {
		var h []byte
		var hasSlice bool
		if err := rows.Scan(&h, &hasSlice); err != nil {
			return nil, fmt.Errorf("sessions served: %w", err)
		}
		served[[32]byte(h)] = hasSlice
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sessions served: %w", err)
	}
	return served, nil
}

// DeleteSession ends a session, which is its user's doing, or that of the admin
// who acts for them; one that does not exist is ended already.
func (s *GatewayStore) DeleteSession(ctx context.Context, tokenHash [32]byte, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var id, userID string
		err := tx.QueryRow(ctx, `
			DELETE FROM gateway.sessions WHERE token_hash = $1
			RETURNING id::text, user_id::text, coalesce(impersonator_id, user_id)::text`, tokenHash[:]).Scan(&id, &userID, &by.ActorID)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		by.Action, by.Before = "session.delete", snapshot(map[string]any{"session": id})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("delete session: %w", outage(err))
	}
	return nil
}

// EndSession ends one of a user's sessions by its id, and returns which it was.
// Returns ErrNotFound if the user has no such session.
func (s *GatewayStore) EndSession(ctx context.Context, userID, id string, by platform.AuditEntry) ([32]byte, error) {
	ended, err := s.endSessions(ctx, userID, lockUser, `user_id = $1 AND id = $2`, id, by)
	if err != nil {
		return [32]byte{}, fmt.Errorf("end session %s: %w", id, err)
	}
	if len(ended) == 0 {
		return [32]byte{}, platform.Errorf(platform.ErrNotFound, "There is no such session.")
	}
	return ended[0], nil
}

// EndOtherSessions ends a user's sessions but for one, and returns which. Those in
// which an admin acts for others are the admin's too. Returns ErrUnauthenticated if
// the one ended: another that is not known here may be the owner's.
func (s *GatewayStore) EndOtherSessions(ctx context.Context, userID string, but [32]byte, by platform.AuditEntry) ([][32]byte, error) {
	lock := func(ctx context.Context, tx pgx.Tx, userID string) (string, error) {
		return lockSession(ctx, tx, userID, but)
	}
	ended, err := s.endSessions(ctx, userID, lock, othersOf, but[:], by)
	if err != nil {
		return nil, fmt.Errorf("end other sessions of user %s: %w", userID, err)
	}
	return ended, nil
}

// othersOf are the sessions of user $1 but for $2, with those in which they act for
// others.
const othersOf = `(user_id = $1 AND token_hash <> $2 OR impersonator_id = $1)`

func (s *GatewayStore) endSessions(ctx context.Context, userID string, lock func(context.Context, pgx.Tx, string) (string, error), which string, arg any, by platform.AuditEntry) ([][32]byte, error) {
	var ended [][32]byte
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lock(ctx, tx, userID); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `DELETE FROM gateway.sessions WHERE `+which+` RETURNING token_hash, id::text`, userID, arg)
		if err != nil {
			return err
		}
		var hash []byte
		var id string
		var ids []string
		_, err = pgx.ForEachRow(rows, []any{&hash, &id}, func() error {
			ended, ids = append(ended, [32]byte(hash)), append(ids, id)
			return nil
		})
		if err != nil || len(ended) == 0 {
			return err
		}
		by.Action, by.Before = "session.revoke", snapshot(map[string][]string{"sessions": ids})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	return ended, outage(err)
}

// Reauthenticated notes that the user has just proved who they are, and gives
// the session another token: one that was stolen before is worth nothing now.
// Returns ErrNotFound if the session ended.
func (s *GatewayStore) Reauthenticated(ctx context.Context, userID string, session, rotated [32]byte, method platform.LogInMethod, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		id, err := rotate(ctx, tx, userID, session, rotated)
		if err != nil {
			return err
		}
		by.Action, by.After = "session.reauthenticate", snapshot(map[string]any{"session": id, "method": method})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("reauthenticated: %w", outage(err))
	}
	return nil
}

// lockUser keeps others from changing the account until the end of the
// transaction, and returns its address. A transaction that changes several rows of a
// user locks the user first: so none waits for another that waits for it. Returns
// ErrNotFound if the user is gone.
func lockUser(ctx context.Context, tx pgx.Tx, userID string) (email string, err error) {
	// Not FOR UPDATE: a row that refers to the user may be made meanwhile.
	err = tx.QueryRow(ctx, `SELECT email FROM gateway.users WHERE id = $1 FOR NO KEY UPDATE`, userID).Scan(&email)
	if err != nil {
		return "", notFound(err, "There is no such user.")
	}
	return email, nil
}

// lockSession is lockUser for what a session asks for. Returns ErrUnauthenticated if
// it ended: who ended it has the last word.
func lockSession(ctx context.Context, tx pgx.Tx, userID string, session [32]byte) (email string, err error) {
	email, err = lockUser(ctx, tx, userID)
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errSessionEnded // with the account
	}
	if err != nil {
		return "", err
	}
	return email, haveSession(ctx, tx, userID, session)
}

// haveSession is for who holds the user already.
func haveSession(ctx context.Context, tx pgx.Tx, userID string, session [32]byte) error {
	tag, err := tx.Exec(ctx, `SELECT FROM gateway.sessions WHERE token_hash = $1 AND user_id = $2 FOR SHARE`, session[:], userID)
	if err == nil && tag.RowsAffected() == 0 {
		return errSessionEnded
	}
	return err
}

var errSessionEnded = platform.Errorf(platform.ErrUnauthenticated, "Log in first.")

// rotate gives a session another token, and notes the authentication that it
// comes with. Returns the session's id.
func rotate(ctx context.Context, tx pgx.Tx, userID string, session, rotated [32]byte) (id string, err error) {
	err = tx.QueryRow(ctx, `
		UPDATE gateway.sessions SET token_hash = $3, authenticated_at = now(), last_seen_at = now()
		WHERE user_id = $1 AND token_hash = $2 RETURNING id::text`, userID, session[:], rotated[:]).Scan(&id)
	if err != nil {
		return "", notFound(err, "There is no such session.")
	}
	return id, nil
}

// SessionsSeen notes that sessions, and API tokens, are in use, and their users
// there; those seen lately are left, and those that somebody changes at this moment:
// many rows at once wait for none.
func (s *GatewayStore) SessionsSeen(ctx context.Context, hashes [][32]byte) error {
	_, err := s.db.Exec(ctx, `
		UPDATE gateway.sessions SET last_seen_at = now()
		WHERE token_hash IN (SELECT token_hash FROM gateway.sessions
			WHERE token_hash = ANY($1) AND last_seen_at < now() - $2::interval FOR NO KEY UPDATE SKIP LOCKED)`,
		byteKeys(hashes), platform.SessionSeenEvery)
	if err == nil {
		_, err = s.db.Exec(ctx, `
			UPDATE gateway.api_tokens SET last_used_at = now()
			WHERE token_hash IN (SELECT token_hash FROM gateway.api_tokens
				WHERE token_hash = ANY($1) AND (last_used_at IS NULL OR last_used_at < now() - $2::interval) FOR NO KEY UPDATE SKIP LOCKED)`, byteKeys(hashes), platform.SessionSeenEvery)
	}
	if err == nil { // an admin who acts for a user is not the user
		_, err = s.db.Exec(ctx, `
			UPDATE gateway.users SET last_seen_at = now()
			WHERE id IN (SELECT id FROM gateway.users
				WHERE id IN (SELECT user_id FROM gateway.sessions WHERE token_hash = ANY($1) AND impersonator_id IS NULL
					UNION SELECT user_id FROM gateway.api_tokens WHERE token_hash = ANY($1))
					AND (last_seen_at IS NULL OR last_seen_at < now() - $2::interval)
				FOR NO KEY UPDATE SKIP LOCKED)`, byteKeys(hashes), platform.SessionSeenEvery)
	}
	if err != nil {
		return fmt.Errorf("sessions seen: %w", outage(err))
	}
	return nil
}

func byteKeys(hashes [][32]byte) [][]byte {
	keys := make([][]byte, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	return keys
}

// DeleteExpiredSessions removes what nobody can use any more and returns how
// many there were. What somebody changes at this moment is left for the next time.
func (s *GatewayStore) DeleteExpiredSessions(ctx context.Context) (int64, error) {
	tag, err := s.db.Exec(ctx, `
		DELETE FROM gateway.sessions WHERE token_hash IN (SELECT token_hash FROM gateway.sessions
			WHERE expires_at <= now() OR last_seen_at <= now() - $1::interval FOR UPDATE SKIP LOCKED)`,
		platform.SessionIdleTimeout)
	if err != nil {
		return 0, fmt.Errorf("delete expired sessions: %w", err)
	}
	if _, err := s.db.Exec(ctx, `
		DELETE FROM gateway.api_tokens WHERE token_hash IN (SELECT token_hash FROM gateway.api_tokens
			WHERE expires_at <= now() FOR UPDATE SKIP LOCKED)`); err != nil {
		return tag.RowsAffected(), fmt.Errorf("delete expired tokens: %w", err)
	}
	if _, err := s.db.Exec(ctx, `DELETE FROM gateway.used_challenges WHERE expires_at <= now()`); err != nil {
		return tag.RowsAffected(), fmt.Errorf("delete used challenges: %w", err)
	}
	return tag.RowsAffected(), nil
}

// sliceOf returns a user's slice from the columns of an outer join; the zero Slice
// where there is none.
func sliceOf(userID string, number *int, state *platform.SliceState, generation *int64) platform.Slice {
	if number == nil {
		return platform.Slice{}
	}
	return platform.Slice{Number: *number, State: *state, Generation: *generation, UserID: userID}
}

// momentOf returns the time of a column that may be null; zero then.
func momentOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
