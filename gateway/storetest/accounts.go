package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func testClaims(t *testing.T, b *bench) {
	ctx := t.Context()
	b.AddSlice(platform.SliceProvisioning)
	warm := b.AddSlice(platform.SliceWarm)
	ana := b.signUp(t, "ana@example.com")
	if ana.slice.Number != warm || ana.slice.State != platform.SliceAssigned || ana.slice.UserID != ana.ID || ana.Role != platform.RoleUser || ana.EmailVerified {
		t.Errorf("ana: %+v", ana)
	}
	ben, zoe := b.signUp(t, "ben@example.com"), b.signUp(t, "zoe@example.com")
	if ben.slice.Number != 0 || zoe.slice.Number != 0 {
		t.Errorf("slices of those who wait: %+v %+v", ben.slice, zoe.slice)
	}
	h := newHash()
	_, _, err := b.SignUp(ctx, "ben@example.com", "x", start(h), by(""))
	wantCode(t, "taken", err, platform.ErrConflict)
	b.wantSession(t, h, false)
	if _, hash, err := b.UserByEmail(ctx, "ben@example.com"); err != nil || hash != "hash of ben@example.com" {
		t.Errorf("hash %q, %v", hash, err)
	}
	_, _, err = b.UserByEmail(ctx, "nobody@example.com")
	wantCode(t, "nobody", err, platform.ErrNotFound)

	position := func(p person, want int) {
		t.Helper()
		got, err := b.QueuePosition(ctx, p.ID)
		if want == 0 {
			wantCode(t, "position", err, platform.ErrNotFound)
		} else if err != nil || got.Position != want {
			t.Errorf("position %+v, %v; want %d", got, err, want)
		}
	}
	position(ana, 0)
	position(ben, 1)
	position(zoe, 2)
	if n, err := b.ServeQueue(ctx); err != nil || n != 0 {
		t.Errorf("served %d, %v; there is nothing to serve", n, err)
	}
	second := b.AddSlice(platform.SliceWarm)
	if late := b.signUp(t, "late@example.com"); late.slice.Number != 0 {
		t.Errorf("late overtook the queue: %+v", late.slice)
	}
	if n, err := b.ServeQueue(ctx); err != nil || n != 1 {
		t.Errorf("served %d, %v; want 1", n, err)
	}
	position(ben, 0)
	position(zoe, 1)
	if all, err := b.QueuePositions(ctx); err != nil || len(all) != 2 || all[zoe.ID].Position != 1 {
		t.Errorf("positions %v, %v", all, err)
	}
	if ses, sl, err := b.Session(ctx, ben.session); err != nil || ses.User.Email != "ben@example.com" || sl.Number != second || sl.State != platform.SliceAssigned {
		t.Errorf("ben's session: %+v %+v, %v", ses, sl, err)
	}
	queued, count, err := b.Pool(ctx)
	if err != nil || queued != 2 || count[platform.SliceAssigned] != 2 || count[platform.SliceProvisioning] != 1 || count[platform.SliceWarm] != 0 {
		t.Errorf("pool: %d queued, %v, %v", queued, count, err)
	}
	if h, err := b.ClaimHistory(ctx, time.Now().Add(-time.Hour)); err != nil || h.Claims != 2 || h.Hits != 1 {
		t.Errorf("claims %+v, %v", h, err)
	}
	b.wantAudit(t, "user", ben.ID, "user.create")
}

// Whoever gave another's address has no way back in once its owner reset the
// password.
func testSomebodyElses(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	reset := func() {
		t.Helper()
		must(t, b.QueueMail(ctx, platform.MailResetPassword, "", ana.Email))
		_, err := b.ResetPassword(ctx, b.mailedToken(t, platform.MailResetPassword), "new", by(""))
		must(t, err)
	}
	enable := func(session [32]byte) {
		t.Helper()
		must(t, b.OfferSecondFactor(ctx, ana.ID, []byte("s")))
		must(t, b.EnableSecondFactor(ctx, ana.ID, session, []byte("s"), 1, [][32]byte{{1}}, by(ana.ID)))
		_, err := b.PasskeyHandle(ctx, ana.ID)
		must(t, err)
		_, err = b.CreatePasskey(ctx, ana.ID, session, platform.Passkey{CredentialID: session[:], PublicKey: []byte{1}, Transports: []string{}, Name: "x"}, by(ana.ID))
		must(t, err)
	}
	want := func(secret string, codes, passkeys int) {
		t.Helper()
		if f, err := b.SecondFactor(ctx, ana.ID); err != nil || string(f.Secret) != secret || f.RecoveryCodes != codes || f.Passkeys != passkeys {
			t.Errorf("factor %+v, %v", f, err)
		}
	}
	enable(ana.session)
	reset()
	want("", 0, 0)
	b.mail(t, platform.MailPasskeyRemoved)
	own := newHash()
	must(t, b.CreateSession(ctx, ana.ID, start(own), by(ana.ID)))
	enable(own)
	keys, err := b.ListPasskeys(ctx, ana.ID)
	if err != nil || len(keys) != 1 {
		t.Fatalf("passkeys %v, %v", keys, err)
	}
	byPasskey := start(newHash())
	byPasskey.Passkey = keys[0].ID
	must(t, b.CreateSession(ctx, ana.ID, byPasskey, by(ana.ID)))
	reset() // the mailbox is proved by now, and is no second factor
	want("s", 1, 1)
	b.wantAudit(t, "user", ana.ID, "user.create", "user.second_factor_enable", "passkey.create", "user.second_factor_reset", "user.password_reset",
		"session.create", "user.second_factor_enable", "passkey.create", "session.create", "user.password_reset")

	admin := b.firstAdmin(t) // whose address the operator gave
	must(t, b.OfferSecondFactor(ctx, admin.ID, []byte("s")))
	must(t, b.EnableSecondFactor(ctx, admin.ID, admin.session, []byte("s"), 1, nil, by(admin.ID)))
	must(t, b.QueueMail(ctx, platform.MailResetPassword, "", admin.Email))
	_, err = b.ResetPassword(ctx, b.mailedToken(t, platform.MailResetPassword), "new", by(""))
	must(t, err)
	if f, err := b.SecondFactor(ctx, admin.ID); err != nil || f.Secret == nil {
		t.Errorf("an admin's factor %+v, %v", f, err)
	}
}

func testSignUpByMail(t *testing.T, b *bench) {
	ctx := t.Context()
	ask := func(email string, hasAccount bool) [32]byte {
		t.Helper()
		must(t, b.QueueMail(ctx, platform.MailSignUp, "", email))
		m, h := b.mail(t, platform.MailSignUp), newHash()
		if m.Recipient != email || m.HasAccount != hasAccount {
			t.Errorf("mail %+v, want account %v", m, hasAccount)
		}
		must(t, b.AddMailToken(ctx, m.ID, h, time.Now().Add(time.Hour)))
		must(t, b.MailSent(ctx, m.ID))
		return h
	}
	check := func(email string, delivered, wantMail, wantTaken bool) {
		t.Helper()
		if byMail, taken, err := b.SignUpCheck(ctx, email, delivered); err != nil || byMail != wantMail || taken != wantTaken {
			t.Errorf("%s: by mail %v, taken %v, %v", email, byMail, taken, err)
		}
	}
	b.AddSlice(platform.SliceWarm)
	b.signUp(t, "taken@example.com")
	must(t, b.MailSent(ctx, b.mail(t, platform.MailVerifyEmail).ID))
	set := func(byMail *bool) {
		t.Helper()
		_, err := b.UpdateSettings(ctx, func(s *platform.Settings) error { s.SignUpByMail = byMail; return nil }, of("", "settings.change", "settings", "platform"))
		must(t, err)
		if s, err := b.Settings(ctx); err != nil || !reflect.DeepEqual(s.SignUpByMail, byMail) {
			t.Errorf("settings %+v, %v", s, err)
		}
	}
	yes, no := true, false
	for _, delivered := range []bool{true, false} {
		check("ana@example.com", delivered, delivered, false)
		check("taken@example.com", delivered, delivered, !delivered)
	}
	set(&no)
	check("taken@example.com", true, false, true)
	set(nil)
	check("taken@example.com", true, true, false)
	set(&yes)
	token, other := ask("ana@example.com", false), ask("ana@example.com", false)
	ben := ask("ben@example.com", false)
	if email, err := b.SignUpToken(ctx, token); err != nil || email != "ana@example.com" {
		t.Errorf("token of %q, %v", email, err)
	}
	check("ana@example.com", false, true, false)
	check("taken@example.com", false, true, false)
	_, err := b.AccountToken(ctx, token)
	wantCode(t, "a token to sign up, as an account's", err, platform.ErrNotFound)
	_, err = b.VerifyEmail(ctx, token, by(""))
	wantCode(t, "verified with a token to sign up", err, platform.ErrNotFound)
	_, err = b.ResetPassword(ctx, token, "x", by(""))
	wantCode(t, "reset with a token to sign up", err, platform.ErrNotFound)

	number, session := b.AddSlice(platform.SliceWarm), newHash()
	u, sl, err := b.SignUpByMail(ctx, token, "hash", start(session), by(""))
	if err != nil || u.Email != "ana@example.com" || !u.EmailVerified || u.ID == "" || sl.Number != number || sl.UserID != u.ID {
		t.Fatalf("signed up: %+v, %+v, %v", u, sl, err)
	}
	b.wantSession(t, session, true)
	known, hash, err := b.UserByEmail(ctx, "ana@example.com")
	if err != nil || !known.EmailVerified || hash != "hash" {
		t.Errorf("%+v, %q, %v", known, hash, err)
	}
	b.wantAudit(t, "user", u.ID, "user.create")
	if due, err := b.DueMails(ctx, 10, time.Hour); err != nil || len(due) > 0 {
		t.Errorf("mails %v, %v; the address is verified", due, err)
	}
	for what, h := range map[string][32]byte{"a token a second time": token, "a token of an address with an account": other, "no token": newHash()} {
		_, _, err := b.SignUpByMail(ctx, h, "hash", start(newHash()), by(""))
		wantCode(t, what, err, platform.ErrNotFound)
	}
	ask("ana@example.com", true)

	if u, sl, err := b.SignUpByMail(ctx, ben, "hash", start(newHash()), by("")); err != nil || u.Email != "ben@example.com" || sl.Number != 0 {
		t.Errorf("signed up with no slice left: %+v, %+v, %v", u, sl, err)
	}
	b.signUp(t, "verify@example.com")
	verify := b.mailedToken(t, platform.MailVerifyEmail)
	_, err = b.SignUpToken(ctx, verify)
	wantCode(t, "a token to verify, as one to sign up", err, platform.ErrNotFound)
	_, _, err = b.SignUpByMail(ctx, verify, "hash", start(newHash()), by(""))
	wantCode(t, "signed up with a token to verify", err, platform.ErrNotFound)
}

func testPasswords(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	other, rotated := newHash(), newHash()
	must(t, b.CreateSession(ctx, ana.ID, start(other), by(ana.ID)))
	before := "hash of ana@example.com"
	wantCode(t, "another password", b.ChangePassword(ctx, ana.ID, "x", "y", ana.session, rotated, by(ana.ID)), platform.ErrConflict)
	wantCode(t, "a session that ended", b.ChangePassword(ctx, ana.ID, before, "y", newHash(), rotated, by(ana.ID)), platform.ErrNotFound)
	if hash, err := b.PasswordHash(ctx, ana.ID); err != nil || hash != before {
		t.Errorf("hash %q, %v", hash, err)
	}
	must(t, b.ChangePassword(ctx, ana.ID, before, "after", ana.session, rotated, by(ana.ID)))
	if hash, err := b.PasswordHash(ctx, ana.ID); err != nil || hash != "after" {
		t.Errorf("hash %q, %v", hash, err)
	}
	b.wantSession(t, ana.session, false)
	b.wantSession(t, other, false)
	b.wantSession(t, rotated, true)
	_, err := b.PasswordHash(ctx, nobody)
	wantCode(t, "nobody", err, platform.ErrNotFound)
	b.mail(t, platform.MailPasswordChanged)
	b.wantAudit(t, "user", ana.ID, "user.create", "session.create", "user.password_change")
}

func testSecondFactor(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	want := func(secret, pending string, codes int) {
		t.Helper()
		if f, err := b.SecondFactor(ctx, ana.ID); err != nil || string(f.Secret) != secret || string(f.Pending) != pending || f.RecoveryCodes != codes || f.Passkeys != 0 {
			t.Errorf("factor %+v, %v; want %q, %q, %d codes", f, err, secret, pending, codes)
		}
	}
	want("", "", 0)
	wantCode(t, "disable nothing", b.DisableSecondFactor(ctx, ana.ID, ana.session, by(ana.ID)), platform.ErrNotFound)
	wantCode(t, "codes of nothing", b.ReplaceRecoveryCodes(ctx, ana.ID, ana.session, [][32]byte{{1}}, by(ana.ID)), platform.ErrNotFound)
	wantCode(t, "reset nothing", b.ResetSecondFactors(ctx, ana.ID, of("", "user.second_factor_reset", "user", ana.ID)), platform.ErrNotFound)
	must(t, b.OfferSecondFactor(ctx, ana.ID, []byte("one")))
	must(t, b.OfferSecondFactor(ctx, ana.ID, []byte("two")))
	want("", "two", 0)
	wantCode(t, "an old offer", b.EnableSecondFactor(ctx, ana.ID, ana.session, []byte("one"), 7, nil, by(ana.ID)), platform.ErrConflict)
	must(t, b.EnableSecondFactor(ctx, ana.ID, ana.session, []byte("two"), 7, [][32]byte{{1}, {2}, {3}}, by(ana.ID)))
	want("two", "", 3)
	wantCode(t, "offered in force", b.OfferSecondFactor(ctx, ana.ID, []byte("three")), platform.ErrConflict)

	for _, c := range []struct {
		step int64
		good bool
	}{{7, false}, {6, false}, {8, true}, {8, false}, {10, true}, {9, false}} {
		if good, err := b.UseCodeStep(ctx, ana.ID, c.step); err != nil || good != c.good {
			t.Errorf("step %d: %v, %v", c.step, good, err)
		}
	}
	for _, c := range []struct {
		code byte
		good bool
	}{{2, true}, {2, false}, {9, false}} {
		if good, err := b.UseRecoveryCode(ctx, ana.ID, [32]byte{c.code}, by(ana.ID)); err != nil || good != c.good {
			t.Errorf("code %d: %v, %v", c.code, good, err)
		}
	}
	want("two", "", 2)
	must(t, b.ReplaceRecoveryCodes(ctx, ana.ID, ana.session, [][32]byte{{4}}, by(ana.ID)))
	if good, err := b.UseRecoveryCode(ctx, ana.ID, [32]byte{1}, by(ana.ID)); err != nil || good {
		t.Errorf("a replaced code: %v, %v", good, err)
	}
	want("two", "", 1)
	must(t, b.DisableSecondFactor(ctx, ana.ID, ana.session, by(ana.ID)))
	want("", "", 0)
	must(t, b.OfferSecondFactor(ctx, ana.ID, []byte("four")))
	must(t, b.EnableSecondFactor(ctx, ana.ID, ana.session, []byte("four"), 1, nil, by(ana.ID)))
	must(t, b.ResetSecondFactors(ctx, ana.ID, of("", "user.second_factor_reset", "user", ana.ID)))
	want("", "", 0)
	b.wantAudit(t, "user", ana.ID, "user.create", "user.second_factor_enable", "user.recovery_code_use", "user.recovery_codes_replace",
		"user.second_factor_disable", "user.second_factor_enable", "user.second_factor_reset")
}

func testAPITokens(t *testing.T, b *bench) {
	ctx := t.Context()
	number := b.AddSlice(platform.SliceWarm)
	ana, ben := b.signUp(t, "ana@example.com"), b.signUp(t, "ben@example.com")
	token := platform.APIToken{TokenHash: newHash(), Name: "import", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}
	made, err := b.CreateAPIToken(ctx, ana.ID, ana.session, token, by(ana.ID))
	if err != nil || made.ID == "" || made.CreatedAt.IsZero() {
		t.Fatalf("made %+v, %v", made, err)
	}
	expired := platform.APIToken{TokenHash: newHash(), Name: "old", Scope: platform.ScopeFull, ExpiresAt: time.Now().Add(-time.Second)}
	_, err = b.CreateAPIToken(ctx, ana.ID, ana.session, expired, by(ana.ID))
	must(t, err)
	if all, err := b.ListAPITokens(ctx, ana.ID); err != nil || len(all) != 1 || all[0].ID != made.ID || all[0].Name != "import" || all[0].Scope != platform.ScopeRead || !all[0].LastUsedAt.IsZero() {
		t.Errorf("tokens %+v, %v", all, err)
	}
	ses, sl, err := b.APITokenSession(ctx, token.TokenHash)
	if err != nil || ses.User.ID != ana.ID || ses.Scope != platform.ScopeRead || sl.Number != number {
		t.Errorf("session %+v %+v, %v", ses, sl, err)
	}
	wantMany(t, b.APITokenSessions, b.APITokenSession, [][32]byte{token.TokenHash}, [][32]byte{expired.TokenHash, ana.session, newHash()})
	_, _, err = b.APITokenSession(ctx, expired.TokenHash)
	wantCode(t, "expired", err, platform.ErrNotFound)
	_, _, err = b.APITokenSession(ctx, ana.session)
	wantCode(t, "a session's token", err, platform.ErrNotFound)
	b.wantSession(t, token.TokenHash, false)
	for i := range platform.MaxAPITokens {
		_, err = b.CreateAPIToken(ctx, ben.ID, ben.session, platform.APIToken{TokenHash: newHash(), Name: fmt.Sprint(i), Scope: platform.ScopeFull, ExpiresAt: time.Now().Add(time.Hour)}, by(ben.ID))
		must(t, err)
	}
	_, err = b.CreateAPIToken(ctx, ben.ID, ben.session, platform.APIToken{TokenHash: newHash(), Name: "more", Scope: platform.ScopeFull, ExpiresAt: time.Now().Add(time.Hour)}, by(ben.ID))
	wantCode(t, "too many", err, platform.ErrConflict)
	_, err = b.DeleteAPIToken(ctx, ben.ID, made.ID, by(ben.ID))
	wantCode(t, "another's token", err, platform.ErrNotFound)
	if hash, err := b.DeleteAPIToken(ctx, ana.ID, made.ID, by(ana.ID)); err != nil || hash != token.TokenHash {
		t.Errorf("deleted %x, %v", hash, err)
	}
	_, _, err = b.APITokenSession(ctx, token.TokenHash)
	wantCode(t, "deleted", err, platform.ErrNotFound)
	b.wantAudit(t, "user", ana.ID, "user.create", "api_token.create", "api_token.create", "api_token.delete")
}

func testLeaving(t *testing.T, b *bench) {
	ctx := t.Context()
	number := b.AddSlice(platform.SliceWarm)
	ana := b.signUp(t, "ana@example.com")
	other := newHash()
	must(t, b.CreateSession(ctx, ana.ID, start(other), by(ana.ID)))
	wantCode(t, "cancel nothing", b.CancelDeletion(ctx, ana.ID, by(ana.ID)), platform.ErrConflict)
	at, ended, err := b.ScheduleDeletion(ctx, ana.ID, ana.session, by(ana.ID))
	if err != nil || len(ended) != 1 || ended[0] != other || at.Before(time.Now().Add(23*time.Hour)) {
		t.Errorf("at %s, ended %d, %v", at, len(ended), err)
	}
	_, _, err = b.ScheduleDeletion(ctx, ana.ID, ana.session, by(ana.ID))
	wantCode(t, "twice", err, platform.ErrConflict)
	if ses, _, err := b.Session(ctx, ana.session); err != nil || !ses.User.DeletionAt.Equal(at) {
		t.Errorf("session %+v, %v", ses.User, err)
	}
	b.mail(t, platform.MailDeletionRequested)
	if gone, err := b.DeleteDueUsers(ctx); err != nil || len(gone) != 0 {
		t.Errorf("deleted %v, %v: it is not time", gone, err)
	}
	must(t, b.CancelDeletion(ctx, ana.ID, by(ana.ID)))
	b.mail(t, platform.MailDeletionCancelled)
	h, err := b.AccountHistory(ctx, ana.ID)
	if err != nil || !h.DeletionRequestedAt.IsZero() || len(h.Slices) != 1 || h.Slices[0].Number != number || !h.Slices[0].Current || len(h.Mails) < 3 {
		t.Errorf("history %+v, %v", h, err)
	}
	_, err = b.AccountHistory(ctx, nobody)
	wantCode(t, "nobody's history", err, platform.ErrNotFound)
	admin := b.firstAdmin(t)
	_, _, err = b.ScheduleDeletion(ctx, admin.ID, admin.session, by(admin.ID))
	wantCode(t, "the last admin", err, platform.ErrConflict)
	b.wantAudit(t, "user", ana.ID, "user.create", "session.create", "user.deletion_request", "user.deletion_cancel")
}
