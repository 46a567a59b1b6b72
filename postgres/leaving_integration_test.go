//go:build integration

package postgres_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

func (b *gatewayBench) schedule(t *testing.T, u platform.User, but [32]byte) (time.Time, [][32]byte) {
	t.Helper()
	at, ended, err := b.store.ScheduleDeletion(t.Context(), u.ID, but, platform.AuditEntry{ActorID: u.ID, RequestID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	return at, ended
}

func TestDeletionIsScheduledAndCancelled(t *testing.T) {
	b := newGatewayBench(t)
	number := b.addSlice(t, platform.SliceWarm, "current")
	ana, _ := b.signUp(t, "ana@example.com")
	ben, _ := b.signUp(t, "ben@example.com")
	by := platform.AuditEntry{ActorID: ana.ID, RequestID: "r1"}
	own, api := token(t), token(t)
	if err := b.store.CreateSession(t.Context(), ana.ID, platform.SessionStart{TokenHash: own, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	for _, u := range []platform.User{ana, ben} {
		made := platform.APIToken{TokenHash: token(t), Name: "x", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}
		if u.ID == ana.ID {
			made.TokenHash = api
		}
		if _, err := b.store.CreateAPIToken(t.Context(), u.ID, firstSession(u.Email), made, by); err != nil {
			t.Fatal(err)
		}
	}
	reset, _ := b.mail(t, platform.MailResetPassword, "", "ana@example.com")
	if err := b.store.CancelDeletion(t.Context(), ana.ID, by); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("none to cancel: %v", err)
	}

	at, ended := b.schedule(t, ana, own)
	if time.Until(at) < 14*24*time.Hour-time.Minute || time.Until(at) > 14*24*time.Hour+2*time.Hour {
		t.Errorf("in %v, want 14 days", time.Until(at))
	}
	if len(ended) != 2 || !slices.Contains(ended, api) || slices.Contains(ended, own) {
		t.Errorf("ended %x", ended)
	}
	if _, _, err := b.store.ScheduleDeletion(t.Context(), ana.ID, own, by); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("twice: %v", err)
	}
	if _, _, err := b.store.ScheduleDeletion(t.Context(), uuid.NewString(), own, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("nobody: %v", err)
	}
	ses, sl, err := b.store.Session(t.Context(), own)
	if err != nil || !ses.User.DeletionAt.Equal(at) || sl.Number != number || sl.State != platform.SliceAssigned {
		t.Errorf("session %+v, slice %+v, %v", ses, sl, err)
	}
	if r, err := b.store.UserRecord(t.Context(), ana.ID); err != nil || !r.DeletionAt.Equal(at) || r.Sessions != 1 {
		t.Errorf("record %+v, %v", r, err)
	}
	if _, err := b.store.AccountToken(t.Context(), reset); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("a link sent before: %v", err)
	}
	if n := b.count(t, `SELECT (SELECT count(*) FROM gateway.sessions WHERE user_id = $1) + (SELECT count(*) FROM gateway.api_tokens WHERE user_id = $1)`, ben.ID); n != 2 {
		t.Errorf("%d sessions and tokens of somebody else are left, want 2", n)
	}
	b.wantQueued(t, platform.MailDeletionRequested, "ana@example.com")
	b.wantAudit(t, "user.deletion_request", ana.ID)
	if due, err := b.store.DueMails(t.Context(), 10, time.Minute); err != nil || !slices.ContainsFunc(due, func(m platform.QueuedMail) bool {
		return m.Kind == platform.MailDeletionRequested && m.DeletionAt.Equal(at)
	}) {
		t.Errorf("mails %+v, %v", due, err)
	}
	if deleted, err := b.store.DeleteDueUsers(t.Context()); err != nil || len(deleted) != 0 {
		t.Errorf("deleted %v before the time, %v", deleted, err)
	}

	if err := b.store.CancelDeletion(t.Context(), ana.ID, by); err != nil {
		t.Fatal(err)
	}
	if ses, sl, err := b.store.Session(t.Context(), own); err != nil || !ses.User.DeletionAt.IsZero() || sl.Number != number {
		t.Errorf("session %+v, slice %+v, %v", ses, sl, err)
	}
	b.wantQueued(t, platform.MailDeletionCancelled, "ana@example.com")
	b.wantAudit(t, "user.deletion_cancel", ana.ID)
	if err := b.store.CancelDeletion(t.Context(), uuid.NewString(), by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("nobody: %v", err)
	}
	// Another time of grace is for those who ask from now on.
	if _, err := b.store.UpdateSettings(t.Context(), func(s *platform.Settings) error { s.DeletionGraceDays = 3; return s.Validate() }, platform.AuditEntry{Action: "settings.change"}); err != nil {
		t.Fatal(err)
	}
	if at, _ = b.schedule(t, ana, own); time.Until(at) > 3*24*time.Hour+2*time.Hour {
		t.Errorf("in %v, want 3 days", time.Until(at))
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE before::text || after::text LIKE '%@%'`); n != 0 {
		t.Errorf("%d audit entries have an address", n)
	}
}

// Two gateways look at the same time: each account is deleted by one of them.
func TestDueAccountsAreDeletedOnce(t *testing.T) {
	b := newGatewayBench(t)
	pool, err := pgxpool.New(t.Context(), postgrestest.URL(t, b.name, postgres.RoleGateway))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var leaving []string
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"} {
		b.addSlice(t, platform.SliceWarm, "current")
		u, _ := b.signUp(t, email)
		b.schedule(t, u, firstSession(u.Email))
		leaving = append(leaving, u.ID)
		if err := b.store.QueueMail(t.Context(), platform.MailResetPassword, "", email); err != nil {
			t.Fatal(err)
		}
	}
	stays, _ := b.signUp(t, "stays@example.com")
	cancelled, _ := b.signUp(t, "cancelled@example.com")
	b.schedule(t, cancelled, firstSession(cancelled.Email))
	b.exec(t, `UPDATE gateway.users SET deletion_at = now() WHERE deletion_at IS NOT NULL`)
	if err := b.store.CancelDeletion(t.Context(), cancelled.ID, by("", "")); err != nil {
		t.Fatal(err)
	}
	if err := b.store.BlockUser(t.Context(), leaving[3], "spam", by("user.block", leaving[3])); err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	var deleted []string
	for _, s := range []*postgres.GatewayStore{b.store, postgres.NewGatewayStore(pool), b.store, postgres.NewGatewayStore(pool)} {
		wg.Go(func() {
			ids, err := s.DeleteDueUsers(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			deleted = append(deleted, ids...)
		})
	}
	wg.Wait()
	slices.Sort(deleted)
	slices.Sort(leaving)
	if !slices.Equal(deleted, leaving) {
		t.Errorf("deleted %v, want %v", deleted, leaving)
	}
	for _, id := range leaving {
		if n := b.count(t, `
			SELECT count(*) FROM gateway.audit_log
			WHERE action = 'user.delete' AND subject_id = $1 AND actor_id IS NULL AND client_addr = '' AND (before->>'slice') IS NOT NULL AND after IS NULL`, id); n != 1 {
			t.Errorf("%d audit entries of the deletion, want 1", n)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE state = 'retiring' AND user_id IS NULL`); n != 4 {
		t.Errorf("%d slices are retiring, want 4", n)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.users WHERE id IN ($1, $2)`, stays.ID, cancelled.ID); n != 2 {
		t.Error("somebody who stays is gone")
	}
	// What is left of them is the mail that says so.
	for _, email := range []string{"a@example.com", "d@example.com"} {
		b.wantQueued(t, platform.MailAccountDeleted, email)
		if n := b.count(t, `SELECT count(*) FROM gateway.mails WHERE recipient = $1`, email); n != 1 {
			t.Errorf("%d mails to %s are left", n, email)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.sessions WHERE user_id <> $1 AND user_id <> $2`, stays.ID, cancelled.ID); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	b.signUp(t, "a@example.com") // the address is free again
}

func TestAnAdminStaysWhenOthersLeave(t *testing.T) {
	b := newGatewayBench(t)
	b.exec(t, `INSERT INTO gateway.users (email, password_hash, role) VALUES ('a@example.com', 'x', 'admin'), ('b@example.com', 'x', 'admin')`)
	admins, err := b.store.ListUsers(t.Context(), platform.UserFilter{Role: platform.RoleAdmin, Limit: 9})
	if err != nil || len(admins) != 2 {
		t.Fatalf("%+v, %v", admins, err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, a := range admins {
		session := b.session(t, a.ID)
		wg.Go(func() { _, _, errs[i] = b.store.ScheduleDeletion(t.Context(), a.ID, session, by("", "")) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("errors %v", errs)
	}
	stays, leaves := admins[0], admins[1]
	if errs[0] == nil {
		stays, leaves = leaves, stays
	}
	// The one who leaves is as good as gone.
	for what, err := range map[string]error{
		"schedule": second3(b.store.ScheduleDeletion(t.Context(), stays.ID, b.session(t, stays.ID), by("", ""))),
		"block":    b.store.BlockUser(t.Context(), stays.ID, "x", by("user.block", stays.ID)),
		"delete":   b.store.DeleteUser(t.Context(), stays.ID, by("user.delete", stays.ID)),
	} {
		if platform.CodeOf(err) != platform.ErrConflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.exec(t, `UPDATE gateway.users SET deletion_at = now() WHERE deletion_at IS NOT NULL`)
	if deleted, err := b.store.DeleteDueUsers(t.Context()); err != nil || len(deleted) != 1 || deleted[0] != leaves.ID {
		t.Errorf("deleted %v, %v", deleted, err)
	}
}

func second3[A, B any](_ A, _ B, err error) error { return err }

func TestAccountHistory(t *testing.T) {
	b := newGatewayBench(t)
	old := b.addSlice(t, platform.SliceWarm, "current")
	ana, _ := b.signUp(t, "ana@example.com")
	b.addSlice(t, platform.SliceWarm, "current")
	ben, _ := b.signUp(t, "ben@example.com")
	if err := b.store.RetireSlice(t.Context(), old, by("slice.retire", "1")); err != nil {
		t.Fatal(err)
	}
	now := b.addSlice(t, platform.SliceWarm, "current")
	if _, err := b.store.ServeQueue(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mail(t, platform.MailResetPassword, "", "ben@example.com")
	b.mail(t, platform.MailResetPassword, "", "ana@example.com")
	b.exec(t, `INSERT INTO gateway.mails (kind, recipient, created_at) VALUES ('reset_password', 'ana@example.com', now() - interval '1 day')`) // another's
	b.exec(t, `INSERT INTO gateway.mails (kind, recipient) VALUES ('account_deleted', 'ana@example.com')`)                                      // likewise
	at, _ := b.schedule(t, ana, firstSession(ana.Email))

	h, err := b.store.AccountHistory(t.Context(), ana.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Slices) != 2 || h.Slices[0].Number != old || h.Slices[0].State != platform.SliceRetiring || h.Slices[0].Current ||
		h.Slices[1].Number != now || !h.Slices[1].Current || h.Slices[1].ClaimedAt.IsZero() {
		t.Errorf("slices %+v", h.Slices)
	}
	var kinds []platform.MailKind
	for _, m := range h.Mails {
		if m.Recipient != "ana@example.com" || m.CreatedAt.IsZero() {
			t.Errorf("mail %+v", m)
		}
		kinds = append(kinds, m.Kind)
	}
	if !slices.Equal(kinds, []platform.MailKind{platform.MailVerifyEmail, platform.MailResetPassword, platform.MailDeletionRequested}) || h.Mails[1].SentAt.IsZero() || !h.Mails[2].SentAt.IsZero() {
		t.Errorf("mails %+v", h.Mails)
	}
	if !h.EmailVerifiedAt.IsZero() || h.DeletionRequestedAt.IsZero() || !h.DeletionRequestedAt.Before(at) {
		t.Errorf("history %+v", h)
	}
	if h, err := b.store.AccountHistory(t.Context(), ben.ID); err != nil || len(h.Slices) != 1 || len(h.Mails) != 2 || !h.DeletionRequestedAt.IsZero() {
		t.Errorf("Ben's %+v, %v", h, err)
	}
	if _, err := b.store.AccountHistory(t.Context(), uuid.NewString()); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("nobody: %v", err)
	}
}
