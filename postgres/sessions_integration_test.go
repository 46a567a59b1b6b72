//go:build integration

package postgres_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func TestSessionsEndAndExpire(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	add := func(left time.Duration) [32]byte {
		h, _ := platform.HashSessionToken(platform.NewSessionToken())
		if err := b.store.CreateSession(t.Context(), u.ID, platform.SessionStart{TokenHash: h, ExpiresAt: time.Now().Add(left)}, platform.AuditEntry{}); err != nil {
			t.Fatal(err)
		}
		return h
	}
	live, expired, ended := add(time.Hour), add(-time.Second), add(time.Hour)
	if err := b.store.DeleteSession(t.Context(), ended, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.Session(t.Context(), live); err != nil {
		t.Errorf("live session: %v", err)
	}
	for name, h := range map[string][32]byte{"expired": expired, "ended": ended} {
		if _, _, err := b.store.Session(t.Context(), h); platform.CodeOf(err) != platform.ErrNotFound {
			t.Errorf("%s session: error %v, want not_found", name, err)
		}
	}
	served, err := b.store.SessionsServed(t.Context(), [][32]byte{live, expired, ended})
	if hasSlice, valid := served[live]; err != nil || len(served) != 1 || !valid || hasSlice {
		t.Errorf("sessions served %v, %v; want the live one", served, err)
	}
	if n, err := b.store.DeleteExpiredSessions(t.Context()); err != nil || n != 1 {
		t.Errorf("deleted %d expired, %v; want 1", n, err)
	}
}

// Who came and went is on record: with the way they proved who they are, and,
// where an admin acted for a user, with the admin's name.
func TestSessionsAreOnRecord(t *testing.T) {
	b := newGatewayBench(t)
	if _, err := b.store.CreateFirstAdmin(t.Context(), "admin@example.com", "hash"); err != nil {
		t.Fatal(err)
	}
	admin, _, err := b.store.UserByEmail(t.Context(), "admin@example.com")
	if err != nil {
		t.Fatal(err)
	}
	start := func(method platform.LogInMethod) platform.SessionStart {
		h, _ := platform.HashSessionToken(platform.NewSessionToken())
		return platform.SessionStart{TokenHash: h, Method: method, ExpiresAt: time.Now().Add(time.Hour), ClientAddr: "192.0.2.1"}
	}
	by := func(actor string) platform.AuditEntry {
		return platform.AuditEntry{ActorID: actor, RequestID: "r1", ClientAddr: "192.0.2.1"}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u, _, err := b.store.SignUp(t.Context(), "ana@example.com", "hash", start(""), by(""))
	must(err)
	own, adminsOwn, acting := start(platform.LogInByPasskey), start(platform.LogInByPasswordAndCode), start("")
	must(b.store.CreateSession(t.Context(), u.ID, own, by(u.ID)))
	must(b.store.CreateSession(t.Context(), admin.ID, adminsOwn, by(admin.ID)))
	impersonate := by(admin.ID)
	impersonate.Action, impersonate.SubjectType, impersonate.SubjectID = "user.impersonate", "user", u.ID
	_, err = b.store.Impersonate(t.Context(), u.ID, adminsOwn.TokenHash, acting, "a question", impersonate)
	must(err)
	must(b.store.DeleteSession(t.Context(), acting.TokenHash, by("")))
	must(b.store.DeleteSession(t.Context(), own.TokenHash, by("")))
	must(b.store.DeleteSession(t.Context(), own.TokenHash, by(""))) // ended already

	entries, err := b.store.ListAudit(t.Context(), platform.AuditFilter{Limit: 20})
	must(err)
	type line struct{ actor, action, subject, method, role string }
	var got []line
	for _, e := range slices.Backward(entries) {
		var after struct{ Session, Method, Role string }
		if e.After != nil {
			must(json.Unmarshal(e.After, &after))
		}
		if e.Action == "session.create" && after.Session == "" || e.Action == "session.delete" && !strings.Contains(string(e.Before), "session") {
			t.Errorf("%s: before %s, after %s; want the session", e.Action, e.Before, e.After)
		}
		if e.ActorID != "" && (e.RequestID != "r1" || e.ClientAddr != "192.0.2.1") {
			t.Errorf("%+v", e)
		}
		got = append(got, line{e.ActorID, e.Action, e.SubjectID, after.Method, after.Role})
	}
	want := []line{
		{"", "user.create", admin.ID, "", "admin"},
		{u.ID, "user.create", u.ID, "", "user"},
		{u.ID, "session.create", u.ID, "passkey", ""},
		{admin.ID, "session.create", admin.ID, "password_and_code", ""},
		{admin.ID, "user.impersonate", u.ID, "", ""},
		{admin.ID, "session.delete", u.ID, "", ""},
		{u.ID, "session.delete", u.ID, "", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("on record:\n%v\nwant:\n%v", got, want)
	}
}

func TestFirstAdminIsMadeOnce(t *testing.T) {
	b := newGatewayBench(t)
	b.signUp(t, "taken@example.com")
	if _, err := b.store.CreateFirstAdmin(t.Context(), "taken@example.com", "hash"); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("an ordinary user's address: error %v, want conflict", err)
	}
	for _, want := range []bool{true, false} {
		made, err := b.store.CreateFirstAdmin(t.Context(), "admin@example.com", "hash")
		if err != nil || made != want {
			t.Errorf("made %v, %v; want %v", made, err, want)
		}
	}
	u, hash, err := b.store.UserByEmail(t.Context(), "admin@example.com")
	if err != nil || u.Role != platform.RoleAdmin || hash != "hash" {
		t.Errorf("admin %+v, %v", u, err)
	}
	if _, _, err := b.store.UserByEmail(t.Context(), "nobody@example.com"); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("unknown address: error %v, want not_found", err)
	}
}

func TestAdminViews(t *testing.T) {
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "current")
	u, _ := b.signUp(t, "ana@example.com")
	b.addSlice(t, platform.SliceWarm, "current")
	b.addSlice(t, platform.SliceFailed, "current")
	b.exec(t, `INSERT INTO gateway.queue (user_id) SELECT id FROM gateway.users`) // any row will do
	queued, slices, err := b.store.Pool(t.Context())
	if err != nil || queued != 1 || slices[platform.SliceWarm] != 1 || slices[platform.SliceAssigned] != 1 || slices[platform.SliceFailed] != 1 {
		t.Errorf("pool %d %v, %v", queued, slices, err)
	}
	page, _, err := b.store.ListSlices(t.Context(), "", 0, 2)
	if err != nil || len(page) != 2 || page[0].Number != 3 || page[1].Number != 2 {
		t.Fatalf("first page %+v, %v", page, err)
	}
	page, emails, err := b.store.ListSlices(t.Context(), "", page[1].Number, 2)
	if err != nil || len(page) != 1 || page[0].UserID != u.ID || emails[u.ID] != "ana@example.com" {
		t.Errorf("second page %+v %v, %v", page, emails, err)
	}
	page, _, err = b.store.ListSlices(t.Context(), platform.SliceFailed, 0, 10)
	if err != nil || len(page) != 1 || page[0].State != platform.SliceFailed {
		t.Errorf("failed slices %+v, %v", page, err)
	}
}
