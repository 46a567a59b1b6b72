package storetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func testSessions(t *testing.T, b *bench) {
	ctx := t.Context()
	number := b.AddSlice(platform.SliceWarm)
	ana, ben := b.signUp(t, "ana@example.com"), b.signUp(t, "ben@example.com")
	second, third := newHash(), newHash()
	must(t, b.CreateSession(ctx, ana.ID, start(second), by(ana.ID)))
	must(t, b.CreateSession(ctx, ana.ID, start(third), by(ana.ID)))
	all, err := b.ListSessions(ctx, ana.ID)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d sessions, %v", len(all), err)
	}
	var id string
	for _, ses := range all {
		if ses.ID == "" || ses.UserAgent != "Firefox" || ses.ClientAddr != "192.0.2.1" || ses.CreatedAt.IsZero() || ses.AuthenticatedAt.IsZero() || ses.ImpersonatorID != "" {
			t.Errorf("session %+v", ses)
		}
		if ses.TokenHash == second {
			id = ses.ID
		}
	}
	_, err = b.EndSession(ctx, ben.ID, id, by(ben.ID))
	wantCode(t, "another's session", err, platform.ErrNotFound)
	if ended, err := b.EndSession(ctx, ana.ID, id, by(ana.ID)); err != nil || ended != second {
		t.Errorf("ended %x, %v", ended, err)
	}
	b.wantSession(t, second, false)

	rotated := newHash()
	before, _, err := b.Session(ctx, third)
	must(t, err)
	must(t, b.Reauthenticated(ctx, ana.ID, third, rotated, platform.LogInByPassword, by(ana.ID)))
	b.wantSession(t, third, false)
	wantCode(t, "a token that was changed", b.Reauthenticated(ctx, ana.ID, third, newHash(), platform.LogInByPassword, by(ana.ID)), platform.ErrNotFound)
	if ended, err := b.EndOtherSessions(ctx, ana.ID, rotated, by(ana.ID)); err != nil || len(ended) != 1 || ended[0] != ana.session {
		t.Errorf("ended %d, %v", len(ended), err)
	}
	if after, _, err := b.Session(ctx, rotated); err != nil || after.ID != before.ID || !after.ExpiresAt.Equal(before.ExpiresAt) || after.AuthenticatedAt.Before(before.AuthenticatedAt) {
		t.Errorf("rotated: %+v, %v; before %+v", after, err, before)
	}
	b.wantSession(t, ben.session, true)

	expired := start(newHash())
	expired.ExpiresAt = time.Now().Add(-time.Second)
	must(t, b.CreateSession(ctx, ben.ID, expired, by(ben.ID)))
	b.wantSession(t, expired.TokenHash, false)
	served, err := b.SessionsServed(ctx, [][32]byte{rotated, ben.session, expired.TokenHash, third, newHash()})
	if bens, valid := served[ben.session]; err != nil || len(served) != 2 || !served[rotated] || !valid || bens { // who waits has no slice
		t.Errorf("served %v, %v", served, err)
	}
	wantMany(t, b.Sessions, b.Session, [][32]byte{rotated, ben.session}, [][32]byte{expired.TokenHash, third, newHash()})
	must(t, b.DeleteSession(ctx, rotated, by("")))
	if seen, err := b.LastSeen(ctx, []string{ana.ID}); err != nil || len(seen) != 1 || seen[ana.ID].IsZero() { // without a session too
		t.Errorf("seen %v, %v", seen, err)
	}
	must(t, b.DeleteSession(ctx, rotated, by("")))
	b.wantSession(t, rotated, false)
	if _, sl, err := b.Session(ctx, rotated); err == nil || sl.Number != 0 || ana.slice.Number != number {
		t.Errorf("slice %+v, %v", sl, err)
	}
	b.wantAudit(t, "user", ana.ID, "user.create", "session.create", "session.create", "session.revoke", "session.reauthenticate", "session.revoke", "session.delete")
}

// wantMany holds a read of many sessions against a read of each.
func wantMany(t *testing.T, many func(context.Context, [][32]byte, func(platform.Session, platform.Slice)) error,
	one func(context.Context, [32]byte) (platform.Session, platform.Slice, error), valid, others [][32]byte) {
	t.Helper()
	type read struct {
		ses   platform.Session
		slice platform.Slice
	}
	got, want := make(map[[32]byte]read), make(map[[32]byte]read)
	must(t, many(t.Context(), slices.Concat(others, valid), func(ses platform.Session, slice platform.Slice) { got[ses.TokenHash] = read{ses, slice} }))
	for _, h := range valid {
		ses, slice, err := one(t.Context(), h)
		must(t, err)
		want[h] = read{ses, slice}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read at once %+v\none by one %+v", got, want)
	}
	must(t, many(t.Context(), nil, func(platform.Session, platform.Slice) { t.Error("one of none") }))
}

// What was under way when access ended comes too late.
func testTooLate(t *testing.T, b *bench) {
	ctx := t.Context()
	ana := b.signUp(t, "ana@example.com")
	must(t, b.ChangePassword(ctx, ana.ID, "hash of ana@example.com", "after", ana.session, newHash(), by(ana.ID)))
	late := start(newHash())
	late.Password = "hash of ana@example.com"
	wantCode(t, "log in with the password of before", b.CreateSession(ctx, ana.ID, late, by(ana.ID)), platform.ErrUnauthenticated)
	b.wantSession(t, late.TokenHash, false)
	late.Password = "after"
	must(t, b.CreateSession(ctx, ana.ID, late, by(ana.ID)))
	b.wantSession(t, late.TokenHash, true)

	token := platform.APIToken{TokenHash: newHash(), Name: "import", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}
	_, err := b.CreateAPIToken(ctx, ana.ID, ana.session, token, by(ana.ID))
	wantCode(t, "a token in a session that ended", err, platform.ErrUnauthenticated)
	_, err = b.CreateAPIToken(ctx, b.signUp(t, "ben@example.com").ID, late.TokenHash, token, by(ana.ID))
	wantCode(t, "a token in another's session", err, platform.ErrUnauthenticated)
	must(t, b.OfferSecondFactor(ctx, ana.ID, []byte("s")))
	wantCode(t, "a second factor in a session that ended", b.EnableSecondFactor(ctx, ana.ID, ana.session, []byte("s"), 1, nil, by(ana.ID)), platform.ErrUnauthenticated)
	if f, err := b.SecondFactor(ctx, ana.ID); err != nil || f.Secret != nil {
		t.Errorf("factor %+v, %v", f, err)
	}
	wantCode(t, "a change of address in a session that ended", b.QueueEmailChange(ctx, ana.ID, ana.session, "thief@example.com"), platform.ErrUnauthenticated)
	_, _, err = b.ScheduleDeletion(ctx, ana.ID, ana.session, by(ana.ID))
	wantCode(t, "a deletion in a session that ended", err, platform.ErrUnauthenticated)
	_, err = b.EndOtherSessions(ctx, ana.ID, ana.session, by(ana.ID))
	wantCode(t, "the end of all others, by a session that ended", err, platform.ErrUnauthenticated)
	b.wantSession(t, late.TokenHash, true)
	_, _, err = b.ScheduleDeletion(ctx, ana.ID, late.TokenHash, by(ana.ID))
	must(t, err)
	wantCode(t, "a cancellation in a session that ended", b.CancelOwnDeletion(ctx, ana.ID, ana.session, by(ana.ID)), platform.ErrUnauthenticated)
	must(t, b.CancelOwnDeletion(ctx, ana.ID, late.TokenHash, by(ana.ID)))
	wantCode(t, "a token in a session that ended with its account", func() error {
		_, err := b.CreateAPIToken(ctx, nobody, late.TokenHash, token, by(nobody))
		return err
	}(), platform.ErrUnauthenticated)
	must(t, b.EnableSecondFactor(ctx, ana.ID, late.TokenHash, []byte("s"), 1, nil, by(ana.ID)))
	wantCode(t, "codes in a session that ended", b.ReplaceRecoveryCodes(ctx, ana.ID, ana.session, [][32]byte{{1}}, by(ana.ID)), platform.ErrUnauthenticated)
	wantCode(t, "no second factor in a session that ended", b.DisableSecondFactor(ctx, ana.ID, ana.session, by(ana.ID)), platform.ErrUnauthenticated)
	byPasskey := start(newHash())
	byPasskey.Passkey = nobody
	wantCode(t, "log in with a passkey that was removed", b.CreateSession(ctx, ana.ID, byPasskey, by(ana.ID)), platform.ErrUnauthenticated)
	b.wantSession(t, byPasskey.TokenHash, false)

	admin, acting := b.firstAdmin(t), newHash()
	act := func(session [32]byte) error {
		_, err := b.Impersonate(ctx, ana.ID, session, start(acting), "a question", of(admin.ID, "user.impersonate", "user", ana.ID))
		return err
	}
	again := func() [32]byte {
		h := newHash()
		must(t, b.CreateSession(ctx, admin.ID, start(h), by(admin.ID)))
		return h
	}
	for what, end := range map[string]func(own [32]byte) error{
		"the other sessions are ended": func(own [32]byte) error {
			ended, err := b.EndOtherSessions(ctx, admin.ID, own, by(admin.ID))
			if !slices.Contains(ended, acting) {
				t.Error("it is not told that acting ended")
			}
			return err
		},
		"the password is changed": func(own [32]byte) error {
			hash, err := b.PasswordHash(ctx, admin.ID)
			must(t, err)
			return b.ChangePassword(ctx, admin.ID, hash, hash+"x", own, newHash(), by(admin.ID))
		},
		"the password is reset": func([32]byte) error {
			must(t, b.QueueMail(ctx, platform.MailResetPassword, "", admin.Email))
			_, err := b.ResetPassword(ctx, b.mailedToken(t, platform.MailResetPassword), "new", by(""))
			return err
		},
	} {
		acting = newHash()
		must(t, act(again()))
		b.wantSession(t, acting, true)
		must(t, end(again()))
		if _, _, err := b.Session(ctx, acting); platform.CodeOf(err) != platform.ErrNotFound {
			t.Errorf("%s, and the admin still acts for a user: %v", what, err)
		}
	}
	second := b.signUp(t, "second@example.com")
	wantCode(t, "acting in a user's session", act(second.session), platform.ErrUnauthenticated)
}
