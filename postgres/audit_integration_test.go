//go:build integration

package postgres_test

import (
	"encoding/json"
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
