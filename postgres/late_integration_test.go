//go:build integration

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// during has do begin while a transaction holds what change changed, and returns
// what came of it.
func (b *gatewayBench) during(t *testing.T, change func(pgx.Tx) error, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), b.admin, func(tx pgx.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		go func() { done <- do() }()
		b.until(t, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return <-done
}

// Whoever resets a password has the last word on all that begins at that moment.
func TestAResetHasTheLastWord(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	b.exec(t, `UPDATE gateway.users SET email_verified_at = now()`)
	admin := b.oneAdmin(t)
	ctx, by := t.Context(), platform.AuditEntry{ActorID: admin.ID, RequestID: "r1"}
	log := func(id string, start platform.SessionStart) error {
		start.ExpiresAt = time.Now().Add(time.Hour)
		return b.store.CreateSession(ctx, id, start, by)
	}
	reset := func(id string) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			for _, statement := range []string{
				`UPDATE gateway.users SET password_hash = 'new' WHERE id = $1`,
				`DELETE FROM gateway.sessions WHERE user_id = $1`,
				`DELETE FROM gateway.passkeys WHERE user_id = $1`,
				`DELETE FROM gateway.mails WHERE user_id = $1`,
			} {
				if _, err := tx.Exec(ctx, statement, id); err != nil {
					return err
				}
			}
			return nil
		}
	}
	session, passkey, mail := token(t), "", int64(0)
	for name, c := range map[string]struct {
		whose string
		do    func() error
		want  platform.ErrorCode
	}{
		"log-in with a password": {u.ID, func() error {
			return log(u.ID, platform.SessionStart{TokenHash: token(t), Password: "hash"})
		}, platform.ErrUnauthenticated},
		"log-in with a passkey": {u.ID, func() error {
			return log(u.ID, platform.SessionStart{TokenHash: token(t), Passkey: passkey})
		}, platform.ErrUnauthenticated},
		"API token": {u.ID, func() error {
			_, err := b.store.CreateAPIToken(ctx, u.ID, session, platform.APIToken{TokenHash: token(t), Name: "x", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}, by)
			return err
		}, platform.ErrUnauthenticated},
		"passkey": {u.ID, func() error {
			_, err := b.store.CreatePasskey(ctx, u.ID, session, platform.Passkey{CredentialID: []byte("late"), PublicKey: []byte("k"), Transports: []string{}}, by)
			return err
		}, platform.ErrUnauthenticated},
		"no passkey": {u.ID, func() error { return b.store.DeletePasskey(ctx, u.ID, session, passkey, by) }, platform.ErrUnauthenticated},
		"second factor": {u.ID, func() error {
			return b.store.EnableSecondFactor(ctx, u.ID, session, []byte("s"), 1, nil, by)
		}, platform.ErrUnauthenticated},
		"recovery codes":   {u.ID, func() error { return b.store.ReplaceRecoveryCodes(ctx, u.ID, session, [][32]byte{{1}}, by) }, platform.ErrUnauthenticated},
		"no second factor": {u.ID, func() error { return b.store.DisableSecondFactor(ctx, u.ID, session, by) }, platform.ErrUnauthenticated},
		"another address":  {u.ID, func() error { return b.store.QueueEmailChange(ctx, u.ID, session, "thief@example.com") }, platform.ErrUnauthenticated},
		"link in a mail": {u.ID, func() error {
			return b.store.AddMailToken(ctx, mail, token(t), time.Now().Add(time.Hour))
		}, platform.ErrNotFound},
		"deletion": {u.ID, func() error {
			_, _, err := b.store.ScheduleDeletion(ctx, u.ID, session, by)
			return err
		}, platform.ErrUnauthenticated},
		"no deletion": {u.ID, func() error { return b.store.CancelOwnDeletion(ctx, u.ID, session, by) }, platform.ErrUnauthenticated},
		"no other sessions": {u.ID, func() error {
			_, err := b.store.EndOtherSessions(ctx, u.ID, session, by)
			return err
		}, platform.ErrUnauthenticated},
		"acting for a user": {admin.ID, func() error {
			start := platform.SessionStart{TokenHash: token(t), ExpiresAt: time.Now().Add(time.Hour)}
			_, err := b.store.Impersonate(ctx, u.ID, session, start, "help", by)
			return err
		}, platform.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			b.exec(t, `UPDATE gateway.users SET password_hash = 'hash'`)
			session = token(t)
			if err := log(c.whose, platform.SessionStart{TokenHash: session}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.store.PasskeyHandle(ctx, u.ID); err != nil {
				t.Fatal(err)
			}
			b.exec(t, `DELETE FROM gateway.passkeys`)
			made, err := b.store.CreatePasskey(ctx, u.ID, b.session(t, u.ID), platform.Passkey{CredentialID: []byte("c"), PublicKey: []byte("k"), Transports: []string{}}, by)
			if err != nil {
				t.Fatal(err)
			}
			passkey = made.ID
			b.exec(t, `DELETE FROM gateway.mails`)
			if err := b.store.QueueMail(ctx, platform.MailChangeEmail, u.ID, "other@example.com"); err != nil {
				t.Fatal(err)
			}
			due, err := b.store.DueMails(ctx, 1, time.Minute)
			if err != nil || len(due) != 1 {
				t.Fatalf("due %v, %v", due, err)
			}
			mail = due[0].ID
			if got := b.during(t, reset(c.whose), c.do); platform.CodeOf(got) != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
			for _, left := range []string{
				`SELECT count(*) FROM gateway.sessions WHERE user_id = $1`, `SELECT count(*) FROM gateway.sessions WHERE impersonator_id = $1`,
				`SELECT count(*) FROM gateway.api_tokens WHERE user_id = $1`, `SELECT count(*) FROM gateway.account_tokens WHERE user_id = $1 AND purpose = 'change_email'`,
				`SELECT count(*) FROM gateway.users WHERE id = $1 AND deletion_at IS NOT NULL`,
			} {
				if n := b.count(t, left, c.whose); n != 0 {
					t.Errorf("%s: %d", left, n)
				}
			}
		})
	}
}

// A block has the last word too, though it leaves the admin's session where it is.
func TestABlockHasTheLastWord(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	admin := b.oneAdmin(t)
	session := b.session(t, admin.ID)
	block := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE gateway.users SET blocked_at = now() WHERE id = $1`, admin.ID)
		return err
	}
	err := b.during(t, block, func() error {
		start := platform.SessionStart{TokenHash: token(t), ExpiresAt: time.Now().Add(time.Hour)}
		_, err := b.store.Impersonate(t.Context(), u.ID, session, start, "help", platform.AuditEntry{ActorID: admin.ID})
		return err
	})
	if platform.CodeOf(err) != platform.ErrUnauthenticated || b.count(t, `SELECT count(*) FROM gateway.sessions WHERE impersonator_id IS NOT NULL`) != 0 {
		t.Errorf("a blocked admin acts for a user: %v", err)
	}
}

// oneAdmin makes the first.
func (b *gatewayBench) oneAdmin(t *testing.T) platform.User {
	t.Helper()
	if _, err := b.store.CreateFirstAdmin(t.Context(), "admin@example.com", "hash"); err != nil {
		t.Fatal(err)
	}
	admin, _, err := b.store.UserByEmail(t.Context(), "admin@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// session begins one.
func (b *gatewayBench) session(t *testing.T, userID string) [32]byte {
	t.Helper()
	h := token(t)
	if err := b.store.CreateSession(context.WithoutCancel(t.Context()), userID, platform.SessionStart{TokenHash: h, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	return h
}

// An admin who begins to act for a user at the moment in which the admin's sessions
// end does not go on.
func TestActingEndsWithTheOtherSessions(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	admin := b.oneAdmin(t)
	stolen, own, acting := b.session(t, admin.ID), b.session(t, admin.ID), token(t)
	by, done := platform.AuditEntry{ActorID: admin.ID, Action: "user.impersonate", SubjectType: "user", SubjectID: u.ID}, make(chan error, 2)
	waiting := func(n int) {
		b.until(t, fmt.Sprintf(`SELECT count(*) = %d FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`, n))
	}
	err := pgx.BeginFunc(t.Context(), b.admin, func(tx pgx.Tx) error {
		// Impersonate stops in the middle.
		if _, err := tx.Exec(t.Context(), `SELECT FROM gateway.sessions WHERE token_hash = $1 FOR UPDATE`, stolen[:]); err != nil {
			return err
		}
		go func() {
			_, err := b.store.Impersonate(t.Context(), u.ID, stolen, platform.SessionStart{TokenHash: acting, ExpiresAt: time.Now().Add(time.Hour)}, "help", by)
			done <- err
		}()
		waiting(1)
		go func() {
			_, err := b.store.EndOtherSessions(t.Context(), admin.ID, own, by)
			done <- err
		}()
		waiting(2)
		return nil
	})
	if err := errors.Join(err, <-done, <-done); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.Session(t.Context(), acting); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("the admin still acts for the user: %v", err)
	}
	if _, _, err := b.store.Session(t.Context(), own); err != nil {
		t.Error(err)
	}
}
