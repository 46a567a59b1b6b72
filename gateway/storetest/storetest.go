// Package storetest holds a gateway's store against its contract: the real one in
// PostgreSQL, and the one in memory that the gateway's unit tests use.
package storetest

import (
	"context"
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

const nobody = "4d3c2b1a-0000-4000-8000-ffffffffffff"
