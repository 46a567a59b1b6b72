//go:build integration

package postgres_test

import (
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func token(t *testing.T) [32]byte {
	t.Helper()
	h, ok := platform.HashSessionToken(platform.NewSessionToken())
	if !ok {
		t.Fatal("a token of our own is not good")
	}
	return h
}

// mail queues a mail and gives it a token; false if it has no point.
func (b *gatewayBench) mail(t *testing.T, kind platform.MailKind, userID, to string) (hash [32]byte, pointful bool) {
	t.Helper()
	if err := b.store.QueueMail(t.Context(), kind, userID, to); err != nil {
		t.Fatal(err)
	}
	for {
		due, err := b.store.DueMails(t.Context(), 1, time.Minute)
		if err != nil || len(due) != 1 {
			t.Fatalf("due %v, %v", due, err)
		}
		if due[0].Kind != kind || due[0].Recipient != to {
			continue // an earlier one, such as the sign-up's
		}
		hash = token(t)
		switch err := b.store.AddMailToken(t.Context(), due[0].ID, hash, time.Now().Add(time.Hour)); platform.CodeOf(err) {
		case "":
		case platform.ErrNotFound:
			return hash, false
		default:
			t.Fatal(err)
		}
		if err := b.store.MailSent(t.Context(), due[0].ID); err != nil {
			t.Fatal(err)
		}
		return hash, true
	}
}

func (b *gatewayBench) wantQueued(t *testing.T, kind platform.MailKind, to string) {
	t.Helper()
	if n := b.count(t, `SELECT count(*) FROM gateway.mails WHERE kind = $1 AND recipient = $2 AND next_attempt_at IS NOT NULL`, string(kind), to); n != 1 {
		t.Errorf("%d mails %s to %s, want 1", n, kind, to)
	}
}

func (b *gatewayBench) wantAudit(t *testing.T, action, userID string) {
	t.Helper()
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE action = $1 AND subject_id = $2 AND actor_id = $2::uuid AND request_id = 'r1'`, action, userID); n != 1 {
		t.Errorf("%d entries %s, want 1", n, action)
	}
}

func TestMailsAreClaimedOnceAndTriedAgain(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	b.wantQueued(t, platform.MailVerifyEmail, "ana@example.com")
	due, err := b.store.DueMails(t.Context(), 10, time.Minute)
	if err != nil || len(due) != 1 || due[0].Attempts != 1 || due[0].Kind != platform.MailVerifyEmail {
		t.Fatalf("due %+v, %v", due, err)
	}
	if again, err := b.store.DueMails(t.Context(), 10, time.Minute); err != nil || len(again) != 0 {
		t.Errorf("claimed twice: %+v, %v", again, err)
	}
	if err := b.store.MailFailed(t.Context(), due[0].ID, "421", time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if due, err = b.store.DueMails(t.Context(), 10, time.Minute); err != nil || len(due) != 1 || due[0].Attempts != 2 {
		t.Fatalf("again %+v, %v", due, err)
	}
	if err := b.store.MailFailed(t.Context(), due[0].ID, "550", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if due, err = b.store.DueMails(t.Context(), 10, time.Minute); err != nil || len(due) != 0 {
		t.Errorf("after giving up %+v, %v", due, err)
	}
	// What is over is forgotten, what is not stays.
	b.exec(t, `UPDATE gateway.mails SET created_at = now() - interval '8 days'`)
	if err := b.store.QueueMail(t.Context(), platform.MailVerifyEmail, u.ID, u.Email); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `INSERT INTO gateway.account_tokens (token_hash, user_id, purpose, email, expires_at) VALUES ($1, $2, 'verify_email', 'ana@example.com', now())`, make([]byte, 32), u.ID)
	if err := b.store.DeleteOldMails(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mails, tokens := b.count(t, `SELECT count(*) FROM gateway.mails`), b.count(t, `SELECT count(*) FROM gateway.account_tokens`); mails != 1 || tokens != 0 {
		t.Errorf("%d mails and %d tokens left, want 1 and 0", mails, tokens)
	}
}

// A token is good for one sign-up, whoever else opens the link at that moment.
func TestSignUpByMailTwiceAtOnce(t *testing.T) {
	b := newGatewayBench(t)
	hash, _ := b.mail(t, platform.MailSignUp, "", "ana@example.com")
	other, _ := b.mail(t, platform.MailSignUp, "", "ana@example.com") // of the same address
	errs := make(chan error, 6)
	for range 3 {
		for _, h := range [][32]byte{hash, other} {
			start := platform.SessionStart{TokenHash: token(t), ExpiresAt: time.Now().Add(time.Hour)}
			go func() {
				_, _, err := b.store.SignUpByMail(t.Context(), h, "hash", start, platform.AuditEntry{})
				errs <- err
			}()
		}
	}
	made := 0
	for range 6 {
		switch err := <-errs; platform.CodeOf(err) {
		case "":
			made++
		case platform.ErrNotFound:
		default:
			t.Error(err)
		}
	}
	users, sessions := b.count(t, `SELECT count(*) FROM gateway.users`), b.count(t, `SELECT count(*) FROM gateway.sessions`)
	waiting, tokens := b.count(t, `SELECT count(*) FROM gateway.queue`), b.count(t, `SELECT count(*) FROM gateway.account_tokens`)
	if made != 1 || users != 1 || sessions != 1 || waiting != 1 || tokens != 0 {
		t.Errorf("%d accounts made; %d users, %d sessions, %d waiting, %d tokens left", made, users, sessions, waiting, tokens)
	}
}

func TestVerifyEmail(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	by := platform.AuditEntry{RequestID: "r1", ClientAddr: "192.0.2.1"}
	first, _ := b.mail(t, platform.MailVerifyEmail, u.ID, u.Email)
	second, _ := b.mail(t, platform.MailVerifyEmail, u.ID, u.Email)
	got, err := b.store.VerifyEmail(t.Context(), second, by)
	if err != nil || got.ID != u.ID || !got.EmailVerified {
		t.Fatalf("verified %+v, %v", got, err)
	}
	b.wantAudit(t, "user.email_verify", u.ID)
	for name, h := range map[string][32]byte{"used": second, "superseded": first, "made up": token(t)} {
		if _, err := b.store.VerifyEmail(t.Context(), h, by); platform.CodeOf(err) != platform.ErrNotFound {
			t.Errorf("%s token: %v", name, err)
		}
	}
	if _, ok := b.mail(t, platform.MailVerifyEmail, u.ID, u.Email); ok {
		t.Error("a verified address is asked again")
	}
}

func TestChangeOfEmail(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	by := platform.AuditEntry{RequestID: "r1"}
	reset, _ := b.mail(t, platform.MailResetPassword, "", "ana@example.com")
	raced, _ := b.mail(t, platform.MailChangeEmail, u.ID, "raced@example.com")
	b.signUp(t, "raced@example.com")
	if _, err := b.store.VerifyEmail(t.Context(), raced, by); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("taken meanwhile: %v", err)
	}
	change, _ := b.mail(t, platform.MailChangeEmail, u.ID, "new@example.com")
	got, err := b.store.VerifyEmail(t.Context(), change, by)
	if err != nil || got.Email != "new@example.com" {
		t.Fatalf("changed %+v, %v", got, err)
	}
	b.wantQueued(t, platform.MailEmailChanged, "ana@example.com")
	b.wantAudit(t, "user.email_change", u.ID)
	if got, _, err := b.store.UserByEmail(t.Context(), "new@example.com"); err != nil || got.ID != u.ID || !got.EmailVerified {
		t.Errorf("user %+v, %v", got, err)
	}
	// Whoever reads the old mailbox has nothing in hand.
	for name, err := range map[string]error{
		"reset":  second(b.store.ResetPassword(t.Context(), reset, "stolen", by)),
		"change": second(b.store.VerifyEmail(t.Context(), raced, by)),
	} {
		if platform.CodeOf(err) != platform.ErrNotFound {
			t.Errorf("%s by an old link: %v", name, err)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE before::text || after::text LIKE '%@%'`); n != 0 {
		t.Error("the audit log holds an address")
	}
}

func second[T any](_ T, err error) error { return err }

func TestResetOfThePassword(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	by := platform.AuditEntry{RequestID: "r1"}
	verify, _ := b.mail(t, platform.MailVerifyEmail, u.ID, u.Email)
	if _, err := b.store.ResetPassword(t.Context(), verify, "stolen", by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("by another kind of link: %v", err)
	}
	if _, err := b.store.AccountToken(t.Context(), verify); err != nil {
		t.Errorf("what was refused used up the link: %v", err)
	}
	change, _ := b.mail(t, platform.MailChangeEmail, u.ID, "thief@example.com")
	reset, _ := b.mail(t, platform.MailResetPassword, "", "ana@example.com")
	expired, _ := b.mail(t, platform.MailResetPassword, "", "ana@example.com")
	b.exec(t, `UPDATE gateway.account_tokens SET expires_at = now() WHERE token_hash = $1`, expired[:])
	if _, err := b.store.ResetPassword(t.Context(), expired, "late", by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("expired link: %v", err)
	}
	if at, err := b.store.AccountToken(t.Context(), reset); err != nil || at.Purpose != platform.MailResetPassword || at.User.ID != u.ID {
		t.Errorf("token %+v, %v", at, err)
	}
	// Twice at once: one of them is too late.
	errs := make(chan error, 2)
	for range 2 {
		go func() { errs <- second(b.store.ResetPassword(t.Context(), reset, "new hash", by)) }()
	}
	codes := []platform.ErrorCode{platform.CodeOf(<-errs), platform.CodeOf(<-errs)}
	slices.Sort(codes)
	if !slices.Equal(codes, []platform.ErrorCode{"", platform.ErrNotFound}) {
		t.Fatalf("twice at once: %q", codes)
	}
	if hash, err := b.store.PasswordHash(t.Context(), u.ID); err != nil || hash != "new hash" {
		t.Errorf("hash %q, %v", hash, err)
	}
	if got, _, _ := b.store.UserByEmail(t.Context(), u.Email); !got.EmailVerified {
		t.Error("the address is not verified")
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.sessions WHERE user_id = $1`, u.ID); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	if _, err := b.store.VerifyEmail(t.Context(), change, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("a change asked for before: %v", err)
	}
	b.wantQueued(t, platform.MailPasswordChanged, u.Email)
	b.wantAudit(t, "user.password_reset", u.ID)
}

func TestChangeOfThePassword(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com") // with a session, and the hash "hash"
	by := platform.AuditEntry{ActorID: u.ID, RequestID: "r1"}
	own, rotated := token(t), token(t)
	if err := b.store.CreateSession(t.Context(), u.ID, platform.SessionStart{TokenHash: own, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.ChangePassword(t.Context(), u.ID, "another", "new", own, rotated, by); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("changed meanwhile: %v", err)
	}
	if err := b.store.ChangePassword(t.Context(), u.ID, "hash", "new", token(t), rotated, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("without a session: %v", err)
	}
	if hash, _ := b.store.PasswordHash(t.Context(), u.ID); hash != "hash" {
		t.Fatalf("what was refused changed the password: %q", hash)
	}
	if err := b.store.ChangePassword(t.Context(), u.ID, "hash", "new", own, rotated, by); err != nil {
		t.Fatal(err)
	}
	all, err := b.store.ListSessions(t.Context(), u.ID)
	if err != nil || len(all) != 1 || all[0].TokenHash != rotated {
		t.Errorf("sessions %+v, %v", all, err)
	}
	b.wantQueued(t, platform.MailPasswordChanged, u.Email)
	b.wantAudit(t, "user.password_change", u.ID)
}

func TestSessionsAreListedRevokedAndRotated(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	other, _ := b.signUp(t, "ben@example.com")
	by := platform.AuditEntry{ActorID: u.ID, RequestID: "r1"}
	start := platform.SessionStart{TokenHash: token(t), ExpiresAt: time.Now().Add(platform.SessionLifetime), UserAgent: "Firefox", ClientAddr: "192.0.2.1"}
	if err := b.store.CreateSession(t.Context(), u.ID, start, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	ses, _, err := b.store.Session(t.Context(), start.TokenHash)
	if err != nil || ses.ID == "" || time.Since(ses.AuthenticatedAt) > time.Minute || time.Until(ses.ExpiresAt) > platform.SessionIdleTimeout {
		t.Fatalf("session %+v, %v", ses, err)
	}
	all, err := b.store.ListSessions(t.Context(), u.ID)
	if err != nil || len(all) != 2 || all[0].ID != ses.ID || all[0].UserAgent != "Firefox" || all[0].ClientAddr != "192.0.2.1" {
		t.Fatalf("sessions %+v, %v", all, err)
	}
	// Use is noted, but not each time.
	if err := b.store.SessionsSeen(t.Context(), [][32]byte{start.TokenHash}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := b.store.Session(t.Context(), start.TokenHash); !got.LastSeenAt.Equal(ses.LastSeenAt) {
		t.Error("noted within five minutes")
	}
	b.exec(t, `UPDATE gateway.sessions SET last_seen_at = now() - interval '13 days' WHERE id = $1`, ses.ID)
	if err := b.store.SessionsSeen(t.Context(), [][32]byte{start.TokenHash}); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := b.store.Session(t.Context(), start.TokenHash); got.LastSeenAt.Before(ses.LastSeenAt) {
		t.Error("use was not noted")
	}
	// Rotation proves and renews.
	b.exec(t, `UPDATE gateway.sessions SET authenticated_at = now() - interval '1 day' WHERE id = $1`, ses.ID)
	rotated := token(t)
	if err := b.store.Reauthenticated(t.Context(), other.ID, start.TokenHash, rotated, platform.LogInByPassword, platform.AuditEntry{}); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("somebody else's session: %v", err)
	}
	if err := b.store.Reauthenticated(t.Context(), u.ID, start.TokenHash, rotated, platform.LogInByPassword, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.Session(t.Context(), start.TokenHash); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("the old token: %v", err)
	}
	if got, _, err := b.store.Session(t.Context(), rotated); err != nil || got.ID != ses.ID || time.Since(got.AuthenticatedAt) > time.Minute {
		t.Errorf("the new token: %+v, %v", got, err)
	}
	// Revoking.
	if _, err := b.store.EndSession(t.Context(), other.ID, ses.ID, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("somebody else's session: %v", err)
	}
	if ended, err := b.store.EndOtherSessions(t.Context(), u.ID, rotated, by); err != nil || len(ended) != 1 {
		t.Errorf("others %v, %v", ended, err)
	}
	b.wantAudit(t, "session.revoke", u.ID)
	if ended, err := b.store.EndOtherSessions(t.Context(), u.ID, rotated, by); err != nil || len(ended) != 0 {
		t.Errorf("no others %v, %v", ended, err)
	}
	b.wantAudit(t, "session.revoke", u.ID) // none more for nothing
	if ended, err := b.store.EndSession(t.Context(), u.ID, ses.ID, by); err != nil || ended != rotated {
		t.Errorf("own %v, %v", ended, err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.sessions WHERE user_id = $1`, other.ID); n != 1 {
		t.Error("somebody else's session ended")
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	h := token(t)
	if err := b.store.CreateSession(t.Context(), u.ID, platform.SessionStart{TokenHash: h, ExpiresAt: time.Now().Add(platform.SessionLifetime)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE gateway.sessions SET last_seen_at = now() - interval '14 days' - interval '1 s' WHERE token_hash = $1`, h[:])
	if _, _, err := b.store.Session(t.Context(), h); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("idle session: %v", err)
	}
	if served, err := b.store.SessionsServed(t.Context(), [][32]byte{h}); err != nil || len(served) != 0 {
		t.Errorf("served %v, %v", served, err)
	}
	if n, err := b.store.DeleteExpiredSessions(t.Context()); err != nil || n != 1 {
		t.Errorf("deleted %d, %v", n, err)
	}
}
