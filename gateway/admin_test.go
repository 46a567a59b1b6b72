package gateway

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
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

// usersPage is a page of GET /admin/users.
type usersPage struct {
	Users []struct {
		ID, Email, Role, State string
		Slice                  *struct{ Number int }
		QueuePosition          *int `json:"queue_position"`
		Sessions               int
	}
	NextCursor *string `json:"next_cursor"`
}

func (b *testBundle) users(t *testing.T, cookie, query string) (p usersPage) {
	t.Helper()
	res, body := b.call(t, "GET", "/admin/users?"+query, cookie, "", nil)
	if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 200 || !strings.Contains(body, `"users":[`) {
		t.Fatalf("users?%s: %d %s", query, res.StatusCode, body)
	}
	return p
}

func TestUsersAreSearchedInPages(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.store.addSlice(platform.SliceWarm)
	b.signUp(t, "ana@example.com")
	b.signUp(t, "ben@example.com")
	p := b.users(t, cookie, "limit=2")
	if len(p.Users) != 2 || p.NextCursor == nil || p.Users[0].Email != "ben@example.com" || *p.Users[0].QueuePosition != 1 || p.Users[0].Slice != nil ||
		p.Users[1].Slice.Number != 1 || p.Users[1].QueuePosition != nil || p.Users[1].Sessions != 1 || p.Users[1].State != "active" {
		t.Fatalf("first page %+v", p)
	}
	if p = b.users(t, cookie, "limit=2&cursor="+*p.NextCursor); len(p.Users) != 1 || p.NextCursor != nil || p.Users[0].Role != "admin" {
		t.Errorf("second page %+v", p)
	}
	for query, want := range map[string]int{"email=ANA": 1, "email=%40example": 3, "email=nobody": 0, "role=admin": 1, "state=blocked": 0, "state=active&role=user": 2} {
		if p := b.users(t, cookie, query); len(p.Users) != want {
			t.Errorf("users?%s: %+v", query, p)
		}
	}
	for query, field := range map[string]string{
		"role=root": "role", "state=created": "state", "email=%00": "email", "cursor=x": "cursor", "limit=0": "limit",
		"cursor=MS54": "cursor", "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OS54": "cursor",
	} {
		res, body := b.call(t, "GET", "/admin/users?"+query, cookie, "", nil)
		wantProblem(t, res, body, 400, field)
	}
}

func TestBlockedUserIsKeptOut(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.store.addSlice(platform.SliceWarm)
	ana := b.signUp(t, "ana@example.com")
	conn := b.dialEvents(t, b.signUp(t, "ben@example.com"))
	wantFrame(t, conn, `{"state":"queued","position":1,"estimate_seconds":4}`)
	id := b.users(t, cookie, "email=ana").Users[0].ID
	ben := b.users(t, cookie, "email=ben").Users[0].ID

	for body, field := range map[string]string{`{"reason":""}`: "reason", `{"reason":"` + strings.Repeat("x", 501) + `"}`: "reason", `{"reason":"\u0000"}`: "reason", `{"reason":1}`: "reason", `{"why":"x"}`: "why"} {
		res, got := b.call(t, "POST", "/admin/users/"+id+"/block", cookie, body, nil)
		wantProblem(t, res, got, 400, field)
	}
	for _, missing := range []string{testUserID(99), "x", strings.Repeat("a", 36)} {
		for _, call := range [][2]string{{"POST", "/block"}, {"POST", "/unblock"}, {"GET", ""}, {"DELETE", ""}} {
			res, got := b.call(t, call[0], "/admin/users/"+missing+call[1], cookie, `{"reason":"x"}`, nil)
			wantProblem(t, res, got, 404)
		}
	}
	for _, user := range []string{id, ben} {
		res, got := b.call(t, "POST", "/admin/users/"+user+"/block", cookie, `{"reason":"sends spam"}`, nil)
		if res.StatusCode != 200 || !strings.Contains(got, `"state":"blocked"`) || !strings.Contains(got, `"block_reason":"sends spam"`) || !strings.Contains(got, `"action":"user.block"`) {
			t.Fatalf("block: %d %s", res.StatusCode, got)
		}
	}
	wantClose(t, conn, 1008)
	res, got := b.call(t, "POST", "/admin/users/"+id+"/block", cookie, `{"reason":"again"}`, nil)
	wantProblem(t, res, got, 409)
	for _, path := range []string{"/auth/me", "/api/x", "/auth/slice/events"} {
		res, got := b.call(t, "GET", path, ana, "", nil)
		if wantProblem(t, res, got, 403); !strings.Contains(got, "blocked") {
			t.Errorf("%s: %s", path, got)
		}
	}
	res, got = b.call(t, "GET", "/api/x", ana, "", map[string][]string{"Accept": {"text/html"}})
	if res.StatusCode != 403 || !strings.Contains(got, "<h1>Account blocked</h1>") {
		t.Errorf("page: %d %s", res.StatusCode, got)
	}
	res, got = b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"`+testPassword+`"}`, nil)
	wantProblem(t, res, got, 403)
	res, got = b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"not the password"}`, nil)
	wantProblem(t, res, got, 401) // only who knows the password is told

	if res, got := b.call(t, "POST", "/admin/users/"+id+"/unblock", cookie, "", nil); res.StatusCode != 200 || !strings.Contains(got, `"state":"active"`) {
		t.Fatalf("unblock: %d %s", res.StatusCode, got)
	}
	res, got = b.call(t, "POST", "/admin/users/"+id+"/unblock", cookie, "", nil)
	wantProblem(t, res, got, 409)
	res, got = b.call(t, "GET", "/auth/me", ana, "", nil)
	wantProblem(t, res, got, 401) // the old session has ended
	if res, got := b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"`+testPassword+`"}`, nil); res.StatusCode != 200 || !strings.Contains(got, `"assigned"`) {
		t.Errorf("log-in: %d %s", res.StatusCode, got)
	}
}

func TestAdminsDoNotRemoveThemselves(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	id := b.users(t, cookie, "").Users[0].ID
	res, got := b.call(t, "DELETE", "/admin/users/"+id, cookie, "", nil)
	wantProblem(t, res, got, 409)
	res, got = b.call(t, "POST", "/admin/users/"+id+"/block", cookie, `{"reason":"x"}`, nil)
	wantProblem(t, res, got, 409)
}

func TestDeletedUserLeavesARetiringSlice(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.store.addSlice(platform.SliceWarm)
	ana := b.signUp(t, "ana@example.com")
	id := b.users(t, cookie, "email=ana").Users[0].ID
	if res, got := b.call(t, "DELETE", "/admin/users/"+id, cookie, "", nil); res.StatusCode != 204 || got != "" {
		t.Fatalf("delete: %d %s", res.StatusCode, got)
	}
	res, got := b.call(t, "GET", "/auth/me", ana, "", nil)
	wantProblem(t, res, got, 401)
	res, got = b.call(t, "GET", "/admin/users/"+id, cookie, "", nil)
	wantProblem(t, res, got, 404)
	b.store.locked(func() {
		if sl := b.store.slices[0]; sl.State != platform.SliceRetiring || sl.UserID != "" {
			t.Errorf("slice %+v", sl)
		}
	})
	if _, got := b.call(t, "GET", "/admin/audit?action=user.delete&subject_id="+id, cookie, "", nil); !strings.Contains(got, `"actor_id":"`+testUserID(1)+`"`) {
		t.Errorf("audit %s", got)
	}
}

func TestAdminActsForAUser(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.store.addSlice(platform.SliceWarm)
	own := b.signUp(t, "ana@example.com")
	id := b.users(t, cookie, "email=ana").Users[0].ID
	res, got := b.call(t, "POST", "/admin/users/"+id+"/impersonate", cookie, `{"reason":" "}`, nil)
	wantProblem(t, res, got, 400, "reason")
	res, got = b.call(t, "POST", "/admin/users/"+testUserID(99)+"/impersonate", cookie, `{"reason":"help"}`, nil)
	wantProblem(t, res, got, 404)
	res, got = b.call(t, "POST", "/admin/users/"+testUserID(1)+"/impersonate", cookie, `{"reason":"help"}`, nil)
	wantProblem(t, res, got, 409) // their own

	res, got = b.call(t, "POST", "/admin/users/"+id+"/impersonate", cookie, `{"reason":"asked for help"}`, nil)
	if res.StatusCode != 201 || !strings.Contains(got, "ana@example.com") {
		t.Fatalf("impersonate: %d %s", res.StatusCode, got)
	}
	acting := sessionCookie(t, res)
	if _, got := b.call(t, "GET", "/auth/me", acting, "", nil); !strings.Contains(got, "ana@example.com") || !strings.Contains(got, `"impersonation":{"expires_at":"`) {
		t.Errorf("acting: %s", got)
	}
	b.store.locked(func() {
		for _, ses := range b.store.sessions {
			if ses.ImpersonatorID != "" && (time.Until(ses.ExpiresAt) > 30*time.Minute || time.Until(ses.ExpiresAt) < 29*time.Minute) {
				t.Errorf("acts until %s", ses.ExpiresAt)
			}
		}
	})
	if _, got := b.call(t, "GET", "/auth/me", own, "", nil); !strings.Contains(got, `"impersonation":null`) {
		t.Errorf("the user: %s", got)
	}
	if _, got := b.call(t, "GET", "/auth/sessions", own, "", nil); strings.Count(got, `"impersonated":true`) != 1 || strings.Count(got, `"impersonated":false`) != 1 {
		t.Errorf("the user's sessions: %s", got)
	}
	res, got = b.call(t, "GET", "/admin/pool", cookie, "", nil)
	wantProblem(t, res, got, 401) // the admin's session has ended
	res, got = b.call(t, "GET", "/admin/pool", acting, "", nil)
	wantProblem(t, res, got, 403)
	// What is done then is the admin's doing.
	if res, got := b.call(t, "DELETE", "/auth/sessions", acting, "", nil); res.StatusCode != 204 {
		t.Fatalf("end others: %d %s", res.StatusCode, got)
	}
	entries, _ := b.store.ListAudit(t.Context(), platform.AuditFilter{ActorID: testUserID(1), Limit: 10})
	if len(entries) != 3 || entries[0].Action != "session.revoke" || entries[1].Action != "user.impersonate" || entries[2].Action != "session.create" {
		t.Errorf("audit %+v", entries)
	}
}

func TestSensitiveRoutesAskForRecentAuthentication(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.signUp(t, "ana@example.com")
	id := b.users(t, cookie, "email=ana").Users[0].ID
	b.store.locked(func() {
		for h, ses := range b.store.sessions {
			ses.AuthenticatedAt = ses.AuthenticatedAt.Add(-auth.RecentAuthentication - time.Minute)
			b.store.sessions[h] = ses
		}
	})
	b.NotificationsUp(t.Context()) // forgets what it remembers
	for _, call := range [][2]string{
		{"POST", "/admin/users/" + id + "/block"}, {"DELETE", "/admin/users/" + id}, {"POST", "/admin/users/" + id + "/impersonate"},
		{"DELETE", "/admin/users/" + id + "/second-factor"}, {"POST", "/admin/slices/1/retire"}, {"PATCH", "/admin/settings"},
	} {
		res, got := b.call(t, call[0], call[1], cookie, `{"reason":"x"}`, nil)
		if wantProblem(t, res, got, 403); !strings.Contains(got, "reauthenticate") {
			t.Errorf("%s %s: %s", call[0], call[1], got)
		}
	}
	if res, got := b.call(t, "GET", "/admin/users/"+id, cookie, "", nil); res.StatusCode != 200 {
		t.Errorf("reading: %d %s", res.StatusCode, got)
	}
}

func TestSecondFactorIsReset(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	b.signUp(t, "ana@example.com")
	id := b.users(t, cookie, "email=ana").Users[0].ID
	path := "/admin/users/" + id + "/second-factor"
	res, got := b.call(t, "DELETE", path, cookie, "", nil)
	wantProblem(t, res, got, 409)
	b.store.locked(func() { b.store.factor(id).secret = []byte("x") })
	if _, got := b.call(t, "GET", "/admin/users/"+id, cookie, "", nil); !strings.Contains(got, `"second_factor":true`) || strings.Contains(got, `"secret"`) {
		t.Errorf("before: %s", got)
	}
	if res, got := b.call(t, "DELETE", path, cookie, "", nil); res.StatusCode != 200 || !strings.Contains(got, `"second_factor":false`) || !strings.Contains(got, `"actor_id":"`+testUserID(1)+`"`) {
		t.Errorf("reset: %d %s", res.StatusCode, got)
	}
	res, got = b.call(t, "DELETE", "/admin/users/"+testUserID(99)+"/second-factor", cookie, "", nil)
	wantProblem(t, res, got, 404)
}
