package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// newAccount is of an address that is to be verified: a mail asks for it.
const newAccount = `account AS (
	INSERT INTO gateway.users (email, password_hash, last_seen_at) VALUES ($1, $2, now())
	ON CONFLICT (email) DO NOTHING
	RETURNING id, email, role, created_at
), mail AS (
	INSERT INTO gateway.mails (kind, user_id, recipient) SELECT 'verify_email', id, email FROM account
)`

// mailedAccount is of the address that a token came to, which proves it.
const mailedAccount = `used AS (
	DELETE FROM gateway.account_tokens WHERE token_hash = $1 AND purpose = 'sign_up' AND expires_at > now()
	RETURNING email
), account AS (
	INSERT INTO gateway.users (email, password_hash, email_verified_at, last_seen_at) SELECT email, $2, now(), now() FROM used
	ON CONFLICT (email) DO NOTHING
	RETURNING id, email, role, created_at
)`

// signUp is one statement, hence one transaction and one round trip: the
// account, its first session, what the audit log says of it, and either a warm
// slice or a place in the queue.
// A slice that another sign-up is taking is skipped, and nobody overtakes the
// queue. No row comes back when there is no new account; nobody has one then.
//
// Its commit does not wait for the disk, that is for flushed: a transaction that
// notifies holds a lock of the whole server while it commits, and people who
// sign up together would wait for the disk one after the other.
func signUp(account string) string {
	return `
WITH relaxed AS (
	SELECT set_config('synchronous_commit', 'off', true)
), ` + account + `, session AS (
	INSERT INTO gateway.sessions (token_hash, user_id, expires_at, user_agent, client_addr) SELECT $3, id, $4, $5, $6 FROM account
), audited AS (
	INSERT INTO gateway.audit_log (actor_id, action, subject_type, subject_id, after, request_id, client_addr)
	SELECT id, 'user.create', 'user', id::text, jsonb_build_object('role', role), $7, $8 FROM account
), free AS (
	SELECT s.number
	FROM gateway.slices s JOIN gateway.generations g ON g.id = s.generation AND g.is_current
	WHERE s.state = 'warm' AND EXISTS (SELECT FROM account) AND NOT EXISTS (SELECT FROM gateway.queue)
	ORDER BY s.number LIMIT 1
	FOR UPDATE OF s SKIP LOCKED
), claimed AS (
	UPDATE gateway.slices s
	SET state = 'assigned', user_id = account.id, assigned_at = now(), state_changed_at = now()
	FROM free, account WHERE s.number = free.number
	RETURNING s.number, s.state, s.generation
), claim AS (
	INSERT INTO gateway.claims (user_id, slice_number, requested_at)
	SELECT account.id, claimed.number, now() FROM account, claimed
), waiting AS (
	INSERT INTO gateway.queue (user_id) SELECT id FROM account WHERE NOT EXISTS (SELECT FROM claimed)
)
SELECT account.id::text, account.email, account.role, account.created_at, claimed.number, claimed.state, claimed.generation
FROM account CROSS JOIN relaxed LEFT JOIN claimed ON true`
}

var (
	signUpNew    = signUp(newAccount)
	signUpMailed = signUp(mailedAccount)
)

// signUpCheck does not look for an account where nobody may learn of one: it would
// take another time.
const signUpCheck = `
SELECT by_mail, CASE WHEN by_mail THEN false ELSE EXISTS (SELECT FROM gateway.users WHERE email = $1) END
FROM (SELECT coalesce(` + signUpByMail + `, $2) AS by_mail FROM gateway.settings) AS s`

// SignUpCheck returns what keeps an address from signing up at once: that
// sign-ups begin with a mail (they do where mails are delivered, unless the
// settings say otherwise), or else that there is an account with it.
func (s *GatewayStore) SignUpCheck(ctx context.Context, email string, delivered bool) (byMail, taken bool, err error) {
	if err := s.db.QueryRow(ctx, signUpCheck, email, delivered).Scan(&byMail, &taken); err != nil {
		return false, false, fmt.Errorf("check a sign-up: %w", outage(err))
	}
	return byMail, taken, nil
}

// flushed returns once everything that was committed before is on the disk, and
// on the standby servers that are waited for: it writes a record of no meaning
// after it. Many who call it at once wait for the disk together.
const flushed = `SELECT pg_logical_emit_message(true, 'gateway', '')`

// SignUp makes a user with a session, and gives them a warm slice of the
// current generation or, when there is none or others wait already, a place in
// the queue: then the Slice is zero. Returns ErrConflict if the address is
// taken.
func (s *GatewayStore) SignUp(ctx context.Context, email, passwordHash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error) {
	u, sl, err := s.signUp(ctx, signUpNew, email, passwordHash, start, by)
	if errors.Is(err, pgx.ErrNoRows) {
		return u, sl, platform.Errorf(platform.ErrConflict, "This e-mail address is taken. Log in instead.")
	}
	return u, sl, err
}

// SignUpByMail does the same for the address that a token was sent to, which is
// verified with it. Returns ErrNotFound for a token that is not good, and for one
// of an address that has an account by now.
func (s *GatewayStore) SignUpByMail(ctx context.Context, tokenHash [32]byte, passwordHash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error) {
	u, sl, err := s.signUp(ctx, signUpMailed, tokenHash[:], passwordHash, start, by)
	if errors.Is(err, pgx.ErrNoRows) {
		return u, sl, errBadToken
	}
	u.EmailVerified = err == nil
	return u, sl, err
}

// SignUpToken returns the address that a token to sign up was sent to. Returns
// ErrNotFound if it is not good, or not any more.
func (s *GatewayStore) SignUpToken(ctx context.Context, tokenHash [32]byte) (email string, err error) {
	err = s.db.QueryRow(ctx, `SELECT email FROM gateway.account_tokens WHERE token_hash = $1 AND purpose = 'sign_up' AND expires_at > now()`, tokenHash[:]).Scan(&email)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", errBadToken
	case err != nil:
		return "", fmt.Errorf("token to sign up: %w", outage(err))
	}
	return email, nil
}

// signUp runs a statement of signUp; who is what its account is made from.
func (s *GatewayStore) signUp(ctx context.Context, statement string, who any, passwordHash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error) {
	var u platform.User
	var number *int
	var state *platform.SliceState
	var generation *int64
	err := s.db.QueryRow(ctx, statement, who, passwordHash, start.TokenHash[:], start.ExpiresAt, start.UserAgent, start.ClientAddr, by.RequestID, by.ClientAddr).
		Scan(&u.ID, &u.Email, &u.Role, &u.CreatedAt, &number, &state, &generation)
	if err != nil {
		return platform.User{}, platform.Slice{}, fmt.Errorf("sign up: %w", outage(err))
	}
	if _, err := s.db.Exec(ctx, flushed); err != nil { // the account may be there; so it is after a commit without an answer
		return platform.User{}, platform.Slice{}, fmt.Errorf("sign up: flush: %w", outage(err))
	}
	var sl platform.Slice
	if number != nil {
		sl = platform.Slice{Number: *number, State: *state, Generation: *generation, UserID: u.ID}
	}
	return u, sl, nil
}

// queueLock keeps the gateways from serving the queue at the same time, which
// could give a later user the slice of an earlier one.
const queueLock = 0x71756575 // "queu"

// serveBatch bounds one transaction of ServeQueue.
const serveBatch = 64

// serveQueue pairs the longest waiting users with the warm slices. It waits
// for a slice that a sign-up is taking: skipping it would leave it warm with
// somebody waiting if that sign-up fails.
const serveQueue = `
WITH free AS (
	SELECT number, row_number() OVER (ORDER BY number) AS place FROM (
		SELECT s.number
		FROM gateway.slices s JOIN gateway.generations g ON g.id = s.generation AND g.is_current
		WHERE s.state = 'warm' ORDER BY s.number LIMIT $1
		FOR UPDATE OF s) f
), first AS (
	SELECT id, user_id, queued_at, row_number() OVER (ORDER BY id) AS place FROM (
		SELECT id, user_id, queued_at FROM gateway.queue ORDER BY id LIMIT $1
		FOR UPDATE) q
), pairs AS (
	SELECT first.id, first.user_id, first.queued_at, free.number FROM first JOIN free USING (place)
), served AS (
	DELETE FROM gateway.queue q USING pairs WHERE q.id = pairs.id
), claimed AS (
	UPDATE gateway.slices s
	SET state = 'assigned', user_id = pairs.user_id, assigned_at = clock_timestamp(), state_changed_at = clock_timestamp()
	FROM pairs WHERE s.number = pairs.number
)
INSERT INTO gateway.claims (user_id, slice_number, queue_id, requested_at, claimed_at)
SELECT user_id, number, id, queued_at, clock_timestamp() FROM pairs ORDER BY id`

// ServeQueue gives the warm slices of the current generation to the users who
// have waited longest, in their order, and returns how many it served. Any
// number of gateways may call it at once.
func (s *GatewayStore) ServeQueue(ctx context.Context) (int, error) {
	total := 0
	for {
		n, err := s.serveQueueBatch(ctx)
		total += n
		if err != nil {
			return total, fmt.Errorf("serve queue: %w", err)
		}
		if n == 0 {
			return total, nil
		}
	}
}

func (s *GatewayStore) serveQueueBatch(ctx context.Context) (int, error) {
	var waiting bool
	// Most wake-ups find nobody: they need no lock.
	if err := s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM gateway.queue)`).Scan(&waiting); err != nil || !waiting {
		return 0, err
	}
	n := 0
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// The statement after the lock sees what the last holder committed.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, queueLock); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, serveQueue, serveBatch)
		n = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// queuePositions also reads the pace: how long slices took lately to become
// warm, and how many are being made now.
const queuePositions = `
WITH places AS (
	SELECT user_id, row_number() OVER (ORDER BY id) AS place FROM gateway.queue
), recent AS (
	SELECT extract(epoch FROM warm_at - requested_at) AS seconds FROM gateway.slices
	WHERE warm_at IS NOT NULL ORDER BY warm_at DESC LIMIT 20
)
SELECT user_id::text, place,
	(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM recent),
	(SELECT count(*) FROM gateway.slices WHERE state IN ('requested', 'provisioning'))
FROM places WHERE $1::uuid IS NULL OR user_id = $1`

// QueuePositions returns where every waiting user stands, by user id.
func (s *GatewayStore) QueuePositions(ctx context.Context) (map[string]platform.QueuePosition, error) {
	return s.queuePositions(ctx, nil)
}

// QueuePosition returns where one user stands. Returns ErrNotFound if the user
// does not wait.
func (s *GatewayStore) QueuePosition(ctx context.Context, userID string) (platform.QueuePosition, error) {
	all, err := s.queuePositions(ctx, &userID)
	if err != nil {
		return platform.QueuePosition{}, err
	}
	p, ok := all[userID]
	if !ok {
		return p, platform.Errorf(platform.ErrNotFound, "The user is not in the queue.")
	}
	return p, nil
}

func (s *GatewayStore) queuePositions(ctx context.Context, userID *string) (map[string]platform.QueuePosition, error) {
	rows, err := s.db.Query(ctx, queuePositions, userID)
	if err != nil {
		return nil, fmt.Errorf("queue positions: %w", outage(err))
	}
	defer rows.Close()
	all := make(map[string]platform.QueuePosition)
	for rows.Next() {
		var id string
		var place, building int
		var warmUp *float64
		if err := rows.Scan(&id, &place, &warmUp, &building); err != nil {
			return nil, fmt.Errorf("queue positions: %w", outage(err))
		}
		p := platform.QueuePosition{Position: place}
		if warmUp != nil {
			p.Estimate = estimate(place, building, time.Duration(*warmUp*float64(time.Second)))
		}
		all[id] = p
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("queue positions: %w", outage(err))
	}
	return all, nil
}

// estimate says how long the user at a place waits when slices are made in
// rounds of as many as are being made now. It errs on the long side: those in
// the making have started already.
func estimate(place, building int, warmUp time.Duration) time.Duration {
	building = max(building, 1)
	rounds := (place + building - 1) / building
	return time.Duration(rounds) * warmUp
}
