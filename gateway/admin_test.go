package gateway

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"ipnoelp.io/platform"
)

// admin returns the cookie of an admin's session.
func (b *testBundle) admin(t testing.TB) string {
	t.Helper()
	if err := b.EnsureAdmin(t.Context(), platform.Credentials{Email: "admin@example.com", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	res, body := b.call(t, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"`+testPassword+`"}`, nil)
	if res.StatusCode != 200 {
		t.Fatalf("log-in: %d %s", res.StatusCode, body)
	}
	return sessionCookie(t, res)
}

func TestAuditLogIsReadInPages(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	for i := range 3 {
		_ = b.store.RecordAudit(t.Context(), platform.AuditEntry{
			Action: "user.block", SubjectType: "user", SubjectID: strconv.Itoa(i), After: json.RawMessage(`{"state":"blocked"}`),
		})
	}
	type page struct {
		Entries []struct {
			ID        string
			ActorID   *string `json:"actor_id"`
			SubjectID string  `json:"subject_id"`
			Before    *struct{}
			After     struct{ State string }
		}
		NextCursor *string `json:"next_cursor"`
	}
	list := func(query string) (p page) {
		t.Helper()
		res, body := b.call(t, "GET", "/admin/audit?action=user.block&"+query, cookie, "", nil)
		if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 200 || !strings.Contains(body, `"entries":[`) {
			t.Fatalf("audit?%s: %d %s", query, res.StatusCode, body)
		}
		return p
	}
	p := list("limit=2")
	if len(p.Entries) != 2 || p.Entries[0].SubjectID != "2" || p.Entries[0].ActorID != nil || p.Entries[0].Before != nil || p.Entries[0].After.State != "blocked" || p.NextCursor == nil {
		t.Fatalf("first page %+v", p)
	}
	if p = list("limit=2&cursor=" + *p.NextCursor); len(p.Entries) != 1 || p.NextCursor != nil {
		t.Errorf("second page %+v", p)
	}
	if p = list("subject_type=slice"); len(p.Entries) != 0 {
		t.Errorf("of slices: %+v", p)
	}
	for query, field := range map[string]string{
		"actor=x": "actor", "since=today": "since", "until=-1": "until", "action=a%00": "action", "subject_id=" + strings.Repeat("x", 101): "subject_id",
		"cursor=0": "cursor", "limit=-1": "limit", "who=me": "who", "action=%ff": "action", "a=%zz": "query",
		"since=" + url.QueryEscape("0000-01-01T00:00:00Z"): "since",
	} {
		res, body := b.call(t, "GET", "/admin/audit?"+query, cookie, "", nil)
		wantProblem(t, res, body, 400, field)
	}
	res, body := b.call(t, "GET", "/admin/audit", b.signUp(t, "ana@example.com"), "", nil)
	wantProblem(t, res, body, 403)
	res, body = b.call(t, "GET", "/admin/audit", "", "", nil)
	wantProblem(t, res, body, 401)
}
