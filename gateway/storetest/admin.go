package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

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
