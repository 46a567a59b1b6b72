// Package storetest holds a gateway's store against its contract: the real one in
// PostgreSQL, and the one in memory that the gateway's unit tests use.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/admin"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/mailing"
	"ipnoelp.io/platform/gateway/queue"
)

// Store is what the gateway keeps, but for what only a server has. Passkeys are
// held against theirs in passkeytest.
type Store interface {
	auth.Store
	queue.Store
	admin.Store
	mailing.Store

	HasAdmin(ctx context.Context) (bool, error)
	CreateFirstAdmin(ctx context.Context, email, passwordHash string) (bool, error)
	SessionsServed(ctx context.Context, hashes [][32]byte) (map[[32]byte]bool, error)
	DeleteDueUsers(ctx context.Context) ([]string, error)
}

// Levers are what a test needs of a store beyond its contract.
type Levers struct {
	AddSlice func(platform.SliceState) int // returns its number
	AgeMails func(time.Duration)           // they were queued and sent that much earlier
}

// Test checks that a store keeps its contract. fresh returns an empty one.
func Test(t *testing.T, fresh func(*testing.T) (Store, Levers)) {
	for name, test := range map[string]func(*testing.T, *bench){
		"claims": testClaims, "sign-up by mail": testSignUpByMail, "mails without a point": testMailsWithoutAPoint, "mails to sign up": testMailsToSignUp,
		"sessions": testSessions, "what comes too late": testTooLate, "an account of somebody else": testSomebodyElses, "changes of address": testChangesOnTheirWay,
		"mailed tokens": testMailedTokens, "passwords": testPasswords,
		"second factor": testSecondFactor, "API tokens": testAPITokens, "leaving": testLeaving,
		"users": testUsers, "slices": testSlices, "settings": testSettings, "audit": testAudit,
	} {
		t.Run(name, func(t *testing.T) {
			s, levers := fresh(t)
			test(t, &bench{Store: s, Levers: levers})
		})
	}
}

type bench struct {
	Store
	Levers
}

// person is a user with one session.
type person struct {
	platform.User
	slice   platform.Slice
	session [32]byte
}

func newHash() [32]byte {
	h, _ := platform.HashSessionToken(platform.NewSessionToken())
	return h
}

func start(hash [32]byte) platform.SessionStart {
	return platform.SessionStart{TokenHash: hash, Method: platform.LogInByPassword, ExpiresAt: time.Now().Add(time.Hour), UserAgent: "Firefox", ClientAddr: "192.0.2.1"}
}

func by(actor string) platform.AuditEntry {
	return platform.AuditEntry{ActorID: actor, RequestID: "r1", ClientAddr: "192.0.2.1"}
}

// of is by with what the caller names itself.
func of(actor, action, subjectType, subjectID string) platform.AuditEntry {
	e := by(actor)
	e.Action, e.SubjectType, e.SubjectID = action, subjectType, subjectID
	return e
}

func (b *bench) signUp(t *testing.T, email string) person {
	t.Helper()
	p := person{session: newHash()}
	var err error
	p.User, p.slice, err = b.SignUp(t.Context(), email, "hash of "+email, start(p.session), by(""))
	must(t, err)
	return p
}

// firstAdmin makes the admin, with a session.
func (b *bench) firstAdmin(t *testing.T) person {
	t.Helper()
	if made, err := b.CreateFirstAdmin(t.Context(), "admin@example.com", "hash"); err != nil || !made {
		t.Fatalf("first admin: %v, %v", made, err)
	}
	u, _, err := b.UserByEmail(t.Context(), "admin@example.com")
	must(t, err)
	p := person{User: u, session: newHash()}
	must(t, b.CreateSession(t.Context(), u.ID, start(p.session), by(u.ID)))
	return p
}

// mail returns the newest mail of a kind that waits, and takes all others that do.
func (b *bench) mail(t *testing.T, kind platform.MailKind) platform.QueuedMail {
	t.Helper()
	due, err := b.DueMails(t.Context(), 100, time.Hour)
	must(t, err)
	var found platform.QueuedMail
	for _, m := range due {
		if m.Kind == kind {
			found = m
		} else {
			must(t, b.MailSent(t.Context(), m.ID))
		}
	}
	if found.ID == 0 {
		t.Fatalf("no mail %s among %v", kind, due)
	}
	return found
}

// mailedToken has a mail of a kind sent with a token.
func (b *bench) mailedToken(t *testing.T, kind platform.MailKind) [32]byte {
	t.Helper()
	h, m := newHash(), b.mail(t, kind)
	must(t, b.AddMailToken(t.Context(), m.ID, h, time.Now().Add(time.Hour)))
	must(t, b.MailSent(t.Context(), m.ID))
	return h
}

// wantAudit looks at what is on record about a subject, the oldest first.
func (b *bench) wantAudit(t *testing.T, subjectType, subjectID string, want ...string) {
	t.Helper()
	all, err := b.ListAudit(t.Context(), platform.AuditFilter{SubjectType: subjectType, SubjectID: subjectID, Limit: 100})
	must(t, err)
	var got []string
	for _, e := range slices.Backward(all) {
		got = append(got, e.Action)
	}
	if !slices.Equal(got, want) {
		t.Errorf("on record of the %s: %s; want %s", subjectType, strings.Join(got, " "), strings.Join(want, " "))
	}
}

func (b *bench) wantSession(t *testing.T, hash [32]byte, there bool) {
	t.Helper()
	_, _, err := b.Session(t.Context(), hash)
	if want := map[bool]platform.ErrorCode{false: platform.ErrNotFound}[there]; platform.CodeOf(err) != want {
		t.Errorf("session: %v, want %q", err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, err error, want platform.ErrorCode) {
	t.Helper()
	if got := platform.CodeOf(err); got != want {
		t.Errorf("%s: error %v, want %q", what, err, want)
	}
}

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
	check := func(email string, wantMail, wantTaken bool) {
		t.Helper()
		if byMail, taken, err := b.SignUpCheck(ctx, email); err != nil || byMail != wantMail || taken != wantTaken {
			t.Errorf("%s: by mail %v, taken %v, %v", email, byMail, taken, err)
		}
	}
	b.AddSlice(platform.SliceWarm)
	b.signUp(t, "taken@example.com")
	must(t, b.MailSent(ctx, b.mail(t, platform.MailVerifyEmail).ID))
	check("ana@example.com", false, false)
	check("taken@example.com", false, true)
	_, err := b.UpdateSettings(ctx, func(s *platform.Settings) error { s.SignUpByMail = true; return nil }, of("", "settings.change", "settings", "platform"))
	must(t, err)
	if s, err := b.Settings(ctx); err != nil || !s.SignUpByMail {
		t.Errorf("settings %+v, %v", s, err)
	}
	token, other := ask("ana@example.com", false), ask("ana@example.com", false)
	ben := ask("ben@example.com", false)
	if email, err := b.SignUpToken(ctx, token); err != nil || email != "ana@example.com" {
		t.Errorf("token of %q, %v", email, err)
	}
	check("ana@example.com", true, false)
	check("taken@example.com", true, false)
	_, err = b.AccountToken(ctx, token)
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

const nobody = "4d3c2b1a-0000-4000-8000-ffffffffffff"

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

func testUsers(t *testing.T, b *bench) {
	ctx := t.Context()
	if has, err := b.HasAdmin(ctx); err != nil || has {
		t.Errorf("an admin already: %v, %v", has, err)
	}
	admin := b.firstAdmin(t)
	if made, err := b.CreateFirstAdmin(ctx, "second@example.com", "x"); err != nil || made {
		t.Errorf("a second first admin: %v, %v", made, err)
	}
	b.wantAudit(t, "user", admin.ID, "user.create", "session.create")
	number := b.AddSlice(platform.SliceWarm)
	ana, ben := b.signUp(t, "ana@example.com"), b.signUp(t, "ben@example.com")

	list := func(f platform.UserFilter, want ...person) []platform.UserRecord {
		t.Helper()
		f.Limit = max(f.Limit, 1)
		got, err := b.ListUsers(ctx, f)
		must(t, err)
		same := slices.EqualFunc(got, want, func(r platform.UserRecord, p person) bool { return r.ID == p.ID })
		if !same {
			t.Errorf("%+v: %d users, want %d", f, len(got), len(want))
		}
		return got
	}
	page := list(platform.UserFilter{Limit: 2}, ben, ana)
	list(platform.UserFilter{Limit: 2, After: platform.UserCursor{CreatedAt: page[1].CreatedAt, ID: page[1].ID}}, admin)
	list(platform.UserFilter{Limit: 9, Email: "n@example"}, ben, admin)
	list(platform.UserFilter{Limit: 9, Email: "a%"})
	list(platform.UserFilter{Limit: 9, Role: platform.RoleAdmin}, admin)
	r, err := b.UserRecord(ctx, ana.ID)
	if err != nil || r.Slice.Number != number || r.Sessions != 1 || r.Position != 0 || r.Email != ana.Email || !r.BlockedAt.IsZero() {
		t.Errorf("record %+v, %v", r, err)
	}
	if r, err := b.UserRecord(ctx, ben.ID); err != nil || r.Position != 1 || r.Slice.Number != 0 {
		t.Errorf("record %+v, %v", r, err)
	}
	_, err = b.UserRecord(ctx, nobody)
	wantCode(t, "nobody", err, platform.ErrNotFound)

	block := func(id string) error { return b.BlockUser(ctx, id, "spam", of(admin.ID, "user.block", "user", id)) }
	must(t, block(ben.ID))
	wantCode(t, "blocked twice", block(ben.ID), platform.ErrConflict)
	wantCode(t, "the last admin", block(admin.ID), platform.ErrConflict)
	wantCode(t, "nobody", block(nobody), platform.ErrNotFound)
	list(platform.UserFilter{Limit: 9, State: platform.UserBlocked}, ben)
	if r, err := b.UserRecord(ctx, ben.ID); err != nil || !r.Blocked || r.BlockReason != "spam" || r.BlockedAt.IsZero() || r.Position != 0 {
		t.Errorf("blocked %+v, %v", r, err)
	}
	if ses, _, err := b.Session(ctx, ben.session); err != nil || !ses.User.Blocked {
		t.Errorf("a blocked user's session: %+v, %v", ses, err)
	}
	if served, err := b.SessionsServed(ctx, [][32]byte{ben.session, ana.session}); err != nil || len(served) != 1 || !served[ana.session] {
		t.Errorf("served %v, %v", served, err)
	}
	acting := newHash()
	impersonate := func(who person, session [32]byte) error {
		u, err := b.Impersonate(ctx, who.ID, session, start(acting), "a question", of(admin.ID, "user.impersonate", "user", who.ID))
		if err == nil && u.ID != who.ID {
			t.Errorf("acts for %s", u.ID)
		}
		return err
	}
	wantCode(t, "acting for a blocked user", impersonate(ben, admin.session), platform.ErrConflict)
	unblock := func(id string) error { return b.UnblockUser(ctx, id, of(admin.ID, "user.unblock", "user", id)) }
	must(t, unblock(ben.ID))
	wantCode(t, "unblocked twice", unblock(ben.ID), platform.ErrConflict)
	b.wantSession(t, ben.session, false)
	if p, err := b.QueuePosition(ctx, ben.ID); err != nil || p.Position != 1 {
		t.Errorf("position %+v, %v", p, err)
	}
	b.wantAudit(t, "user", ben.ID, "user.create", "user.block", "user.unblock")

	wantCode(t, "acting for an admin", impersonate(admin, admin.session), platform.ErrConflict)
	wantCode(t, "without a session", impersonate(ana, newHash()), platform.ErrUnauthenticated)
	must(t, impersonate(ana, admin.session))
	if m := b.mail(t, platform.MailSupportAccess); m.Recipient != ana.Email {
		t.Errorf("told %s", m.Recipient)
	}
	b.wantSession(t, admin.session, false)
	if ses, _, err := b.Session(ctx, acting); err != nil || ses.User.ID != ana.ID || ses.ImpersonatorID != admin.ID || time.Since(ses.AuthenticatedAt) < 24*time.Hour {
		t.Errorf("acting %+v, %v", ses, err)
	}
	must(t, b.DeleteSession(ctx, acting, by("")))
	if all, err := b.ListAudit(ctx, platform.AuditFilter{SubjectType: "user", SubjectID: ana.ID, Limit: 1}); err != nil || len(all) != 1 || all[0].Action != "session.delete" || all[0].ActorID != admin.ID {
		t.Errorf("the end of it: %+v, %v", all, err)
	}

	remove := func(id string) error { return b.DeleteUser(ctx, id, of(admin.ID, "user.delete", "user", id)) }
	must(t, remove(ana.ID))
	wantCode(t, "deleted twice", remove(ana.ID), platform.ErrNotFound)
	wantCode(t, "the last admin", remove(admin.ID), platform.ErrConflict)
	b.wantSession(t, ana.session, false)
	if sl, email, err := b.Slice(ctx, number); err != nil || sl.State != platform.SliceRetiring || sl.UserID != "" || email != "" {
		t.Errorf("slice %+v of %q, %v", sl, email, err)
	}
	b.signUp(t, "ana@example.com") // the address is free again
	b.wantAudit(t, "user", ana.ID, "user.create", "user.impersonate", "session.delete", "user.delete")
}

func testSlices(t *testing.T, b *bench) {
	ctx := t.Context()
	first, second, third := b.AddSlice(platform.SliceWarm), b.AddSlice(platform.SliceWarm), b.AddSlice(platform.SliceRequested)
	ana := b.signUp(t, "ana@example.com")
	if ana.slice.Number != first {
		t.Errorf("claimed %d, want the oldest, %d", ana.slice.Number, first)
	}
	list := func(state platform.SliceState, before, limit int, want ...int) {
		t.Helper()
		all, emails, err := b.ListSlices(ctx, state, before, limit)
		must(t, err)
		var got []int
		for _, sl := range all {
			got = append(got, sl.Number)
			if sl.UserID != "" && emails[sl.UserID] != ana.Email {
				t.Errorf("slice %d of %q", sl.Number, emails[sl.UserID])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q below %d: %v, want %v", state, before, got, want)
		}
	}
	list("", 0, 2, third, second)
	list("", second, 2, first)
	list(platform.SliceAssigned, 0, 9, first)
	list(platform.SliceGone, 0, 9)
	if sl, email, err := b.Slice(ctx, first); err != nil || sl.UserID != ana.ID || email != ana.Email || sl.StateChangedAt.IsZero() {
		t.Errorf("slice %+v of %q, %v", sl, email, err)
	}
	_, _, err := b.Slice(ctx, third+1)
	wantCode(t, "no slice", err, platform.ErrNotFound)

	retire := func(n int) error { return b.RetireSlice(ctx, n, of("", "slice.retire", "slice", fmt.Sprint(n))) }
	must(t, retire(first))
	wantCode(t, "retired twice", retire(first), platform.ErrConflict)
	wantCode(t, "no slice", retire(third+1), platform.ErrNotFound)
	if p, err := b.QueuePosition(ctx, ana.ID); err != nil || p.Position != 1 {
		t.Errorf("its user waits: %+v, %v", p, err)
	}
	if _, sl, err := b.Session(ctx, ana.session); err != nil || sl.Number != 0 {
		t.Errorf("its user has %+v, %v", sl, err)
	}
	b.wantAudit(t, "slice", fmt.Sprint(first), "slice.retire")
}

func testSettings(t *testing.T, b *bench) {
	ctx := t.Context()
	before, err := b.Settings(ctx)
	if err != nil || before.WarmTarget != nil || before.Validate() != nil {
		t.Errorf("at first: %+v, %v", before, err)
	}
	target := 3
	got, err := b.UpdateSettings(ctx, func(s *platform.Settings) error { s.WarmTarget, s.Price = &target, 1500; return nil }, of("", "settings.change", "settings", "platform"))
	if err != nil || *got.WarmTarget != 3 || got.Price != 1500 || got.Currency != before.Currency {
		t.Errorf("changed: %+v, %v", got, err)
	}
	refusal := platform.Errorf(platform.ErrInvalid, "no")
	same := target
	_, err = b.UpdateSettings(ctx, func(s *platform.Settings) error { s.WarmTarget = &same; return nil }, of("", "settings.change", "settings", "platform"))
	must(t, err)
	_, err = b.UpdateSettings(ctx, func(s *platform.Settings) error { s.Price = 1; return refusal }, of("", "settings.change", "settings", "platform"))
	wantCode(t, "refused", err, platform.ErrInvalid)
	if got, err := b.Settings(ctx); err != nil || got.WarmTarget == nil || *got.WarmTarget != 3 || got.Price != 1500 {
		t.Errorf("kept: %+v, %v", got, err)
	}
	b.wantAudit(t, "settings", "platform", "settings.change")
}

func testAudit(t *testing.T, b *bench) {
	ctx := t.Context()
	for i := range 5 {
		must(t, b.RecordAudit(ctx, of("", "slice.restart", "slice", fmt.Sprint(i%2))))
	}
	must(t, b.RecordAudit(ctx, of(nobody, "user.export", "user", "x")))
	count := func(f platform.AuditFilter, want int) []platform.AuditEntry {
		t.Helper()
		if f.Limit == 0 {
			f.Limit = 10
		}
		got, err := b.ListAudit(ctx, f)
		if err != nil || len(got) != want {
			t.Fatalf("%+v: %d entries, %v; want %d", f, len(got), err, want)
		}
		return got
	}
	page := count(platform.AuditFilter{Limit: 2}, 2)
	if page[0].Action != "user.export" || page[0].RequestID != "r1" || page[0].ClientAddr != "192.0.2.1" || page[0].At.IsZero() || page[0].ActorID != nobody || page[1].ActorID != "" {
		t.Errorf("newest first: %+v", page)
	}
	count(platform.AuditFilter{Below: page[1].ID}, 4)
	count(platform.AuditFilter{ActorID: nobody}, 1)
	count(platform.AuditFilter{Action: "slice.restart"}, 5)
	count(platform.AuditFilter{SubjectType: "slice", SubjectID: "0"}, 3)
	count(platform.AuditFilter{Since: time.Now().Add(time.Hour)}, 0)
	count(platform.AuditFilter{Until: time.Now().Add(time.Hour)}, 6)
}
