//go:build integration

package postgres_test

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

func TestAuditLogIsFilteredNewestFirst(t *testing.T) {
	b := newGatewayBench(t)
	actor := uuid.NewString()
	for i := range 3 {
		err := b.store.RecordAudit(t.Context(), platform.AuditEntry{
			ActorID: actor, Action: "slice.restart", SubjectType: "slice", SubjectID: strconv.Itoa(i),
			After: json.RawMessage(`{"n": 1}`), RequestID: "r", ClientAddr: "192.0.2.1",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.RecordAudit(t.Context(), platform.AuditEntry{Action: "user.block", SubjectType: "user", SubjectID: "x"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter platform.AuditFilter
		want   int
	}{
		"all":         {platform.AuditFilter{}, 4},
		"actor":       {platform.AuditFilter{ActorID: actor}, 3},
		"action":      {platform.AuditFilter{Action: "user.block"}, 1},
		"subject":     {platform.AuditFilter{SubjectType: "slice", SubjectID: "1"}, 1},
		"since":       {platform.AuditFilter{Since: time.Now().Add(time.Hour)}, 0},
		"until":       {platform.AuditFilter{Until: time.Now().Add(time.Hour)}, 4},
		"cursor":      {platform.AuditFilter{Below: 2}, 1},
		"nobody's":    {platform.AuditFilter{ActorID: uuid.NewString()}, 0},
		"no such one": {platform.AuditFilter{Action: "user"}, 0},
	} {
		c.filter.Limit = 10
		got, err := b.store.ListAudit(t.Context(), c.filter)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d entries, %v; want %d", name, len(got), err, c.want)
		}
	}
	got, err := b.store.ListAudit(t.Context(), platform.AuditFilter{Limit: 2})
	if err != nil || len(got) != 2 || got[0].ID < got[1].ID || got[0].ActorID != "" || got[0].Before != nil || got[1].ActorID != actor ||
		string(got[1].After) != `{"n": 1}` || got[1].ClientAddr != "192.0.2.1" || got[1].At.IsZero() {
		t.Errorf("newest first: %+v, %v", got, err)
	}
}

func TestNobodyChangesTheAuditLog(t *testing.T) {
	b := newGatewayBench(t)
	if err := b.store.RecordAudit(t.Context(), platform.AuditEntry{Action: "user.block", SubjectType: "user", SubjectID: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{
		`UPDATE gateway.audit_log SET action = 'nothing'`,
		`DELETE FROM gateway.audit_log`,
		`TRUNCATE gateway.audit_log`,
		`SET session_replication_role = replica; DELETE FROM gateway.audit_log`,
	} {
		// As a superuser: no grant stands in the way.
		if _, err := b.admin.Exec(t.Context(), stmt); err == nil || !strings.Contains(err.Error(), "only added to") {
			t.Errorf("%s: error %v", stmt, err)
		}
	}
	for _, role := range []string{"gateway", "provisioner"} {
		for _, right := range []string{"UPDATE", "DELETE", "TRUNCATE"} {
			if n := b.count(t, `SELECT count(*) WHERE has_table_privilege($1, 'gateway.audit_log', $2)`, role, right); n != 0 {
				t.Errorf("%s may %s", role, right)
			}
		}
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE action = 'user.block'`); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

// Each action says what it changed, from what to what, in patterns in which X is
// an id and T a time. What may not be kept (passwords, addresses, names) is missing.
func TestAuditSaysBeforeAndAfter(t *testing.T) {
	b := newGatewayBench(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hash := func() [32]byte { h, _ := platform.HashSessionToken(platform.NewSessionToken()); return h }
	start := func() platform.SessionStart {
		return platform.SessionStart{TokenHash: hash(), Method: platform.LogInByPassword, ExpiresAt: time.Now().Add(time.Hour)}
	}
	var by platform.AuditEntry
	of := func(action, subjectType, id string) platform.AuditEntry {
		return platform.AuditEntry{Action: action, SubjectType: subjectType, SubjectID: id}
	}
	_, err := b.store.CreateFirstAdmin(ctx, "admin@example.com", "x")
	must(err)
	admin, _, err := b.store.UserByEmail(ctx, "admin@example.com")
	must(err)
	adminStart := start()
	must(b.store.CreateSession(ctx, admin.ID, adminStart, by))
	number := b.addSlice(t, platform.SliceWarm, "current")
	b.addSlice(t, platform.SliceWarm, "current")
	first := start()
	ana, _, err := b.store.SignUp(ctx, "ana@example.com", "before", first, by)
	must(err)
	second, rotated, again := start(), hash(), hash()
	must(b.store.CreateSession(ctx, ana.ID, second, by))
	must(b.store.Reauthenticated(ctx, ana.ID, first.TokenHash, rotated, platform.LogInByPasskey, by))
	_, err = b.store.EndOtherSessions(ctx, ana.ID, rotated, by)
	must(err)
	must(b.store.ChangePassword(ctx, ana.ID, "before", "after", rotated, again, by))
	must(b.store.OfferSecondFactor(ctx, ana.ID, []byte("s")))
	must(b.store.EnableSecondFactor(ctx, ana.ID, again, []byte("s"), 1, [][32]byte{{1}, {2}}, by))
	_, err = b.store.UseRecoveryCode(ctx, ana.ID, [32]byte{1}, by)
	must(err)
	must(b.store.ReplaceRecoveryCodes(ctx, ana.ID, again, [][32]byte{{3}, {4}, {5}}, by))
	must(b.store.DisableSecondFactor(ctx, ana.ID, again, by))
	must(b.store.OfferSecondFactor(ctx, ana.ID, []byte("s")))
	must(b.store.EnableSecondFactor(ctx, ana.ID, again, []byte("s"), 1, nil, by))
	must(b.store.ResetSecondFactors(ctx, ana.ID, of("user.second_factor_reset", "user", ana.ID)))
	token, err := b.store.CreateAPIToken(ctx, ana.ID, again, platform.APIToken{TokenHash: hash(), Name: "n8n", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}, by)
	must(err)
	_, err = b.store.DeleteAPIToken(ctx, ana.ID, token.ID, by)
	must(err)
	_, _, err = b.store.ScheduleDeletion(ctx, ana.ID, again, by)
	must(err)
	must(b.store.CancelDeletion(ctx, ana.ID, by))
	must(b.store.BlockUser(ctx, ana.ID, "spam", of("user.block", "user", ana.ID)))
	must(b.store.UnblockUser(ctx, ana.ID, of("user.unblock", "user", ana.ID)))
	impersonate := of("user.impersonate", "user", ana.ID)
	impersonate.ActorID = admin.ID
	acting := start()
	_, err = b.store.Impersonate(ctx, ana.ID, adminStart.TokenHash, acting, "a question", impersonate)
	must(err)
	must(b.store.DeleteSession(ctx, acting.TokenHash, by))
	must(b.store.RetireSlice(ctx, number, of("slice.retire", "slice", "1")))
	_, err = b.store.UpdateSettings(ctx, func(s *platform.Settings) error { s.Price = 1500; return nil }, of("settings.change", "settings", "platform"))
	must(err)
	_, err = b.store.ServeQueue(ctx)
	must(err)
	must(b.store.DeleteUser(ctx, ana.ID, of("user.delete", "user", ana.ID)))

	entries, err := b.store.ListAudit(ctx, platform.AuditFilter{Limit: 100})
	must(err)
	ids := regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f-]{27}"`)
	times := regexp.MustCompile(`"20\d\d-[0-9T:.Z+-]*"`)
	var got []string
	for _, e := range slices.Backward(entries) {
		line := e.Action + " " + cmp.Or(string(e.Before), "-") + " " + cmp.Or(string(e.After), "-")
		got = append(got, times.ReplaceAllString(ids.ReplaceAllString(line, "X"), "T"))
	}
	settings := func(price string) string {
		return `{"price": ` + price + `, "currency": "EUR", "node_cost": 0, "warm_target": null, "sign_up_by_mail": null, "deletion_grace_days": 14}`
	}
	want := []string{
		`user.create - {"role": "admin"}`,
		`session.create - {"method": "password", "session": X}`,
		`user.create - {"role": "user"}`,
		`session.create - {"method": "password", "session": X}`,
		`session.reauthenticate - {"method": "passkey", "session": X}`,
		`session.revoke {"sessions": [X]} -`,
		`user.password_change - -`,
		`user.second_factor_enable {"codes": false} {"codes": true}`,
		`user.recovery_code_use {"recovery_codes": 2} {"recovery_codes": 1}`,
		`user.recovery_codes_replace {"recovery_codes": 1} {"recovery_codes": 3}`,
		`user.second_factor_disable {"codes": true} {"codes": false}`,
		`user.second_factor_enable {"codes": false} {"codes": true}`,
		`user.second_factor_reset {"codes": true, "passkeys": 0} {"codes": false, "passkeys": 0}`,
		`api_token.create - {"scope": "read", "token": X, "expires_at": T}`,
		`api_token.delete {"scope": "read", "token": X, "expires_at": T} -`,
		`user.deletion_request - {"deletion_at": T}`,
		`user.deletion_cancel {"deletion_at": T} -`,
		`user.block {"state": "active"} {"state": "blocked", "reason": "spam"}`,
		`user.unblock {"state": "blocked", "reason": "spam"} {"state": "active"}`,
		`user.impersonate - {"reason": "a question", "expires_at": T}`,
		`session.delete {"session": X} -`,
		`slice.retire {"state": "assigned", "user_id": X} {"state": "retiring"}`,
		`settings.change ` + settings("0") + ` ` + settings("1500"),
		`user.delete {"role": "user", "slice": 2, "state": "active", "created_at": T} -`,
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("entry %d: %s\nwant %s", i+1, g, w)
		}
	}
}
