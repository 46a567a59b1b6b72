package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/gateway/auth"
)

// notRecent makes every log-in too old for what asks for a recent one.
func (b *testBundle) notRecent(t *testing.T) {
	t.Helper()
	b.store.locked(func() {
		for h, ses := range b.store.sessions {
			ses.AuthenticatedAt = ses.AuthenticatedAt.Add(-auth.RecentAuthentication - time.Minute)
			b.store.sessions[h] = ses
		}
	})
	b.NotificationsUp(t.Context()) // forgets what it remembers
}

func (b *testBundle) deletionAt(t *testing.T, cookie string) (at time.Time) {
	t.Helper()
	_, body := b.call(t, "GET", "/auth/me", cookie, "", nil)
	var me struct {
		DeletionAt *time.Time `json:"deletion_at"`
	}
	if err := json.Unmarshal([]byte(body), &me); err != nil {
		t.Fatalf("me: %s", body)
	}
	if me.DeletionAt != nil {
		at = *me.DeletionAt
	}
	return at
}

func TestAccountIsDeletedAfterAWhile(t *testing.T) {
	b, box := setupAccounts(t)
	b.store.addSlice(platform.SliceWarm)
	b.signUp(t, "ben@example.com") // has the slice
	b.store.addSlice(platform.SliceWarm)
	cookie := b.signUp(t, "ana@example.com")
	box.next(t, "ben@example.com", "Confirm")
	box.next(t, "ana@example.com", "Confirm")
	logIn := `{"email":"ana@example.com","password":"correct horse"}`
	phone := sessionCookie(t, b.want(t, 200, "POST", "/auth/login", "", logIn))
	b.want(t, 201, "POST", "/auth/tokens", cookie, fmt.Sprintf(`{"name":"mine","scope":"read","expires_at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))

	_, body := b.call(t, "POST", "/auth/account/deletion", cookie, `{"email":" ANA@example.com"}`, nil)
	var out struct {
		DeletionAt time.Time `json:"deletion_at"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || out.DeletionAt.Sub(time.Now().AddDate(0, 0, 14)).Abs() > time.Hour {
		t.Fatalf("deletion %s", body)
	}
	box.next(t, "ana@example.com", "going to be deleted")
	if got := b.deletionAt(t, cookie); !got.Equal(out.DeletionAt) {
		t.Errorf("me: %v, want %v", got, out.DeletionAt)
	}
	b.want(t, 401, "GET", "/auth/me", phone, "")
	if _, body := b.call(t, "GET", "/auth/tokens", cookie, "", nil); !strings.Contains(body, `"tokens":[]`) {
		t.Errorf("tokens %s", body)
	}
	b.want(t, 409, "POST", "/auth/account/deletion", cookie, `{"email":"ana@example.com"}`)

	// Nothing is lost yet: not the account, not the slice.
	b.deleteDueUsers(t.Context())
	again := sessionCookie(t, b.want(t, 200, "POST", "/auth/login", "", logIn))
	if _, body := b.call(t, "GET", "/auth/me", again, "", nil); !strings.Contains(body, `"assigned"`) {
		t.Errorf("meanwhile: %s", body)
	}
	b.want(t, 204, "DELETE", "/auth/account/deletion", again, "")
	box.next(t, "ana@example.com", "stays")
	if got := b.deletionAt(t, again); !got.IsZero() {
		t.Errorf("after the cancellation: %v", got)
	}
	b.want(t, 409, "DELETE", "/auth/account/deletion", again, "")

	b.want(t, 200, "POST", "/auth/account/deletion", again, `{"email":"ana@example.com"}`)
	box.next(t, "ana@example.com", "going to be deleted")
	b.store.locked(func() { b.store.byEmail("ana@example.com").DeletionAt = time.Now() })
	b.deleteDueUsers(t.Context())
	box.next(t, "ana@example.com", "was deleted")
	b.want(t, 401, "GET", "/auth/me", again, "")
	b.want(t, 401, "POST", "/auth/login", "", logIn)
	b.store.locked(func() {
		if one, two := b.store.slices[0], b.store.slices[1]; one.State != platform.SliceAssigned || two.State != platform.SliceRetiring {
			t.Errorf("slices %+v %+v", one, two)
		}
		if len(b.store.users) != 1 {
			t.Errorf("%d users left, want Ben", len(b.store.users))
		}
	})
	if strings.Contains(b.log.String(), "ana@example.com") {
		t.Error("the log holds an address")
	}
}

func TestDeletionAsksToBeSure(t *testing.T) {
	b := setup(t)
	b.signUp(t, "ben@example.com")
	cookie := b.signUp(t, "ana@example.com")
	other := sessionCookie(t, b.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`))
	for body, field := range map[string]string{
		`{}`: "email", `{"email":"ben@example.com"}`: "email", `{"email":"ana@example.com\u0000"}`: "email", `{"email":5}`: "email",
		`{"email":"` + strings.Repeat("a", 500) + `"}`: "email", `{"email":"ana@example.com","now":true}`: "now",
	} {
		res, got := b.call(t, "POST", "/auth/account/deletion", cookie, body, nil)
		wantProblem(t, res, got, 400, field)
	}
	for _, call := range [][2]string{{"POST", "/auth/account/deletion"}, {"DELETE", "/auth/account/deletion"}, {"GET", "/auth/export"}} {
		res, got := b.call(t, call[0], call[1], "", `{"email":"ana@example.com"}`, nil)
		wantProblem(t, res, got, 401)
	}
	res, got := b.call(t, "DELETE", "/auth/account/deletion", cookie, "", nil)
	wantProblem(t, res, got, 409)
	b.notRecent(t)
	for _, call := range [][2]string{{"POST", "/auth/account/deletion"}, {"GET", "/auth/export"}} {
		res, got := b.call(t, call[0], call[1], cookie, `{"email":"ana@example.com"}`, nil)
		if wantProblem(t, res, got, 403); !strings.Contains(got, "reauthenticate") {
			t.Errorf("%s: %s", call[1], got)
		}
	}
	b.store.locked(func() {
		for _, u := range b.store.users {
			if !u.DeletionAt.IsZero() {
				t.Errorf("%s is to be deleted", u.Email)
			}
		}
		for _, e := range b.store.audit {
			if e.Action != "user.create" && e.Action != "session.create" {
				t.Errorf("on record: %s", e.Action)
			}
		}
		if len(b.store.mails) != 2 {
			t.Errorf("%d mails", len(b.store.mails))
		}
	})
	b.want(t, 200, "GET", "/auth/me", other, "")
	// Somebody who has the session does not flood the mailbox.
	fresh := sessionCookie(t, b.want(t, 204, "POST", "/auth/reauthenticate", cookie, `{"password":"correct horse"}`))
	for range 3 {
		b.want(t, 200, "POST", "/auth/account/deletion", fresh, `{"email":"ana@example.com"}`)
		b.want(t, 204, "DELETE", "/auth/account/deletion", fresh, "")
	}
	res, got = b.call(t, "POST", "/auth/account/deletion", fresh, `{"email":"ana@example.com"}`, nil)
	wantProblem(t, res, got, 429)
}

func TestAdminsSeeAndCancelDeletions(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	ana := b.signUp(t, "ana@example.com")
	id := b.users(t, cookie, "email=ana").Users[0].ID
	path := "/admin/users/" + id + "/deletion"
	res, got := b.call(t, "DELETE", path, cookie, "", nil)
	wantProblem(t, res, got, 409)
	if res, got := b.call(t, "PATCH", "/admin/settings", cookie, `{"deletion_grace_days":30}`, nil); res.StatusCode != 200 || !strings.Contains(got, `"deletion_grace_days":30`) {
		t.Errorf("settings: %d %s", res.StatusCode, got)
	}
	b.want(t, 200, "POST", "/auth/account/deletion", ana, `{"email":"ana@example.com"}`)
	at := b.deletionAt(t, ana)
	if at.Sub(time.Now().AddDate(0, 0, 30)).Abs() > time.Hour {
		t.Errorf("deletion at %v, want in 30 days", at)
	}
	for _, path := range []string{"/admin/users?email=ana", "/admin/users/" + id} {
		if _, got := b.call(t, "GET", path, cookie, "", nil); !strings.Contains(got, `"deletion_at":"`+at.Format("2006-01-02T15:04:05")) {
			t.Errorf("%s: %s", path, got)
		}
	}
	// Who is blocked cannot log in to cancel it.
	b.want(t, 200, "POST", "/admin/users/"+id+"/block", cookie, `{"reason":"spam"}`)
	b.want(t, 403, "DELETE", "/auth/account/deletion", ana, "")
	for _, missing := range []string{testUserID(99), "x"} {
		res, got := b.call(t, "DELETE", "/admin/users/"+missing+"/deletion", cookie, "", nil)
		wantProblem(t, res, got, 404)
	}
	if res, got := b.call(t, "DELETE", path, cookie, "", nil); res.StatusCode != 200 || !strings.Contains(got, `"deletion_at":null`) ||
		!strings.Contains(got, `"action":"user.deletion_cancel","subject_type":"user","subject_id":"`+id+`"`) {
		t.Errorf("cancelled: %d %s", res.StatusCode, got)
	}
	res, got = b.call(t, "DELETE", path, ana, "", nil)
	wantProblem(t, res, got, 403)

	// Somebody has to stay.
	res, got = b.call(t, "POST", "/auth/account/deletion", cookie, `{"email":"admin@example.com"}`, nil)
	wantProblem(t, res, got, 409)
}

func TestExportHasAllOfAUserAndNothingOfOthers(t *testing.T) {
	b, box := setupAccounts(t)
	b.store.addSlice(platform.SliceWarm)
	b.store.addSlice(platform.SliceWarm)
	admin := b.admin(t)
	expiry := time.Now().Add(time.Hour).Format(time.RFC3339)
	ben := b.signUp(t, "ben@example.com")
	b.want(t, 201, "POST", "/auth/tokens", ben, fmt.Sprintf(`{"name":"bens","scope":"full","expires_at":%q}`, expiry))
	res, _ := b.call(t, "POST", "/auth/signup", "", `{"email":"ana@example.com","password":"correct horse"}`, http.Header{"X-Forwarded-For": {"192.0.2.7"}, "User-Agent": {"Firefox"}})
	cookie := sessionCookie(t, res)
	box.next(t, "ben@example.com", "Confirm")
	box.next(t, "ana@example.com", "Confirm")
	_, made := b.call(t, "POST", "/auth/tokens", cookie, fmt.Sprintf(`{"name":"anas","scope":"read","expires_at":%q}`, expiry), http.Header{"X-Forwarded-For": {"192.0.2.7"}})
	var token struct{ ID, Token string }
	if err := json.Unmarshal([]byte(made), &token); err != nil {
		t.Fatal(err)
	}
	id := b.users(t, admin, "email=ana").Users[0].ID
	for _, e := range []platform.AuditEntry{ // as the database keeps them
		{ActorID: testUserID(1), Action: "user.block", SubjectID: id, ClientAddr: "198.51.100.9", After: json.RawMessage(`{"state":"blocked","reason":"looked odd"}`)},
		{ActorID: testUserID(1), Action: "user.block", SubjectID: testUserID(2), After: json.RawMessage(`{"state":"blocked","reason":"ben, too"}`)},
	} {
		e.SubjectType = "user"
		_ = b.store.RecordAudit(t.Context(), e)
	}
	cookie = sessionCookie(t, b.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`))
	b.want(t, 200, "POST", "/auth/account/deletion", cookie, `{"email":"ana@example.com"}`)
	box.next(t, "ana@example.com", "going to be deleted")
	b.want(t, 201, "POST", "/auth/tokens", cookie, fmt.Sprintf(`{"name":"anas second","scope":"read","expires_at":%q}`, expiry))

	res, got := b.call(t, "GET", "/auth/export", cookie, "", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Disposition") != `attachment; filename="account.json"` || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("export: %d %v %s", res.StatusCode, res.Header, got)
	}
	for _, want := range []string{
		`"email":"ana@example.com"`, `"export_url":"/api/export"`, `"state":"assigned"`, `"number":2`, `"requested_at":`, `"name":"anas second"`,
		`"kind":"deletion_requested"`, `"enabled":false`, `"action":"user.block"`, `"actor":"support"`, `"actor":"you"`, `"address":"192.0.2.7"`,
		`"after":{"state":"blocked"}`, `"action":"user.export"`, `"current":true`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	var hash string
	b.store.locked(func() { hash = b.store.byID(id).hash })
	for _, not := range []string{
		"ben", "bens", testUserID(1), testUserID(2), "admin@example.com", "198.51.100.9", "looked odd", `"reason"`, // others'
		token.Token, cookie, hash, "argon2", `"token"`, "hash", // secrets
	} {
		if strings.Contains(got, not) {
			t.Errorf("%s in %s", not, got)
		}
	}
	if !json.Valid([]byte(got)) {
		t.Errorf("not JSON: %s", got)
	}
	for range 4 {
		b.want(t, 200, "GET", "/auth/export", cookie, "")
	}
	res, got = b.call(t, "GET", "/auth/export", cookie, "", nil)
	wantProblem(t, res, got, 429)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// A user who waits has no workspace yet, and an export nevertheless; a long
// history comes page by page.
func TestExportWithoutASlice(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	for i := range 1500 {
		reason := fmt.Sprintf(`{"n":%d,"reason":"x"}`, i)
		_ = b.store.RecordAudit(t.Context(), platform.AuditEntry{Action: "user.test", SubjectType: "user", SubjectID: testUserID(1), After: json.RawMessage(reason)})
	}
	_, got := b.call(t, "GET", "/auth/export", cookie, "", nil)
	var out struct {
		Workspace struct {
			State     string
			Position  int
			ExportURL *string `json:"export_url"`
		}
		Slices []struct{}
		Audit  []struct {
			ID    string
			Actor string
			After map[string]any
		}
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(err)
	}
	if out.Workspace.State != "queued" || out.Workspace.Position != 1 || out.Workspace.ExportURL != nil || len(out.Slices) != 0 {
		t.Errorf("%.300s", got)
	}
	if len(out.Audit) != 1502 { // the sign-up and itself too
		t.Fatalf("%d entries", len(out.Audit))
	}
	for i, e := range out.Audit[1:1501] {
		if e.ID != strconv.Itoa(1501-i) || e.Actor != "platform" || len(e.After) != 1 || e.After["n"] != float64(1499-i) {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
}

// failingStore fails to read the audit log the second time.
type failingStore struct {
	*memoryStore
	reads int
}

func (s *failingStore) ListAudit(ctx context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error) {
	if s.reads++; s.reads > 1 {
		return nil, errors.New("connection refused")
	}
	return s.memoryStore.ListAudit(ctx, f)
}

func TestHalfAnExportIsCutOff(t *testing.T) {
	b := setup(t)
	store := &failingStore{memoryStore: b.store}
	b = setupOptions(t, func(o *Options) { o.Store = store })
	b.store = store.memoryStore
	cookie := b.signUp(t, "ana@example.com")
	for range 600 {
		_ = b.store.RecordAudit(t.Context(), platform.AuditEntry{Action: "user.test", SubjectType: "user", SubjectID: testUserID(1)})
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/auth/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", auth.CookieName+"="+cookie)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a whole answer of %d bytes", len(got))
	}
	if !strings.Contains(b.log.String(), "connection refused") {
		t.Error("the log does not say why")
	}
}

func TestUnknownParametersAreRefused(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	users, sessions, queued := b.store.sizes()
	for _, op := range openapitest.Gateway().Operations() {
		method, path, _ := strings.Cut(op, " ")
		if !strings.HasPrefix(path, "/auth/") && !strings.HasPrefix(path, "/admin/") {
			continue
		}
		path = strings.NewReplacer("{id}", testUserID(1), "{number}", "1").Replace(path)
		res, got := b.call(t, method, path+"?nothing=1", cookie, "", nil)
		wantProblem(t, res, got, 400, "nothing")
	}
	for query, field := range map[string]string{"a=%zz": "query", "%ff=1": "\uFFFD", "email=a&email=b": "email", "a;b": "query"} {
		res, got := b.call(t, "GET", "/auth/me?"+query, cookie, "", nil)
		if field == "email" {
			res, got = b.call(t, "GET", "/admin/users?"+query, cookie, "", nil)
		}
		wantProblem(t, res, got, 400, field)
	}
	// What only resembles a route is not found, whatever its query.
	res, got := b.call(t, "GET", "/auth/nothing?a=1", cookie, "", nil)
	wantProblem(t, res, got, 404)
	if u, s, q := b.store.sizes(); u != users || s != sessions || q != queued {
		t.Errorf("changed: %d users, %d sessions, %d queued", u, s, q)
	}
	b.want(t, 200, "GET", "/auth/me", cookie, "")
	b.want(t, 200, "GET", "/healthz?from=nginx", "", "")
}
