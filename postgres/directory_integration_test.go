//go:build integration

package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

func by(action, id string) platform.AuditEntry {
	return platform.AuditEntry{Action: action, SubjectType: "user", SubjectID: id, RequestID: "r"}
}

func TestUsersAreListedInPages(t *testing.T) {
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "current")
	for i := range 5 {
		b.signUp(t, fmt.Sprintf("u%d@example.com", i))
	}
	b.exec(t, `UPDATE gateway.users SET created_at = now()`) // all at once: ids decide
	seen := make(map[string]bool)
	var after platform.UserCursor
	for {
		page, err := b.store.ListUsers(t.Context(), platform.UserFilter{After: after, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			if seen[u.ID] {
				t.Errorf("%s twice", u.Email)
			}
			seen[u.ID] = true
			after = platform.UserCursor{CreatedAt: u.CreatedAt, ID: u.ID}
		}
		if len(page) < 2 {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d users, want 5", len(seen))
	}
	found, err := b.store.ListUsers(t.Context(), platform.UserFilter{Email: "u0@", Role: platform.RoleUser, State: platform.UserActive, Limit: 9})
	if err != nil || len(found) != 1 || found[0].Slice.State != platform.SliceAssigned || found[0].Position != 0 || found[0].Sessions != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	found, err = b.store.ListUsers(t.Context(), platform.UserFilter{Email: "u3@", Limit: 9})
	if err != nil || len(found) != 1 || found[0].Slice.Number != 0 || found[0].Position != 3 {
		t.Errorf("waiting %+v, %v", found, err)
	}
	for _, none := range []string{"%", "_"} {
		if found, err := b.store.ListUsers(t.Context(), platform.UserFilter{Email: none, Limit: 9}); err != nil || len(found) != 0 {
			t.Errorf("%q: %+v, %v", none, found, err)
		}
	}
}

func TestBlockAndUnblock(t *testing.T) {
	b := newGatewayBench(t)
	b.addSlice(t, platform.SliceWarm, "current")
	ana, _ := b.signUp(t, "ana@example.com")
	ben, _ := b.signUp(t, "ben@example.com")
	for _, u := range []platform.User{ana, ben} {
		if err := b.store.BlockUser(t.Context(), u.ID, "spam", by("user.block", u.ID)); err != nil {
			t.Fatal(err)
		}
		if err := b.store.BlockUser(t.Context(), u.ID, "spam", by("user.block", u.ID)); platform.CodeOf(err) != platform.ErrConflict {
			t.Errorf("blocked twice: %v", err)
		}
	}
	u, err := b.store.UserRecord(t.Context(), ana.ID)
	if err != nil || !u.Blocked || u.BlockReason != "spam" || u.BlockedAt.IsZero() || u.Slice.Number == 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := b.store.QueuePosition(t.Context(), ben.ID); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("a blocked user waits: %v", err)
	}
	hash, _ := platform.HashSessionToken(platform.NewSessionToken())
	if err := b.store.CreateSession(t.Context(), ben.ID, platform.SessionStart{TokenHash: hash, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if ses, _, err := b.store.Session(t.Context(), hash); err != nil || !ses.User.Blocked {
		t.Errorf("session %+v, %v", ses, err)
	}
	if served, err := b.store.SessionsServed(t.Context(), [][32]byte{hash}); err != nil || len(served) != 0 {
		t.Errorf("served %v, %v", served, err)
	}
	if err := b.store.UnblockUser(t.Context(), ben.ID, by("user.unblock", ben.ID)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.Session(t.Context(), hash); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("the old session: %v", err)
	}
	if p, err := b.store.QueuePosition(t.Context(), ben.ID); err != nil || p.Position != 1 {
		t.Errorf("position %+v, %v", p, err)
	}
	if err := b.store.UnblockUser(t.Context(), ben.ID, by("user.unblock", ben.ID)); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("unblocked twice: %v", err)
	}
	if err := b.store.BlockUser(t.Context(), uuid.NewString(), "x", by("user.block", "x")); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("nobody: %v", err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE action IN ('user.block', 'user.unblock')`); n != 3 {
		t.Errorf("%d audit entries, want 3", n)
	}
}

func TestDeleteUser(t *testing.T) {
	b := newGatewayBench(t)
	number := b.addSlice(t, platform.SliceWarm, "current")
	ana, _ := b.signUp(t, "ana@example.com")
	if err := b.store.DeleteUser(t.Context(), ana.ID, by("user.delete", ana.ID)); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE number = $1 AND state = 'retiring' AND user_id IS NULL`, number); n != 1 {
		t.Error("the slice is not retiring")
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.claims WHERE user_id IS NULL`); n != 1 {
		t.Errorf("%d claims without a user, want 1", n)
	}
	if n := b.count(t, `SELECT (SELECT count(*) FROM gateway.users) + (SELECT count(*) FROM gateway.sessions)`); n != 0 {
		t.Errorf("%d users and sessions are left", n)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE action = 'user.delete' AND (before->>'slice')::int = $1 AND after IS NULL`, number); n != 1 {
		t.Error("no audit entry")
	}
	b.signUp(t, "ana@example.com") // the address is free again
	if err := b.store.DeleteUser(t.Context(), ana.ID, by("user.delete", ana.ID)); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("twice: %v", err)
	}
}

// Two admins who remove each other at the same time: one of them stays.
func TestOneAdminStays(t *testing.T) {
	b := newGatewayBench(t)
	b.exec(t, `INSERT INTO gateway.users (email, password_hash, role) VALUES ('a@example.com', 'x', 'admin'), ('b@example.com', 'x', 'admin')`)
	admins, err := b.store.ListUsers(t.Context(), platform.UserFilter{Role: platform.RoleAdmin, Limit: 9})
	if err != nil || len(admins) != 2 {
		t.Fatalf("%+v, %v", admins, err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = b.store.DeleteUser(t.Context(), admins[0].ID, by("user.delete", admins[0].ID)) })
	wg.Go(func() { errs[1] = b.store.BlockUser(t.Context(), admins[1].ID, "x", by("user.block", admins[1].ID)) })
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("errors %v", errs)
	}
	for _, err := range errs {
		if err != nil && platform.CodeOf(err) != platform.ErrConflict {
			t.Errorf("error %v, want conflict", err)
		}
	}
}

// Deleting and serving the queue take the same rows; neither fails.
func TestDeletionBesideTheQueue(t *testing.T) {
	b := newGatewayBench(t)
	var wg sync.WaitGroup
	for i := range 10 {
		u, _ := b.signUp(t, fmt.Sprintf("u%d@example.com", i))
		b.addSlice(t, platform.SliceWarm, "current")
		wg.Go(func() {
			if err := b.store.DeleteUser(t.Context(), u.ID, by("user.delete", u.ID)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := b.store.ServeQueue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.count(t, `SELECT count(*) FROM gateway.slices WHERE state = 'assigned' OR user_id IS NOT NULL`); n != 0 {
		t.Errorf("%d slices serve deleted users", n)
	}
}

func TestRetireSlice(t *testing.T) {
	b := newGatewayBench(t)
	number := b.addSlice(t, platform.SliceWarm, "current")
	ana, _ := b.signUp(t, "ana@example.com")
	if sl, email, err := b.store.Slice(t.Context(), number); err != nil || sl.UserID != ana.ID || email != "ana@example.com" {
		t.Errorf("slice %+v %s, %v", sl, email, err)
	}
	if err := b.store.RetireSlice(t.Context(), number, by("slice.retire", "1")); err != nil {
		t.Fatal(err)
	}
	if sl, _, err := b.store.Slice(t.Context(), number); err != nil || sl.State != platform.SliceRetiring || sl.UserID != "" {
		t.Errorf("slice %+v, %v", sl, err)
	}
	if p, err := b.store.QueuePosition(t.Context(), ana.ID); err != nil || p.Position != 1 {
		t.Errorf("its user: %+v, %v", p, err)
	}
	if err := b.store.RetireSlice(t.Context(), number, by("slice.retire", "1")); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("twice: %v", err)
	}
	if err := b.store.RetireSlice(t.Context(), number+1, by("slice.retire", "2")); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("no such slice: %v", err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE before->>'user_id' = $1`, ana.ID); n != 1 {
		t.Errorf("%d audit entries, want 1", n)
	}
}

func TestImpersonate(t *testing.T) {
	b := newGatewayBench(t)
	ana, _ := b.signUp(t, "ana@example.com")
	if _, err := b.store.CreateFirstAdmin(t.Context(), "admin@example.com", "x"); err != nil {
		t.Fatal(err)
	}
	admin, _, err := b.store.UserByEmail(t.Context(), "admin@example.com")
	if err != nil {
		t.Fatal(err)
	}
	start := func() platform.SessionStart {
		h, _ := platform.HashSessionToken(platform.NewSessionToken())
		return platform.SessionStart{TokenHash: h, ExpiresAt: time.Now().Add(time.Hour)}
	}
	own, acting := start(), start()
	if err := b.store.CreateSession(t.Context(), admin.ID, own, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	entry := by("user.impersonate", ana.ID)
	entry.ActorID = admin.ID
	if _, err := b.store.Impersonate(t.Context(), admin.ID, own.TokenHash, acting, "help", entry); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("for an admin: %v", err)
	}
	if u, err := b.store.Impersonate(t.Context(), ana.ID, own.TokenHash, acting, "help", entry); err != nil || u.ID != ana.ID {
		t.Fatalf("%+v, %v", u, err)
	}
	ses, _, err := b.store.Session(t.Context(), acting.TokenHash)
	if err != nil || ses.User.ID != ana.ID || ses.ImpersonatorID != admin.ID || time.Since(ses.AuthenticatedAt) < 24*time.Hour {
		t.Errorf("session %+v, %v", ses, err)
	}
	if _, err := b.store.Impersonate(t.Context(), ana.ID, own.TokenHash, start(), "help", entry); platform.CodeOf(err) != platform.ErrUnauthenticated {
		t.Errorf("with a session that ended: %v", err)
	}
	b.exec(t, `UPDATE gateway.users SET last_seen_at = now() - interval '1 h'`)
	for _, c := range []struct {
		session [32]byte
		seen    bool
	}{{acting.TokenHash, false}, {firstSession(ana.Email), true}} { // who acts for ana is not ana
		if err := b.store.SessionsSeen(t.Context(), [][32]byte{c.session}); err != nil {
			t.Fatal(err)
		}
		seen, err := b.store.LastSeen(t.Context(), []string{ana.ID, admin.ID})
		if err != nil || len(seen) != 2 || (time.Since(seen[ana.ID]) < time.Hour) != c.seen || time.Since(seen[admin.ID]) < time.Hour {
			t.Errorf("last seen %v, %v; want ana seen now: %v", seen, err, c.seen)
		}
	}
	b.exec(t, `INSERT INTO gateway.users (email, password_hash, role) VALUES ('second@example.com', 'x', 'admin')`)
	if err := b.store.BlockUser(t.Context(), admin.ID, "x", by("user.block", admin.ID)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.Session(t.Context(), acting.TokenHash); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("of a blocked admin: %v", err)
	}
}
