package storetest

import (
	"testing"
	"time"

	"ipnoelp.io/platform"
)

// A change of address whose mail is not out yet ends with the rest.
func testChangesOnTheirWay(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	for what, end := range map[string]func(){
		"password": func() {
			rotated := newHash()
			hash, err := b.PasswordHash(ctx, ana.ID)
			must(t, err)
			must(t, b.ChangePassword(ctx, ana.ID, hash, hash+"x", ana.session, rotated, by(ana.ID)))
			ana.session = rotated
		},
		"deletion": func() {
			_, _, err := b.ScheduleDeletion(ctx, ana.ID, ana.session, by(ana.ID))
			must(t, err)
			must(t, b.CancelDeletion(ctx, ana.ID, by(ana.ID)))
		},
		"reset": func() {
			must(t, b.QueueMail(ctx, platform.MailResetPassword, "", ana.Email))
			_, err := b.ResetPassword(ctx, b.mailedToken(t, platform.MailResetPassword), "new", by(""))
			must(t, err)
			ana.session = newHash()
			must(t, b.CreateSession(ctx, ana.ID, start(ana.session), by(ana.ID)))
		},
	} {
		must(t, b.QueueEmailChange(ctx, ana.ID, ana.session, what+"@example.net"))
		m := b.mail(t, platform.MailChangeEmail) // it is being sent
		end()
		wantCode(t, what, b.AddMailToken(ctx, m.ID, newHash(), time.Now().Add(time.Hour)), platform.ErrNotFound)
	}
	must(t, b.QueueEmailChange(ctx, ana.ID, ana.session, "ana@example.net"))
	change := b.mailedToken(t, platform.MailChangeEmail)
	must(t, b.QueueMail(ctx, platform.MailSignUp, "", ana.Email))
	must(t, b.QueueMail(ctx, platform.MailSignUp, "", "nobody@example.com"))
	signUps := func(changed string) (n int) {
		t.Helper()
		h, err := b.AccountHistory(ctx, ana.ID)
		must(t, err)
		for _, m := range h.Mails {
			switch {
			case m.Kind == platform.MailChangeEmail: // what became of it would tell whether there is an account
				t.Errorf("%s: the history tells of a change of address", changed)
			case m.Kind == platform.MailSignUp && m.Recipient == ana.Email:
				n++
			case m.Kind == platform.MailSignUp:
				t.Errorf("%s: another's mail to %s", changed, m.Recipient)
			}
		}
		return n
	}
	if n := signUps("before"); n != 1 {
		t.Errorf("%d mails to sign up in the history, want 1", n)
	}
	_, err := b.VerifyEmail(ctx, change, by(""))
	must(t, err)
	if n := signUps("after"); n != 0 {
		t.Errorf("%d mails to the address of before in the history", n)
	}
	must(t, b.QueueEmailChange(ctx, ana.ID, ana.session, "ana@example.com"))
	_, err = b.VerifyEmail(ctx, b.mailedToken(t, platform.MailChangeEmail), by(""))
	must(t, err)
	if n := signUps("back"); n != 0 {
		t.Errorf("%d mails in the history to an address that was somebody else's meanwhile, for all we know", n)
	}

	// Who goes from address to address makes us send no more to any.
	b.AgeMails(61 * time.Minute)
	for range platform.MailsPerHour {
		if !b.sent(t, platform.MailResetPassword, "", "ana@example.com") {
			t.Error("not sent")
		}
	}
	must(t, b.QueueEmailChange(ctx, ana.ID, ana.session, "third@example.com"))
	_, err = b.VerifyEmail(ctx, b.mailedToken(t, platform.MailChangeEmail), by(""))
	must(t, err)
	b.signUp(t, "ana@example.com")
	if b.sent(t, platform.MailResetPassword, "", "ana@example.com") {
		t.Error("a fourth reset within the hour is sent to an address that was left meanwhile")
	}
}

func testMailedTokens(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	verify := b.mailedToken(t, platform.MailVerifyEmail)
	if got, err := b.AccountToken(ctx, verify); err != nil || got.Purpose != platform.MailVerifyEmail || got.Email != ana.Email || got.User.ID != ana.ID {
		t.Errorf("token: %+v, %v", got, err)
	}
	_, err := b.AccountToken(ctx, newHash())
	wantCode(t, "no token", err, platform.ErrNotFound)
	_, err = b.ResetPassword(ctx, verify, "x", by(""))
	wantCode(t, "a token for something else", err, platform.ErrNotFound)
	if u, err := b.VerifyEmail(ctx, verify, by("")); err != nil || !u.EmailVerified {
		t.Errorf("verified: %+v, %v", u, err)
	}
	_, err = b.VerifyEmail(ctx, verify, by(""))
	wantCode(t, "a second time", err, platform.ErrNotFound)

	must(t, b.QueueMail(ctx, platform.MailChangeEmail, ana.ID, "taken@example.com"))
	taken := b.mailedToken(t, platform.MailChangeEmail)
	b.signUp(t, "taken@example.com")
	_, err = b.VerifyEmail(ctx, taken, by(""))
	wantCode(t, "an address that is taken by now", err, platform.ErrConflict)
	must(t, b.QueueMail(ctx, platform.MailChangeEmail, ana.ID, "taken@example.com"))
	wantCode(t, "a mail to an address that is taken", b.AddMailToken(ctx, b.mail(t, platform.MailChangeEmail).ID, newHash(), time.Now().Add(time.Hour)), platform.ErrNotFound)
	must(t, b.QueueMail(ctx, platform.MailChangeEmail, ana.ID, "ana@example.net"))
	expired := newHash()
	must(t, b.AddMailToken(ctx, b.mail(t, platform.MailChangeEmail).ID, expired, time.Now().Add(-time.Second)))
	_, err = b.VerifyEmail(ctx, expired, by(""))
	wantCode(t, "a token that expired", err, platform.ErrNotFound)
	must(t, b.QueueMail(ctx, platform.MailChangeEmail, ana.ID, "ana@example.net"))
	change := b.mailedToken(t, platform.MailChangeEmail)
	if u, err := b.VerifyEmail(ctx, change, by("")); err != nil || u.Email != "ana@example.net" || !u.EmailVerified {
		t.Errorf("changed: %+v, %v", u, err)
	}
	if m := b.mail(t, platform.MailEmailChanged); m.Recipient != "ana@example.com" {
		t.Errorf("told %s", m.Recipient)
	}

	must(t, b.QueueMail(ctx, platform.MailResetPassword, "", "ana@example.net"))
	reset := b.mailedToken(t, platform.MailResetPassword)
	if u, err := b.ResetPassword(ctx, reset, "new hash", by("")); err != nil || u.ID != ana.ID {
		t.Errorf("reset: %+v, %v", u, err)
	}
	_, err = b.ResetPassword(ctx, reset, "newer hash", by(""))
	wantCode(t, "reset twice", err, platform.ErrNotFound)
	if hash, err := b.PasswordHash(ctx, ana.ID); err != nil || hash != "new hash" {
		t.Errorf("hash %q, %v", hash, err)
	}
	b.wantSession(t, ana.session, false)
	if m := b.mail(t, platform.MailPasswordChanged); m.Recipient != "ana@example.net" {
		t.Errorf("told %s", m.Recipient)
	}

	must(t, b.QueueMail(ctx, platform.MailResetPassword, "", "nobody@example.com"))
	wantCode(t, "a mail to nobody", b.AddMailToken(ctx, b.mail(t, platform.MailResetPassword).ID, newHash(), time.Now().Add(time.Hour)), platform.ErrNotFound)
	b.wantAudit(t, "user", ana.ID, "user.create", "user.email_verify", "user.email_change", "user.password_reset")
}

// sent queues a mail, and sends it if it has a point.
func (b *bench) sent(t *testing.T, kind platform.MailKind, userID, to string) bool {
	t.Helper()
	must(t, b.QueueMail(t.Context(), kind, userID, to))
	m := b.mail(t, kind)
	if m.Recipient != to {
		t.Fatalf("a mail to %s is due, want %s", m.Recipient, to)
	}
	err := b.AddMailToken(t.Context(), m.ID, newHash(), time.Now().Add(time.Hour))
	if platform.CodeOf(err) == platform.ErrNotFound {
		must(t, b.DropMail(t.Context(), m.ID))
		return false
	}
	must(t, err)
	must(t, b.MailSent(t.Context(), m.ID))
	return true
}

func testMailsWithoutAPoint(t *testing.T, b *bench) {
	b.signUp(t, "taken@example.com")
	u := b.signUp(t, "ana@example.com")
	for _, c := range []struct {
		name       string
		kind       platform.MailKind
		userID, to string
		want       bool
	}{
		{"verification", platform.MailVerifyEmail, u.ID, "ana@example.com", true},
		{"verification of an old address", platform.MailVerifyEmail, u.ID, "former@example.com", false},
		{"reset", platform.MailResetPassword, "", "ana@example.com", true},
		{"reset of nobody's password", platform.MailResetPassword, "", "nobody@example.com", false},
		{"change", platform.MailChangeEmail, u.ID, "new@example.com", true},
		{"change to a taken address", platform.MailChangeEmail, u.ID, "taken@example.com", false},
		{"second reset", platform.MailResetPassword, "", "ana@example.com", true},
		{"third reset", platform.MailResetPassword, "", "ana@example.com", true},
		{"fourth reset within the hour", platform.MailResetPassword, "", "ana@example.com", false},
		{"another kind", platform.MailVerifyEmail, u.ID, "ana@example.com", true},
		{"reset for another", platform.MailResetPassword, "", "taken@example.com", true},
	} {
		if got := b.sent(t, c.kind, c.userID, c.to); got != c.want {
			t.Errorf("%s: sent %v", c.name, got)
		}
	}
	b.AgeMails(61 * time.Minute)
	if !b.sent(t, platform.MailResetPassword, "", "ana@example.com") {
		t.Error("a reset an hour later is not sent")
	}
}

// People who have no account may be written to as well: not without end.
func testMailsToSignUp(t *testing.T, b *bench) {
	b.signUp(t, "taken@example.com")
	for _, to := range []string{"ana@example.com", "taken@example.com"} {
		sent := 0
		for range 4 { // hours
			for range platform.MailsPerHour {
				if b.sent(t, platform.MailSignUp, "", to) {
					sent++
				}
			}
			b.AgeMails(61 * time.Minute)
		}
		if sent != platform.SignUpMailsPerDay {
			t.Errorf("%d mails to %s within a day", sent, to)
		}
		b.AgeMails(24 * time.Hour)
		if !b.sent(t, platform.MailSignUp, "", to) {
			t.Errorf("no mail to %s a day later", to)
		}
	}
}
