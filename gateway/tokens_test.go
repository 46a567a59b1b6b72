package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/proxy"
)

// apiSlice is the address of every slice.
type apiSlice string

func (a apiSlice) Resolve(context.Context, int) (string, error) { return string(a), nil }
func (apiSlice) Invalidate(int, string)                         {}

func TestAPITokens(t *testing.T) {
	slice := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %q", r.Method, r.Header.Get(platform.HeaderUserEmail), r.Header["Authorization"])
	}))
	t.Cleanup(slice.Close)
	b := setupWith(t, apiSlice(slice.Listener.Addr().String()), proxy.Limits{Requests: 64, Rate: 1000, Burst: 1000})
	b.store.addSlice(platform.SliceWarm)
	cookie := b.signUp(t, "ana@example.com")
	ben := b.signUp(t, "ben@example.com")
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for body, fields := range map[string][]string{
		`{}`: {"name", "scope", "expires_at"},
		`{"name":"n8n","scope":"admin","expires_at":"` + later + `"}`:                             {"scope"},
		`{"name":"n8n","scope":"read","expires_at":"2020-01-01T00:00:00Z"}`:                       {"expires_at"},
		`{"name":"n8n","scope":"read","expires_at":"2199-01-01T00:00:00Z"}`:                       {"expires_at"},
		`{"name":"` + strings.Repeat("x", 101) + `","scope":"read","expires_at":"` + later + `"}`: {"name"},
		`{"name":"a\u0000","scope":"read","expires_at":"` + later + `"}`:                          {"name"},
		`{"name":"n8n","scope":"read","expires_at":"` + later + `","user_id":"x"}`:                {"user_id"},
	} {
		res, got := b.call(t, "POST", "/auth/tokens", cookie, body, nil)
		wantProblem(t, res, got, 400, fields...)
	}
	type made struct{ ID, Token string }
	create := func(scope string) (m made) {
		t.Helper()
		res, body := b.call(t, "POST", "/auth/tokens", cookie, fmt.Sprintf(`{"name":"n8n","scope":%q,"expires_at":%q}`, scope, later), nil)
		if err := json.Unmarshal([]byte(body), &m); err != nil || res.StatusCode != 201 || !strings.HasPrefix(m.Token, "crm_") {
			t.Fatalf("create: %d %s", res.StatusCode, body)
		}
		return m
	}
	b.notRecent(t)
	res, got := b.call(t, "POST", "/auth/tokens", cookie, `{"name":"n8n","scope":"read","expires_at":"`+later+`"}`, nil)
	if wantProblem(t, res, got, 403); !strings.Contains(got, "/problems/reauthenticate") {
		t.Errorf("long after the log-in: %s", got)
	}
	res, _ = b.call(t, "POST", "/auth/reauthenticate", cookie, `{"password":"correct horse"}`, nil)
	cookie = sessionCookie(t, res)
	read, full := create("read"), create("full")
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	try := func(method, path string, h http.Header, want int, answer string) {
		t.Helper()
		res, body := b.call(t, method, path, "", "", h)
		if res.StatusCode != want || answer != "" && body != answer {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, res.StatusCode, body, want, answer)
		}
	}
	try("GET", "/api/chats", bearer(read.Token), 200, `GET ana@example.com []`)
	try("POST", "/api/chats", bearer(read.Token), 403, "")
	try("DELETE", "/api/chats/1", bearer(read.Token), 403, "")
	socket := bearer(read.Token)
	socket.Set("Connection", "Upgrade")
	socket.Set("Upgrade", "websocket")
	try("GET", "/socket.io/", socket, 403, "")
	cross := bearer(full.Token)
	cross.Set("Sec-Fetch-Site", "cross-site") // a token is not what browsers send by themselves
	try("POST", "/api/chats", cross, 200, `POST ana@example.com []`)
	// Not for what the gateway answers, and never together with a cookie.
	try("GET", "/auth/me", bearer(full.Token), 401, "")
	try("GET", "/auth/tokens", bearer(full.Token), 401, "")
	try("GET", "/admin/pool", bearer(full.Token), 401, "")
	for _, bad := range []string{"", "x", platform.NewAPIToken(), cookie, full.Token + "x", "CRM_" + full.Token[4:]} {
		h := bearer(bad)
		h.Set("Cookie", "__Host-session="+cookie)
		try("GET", "/api/chats", h, 401, "")
	}
	try("GET", "/api/chats", http.Header{"Authorization": {"Bearer " + full.Token, "Bearer " + read.Token}}, 401, "")
	for _, odd := range [][]string{{"Basic eDp5", "Bearer " + full.Token}, {"Bearer"}, {"Bearer ", "Basic eDp5"}, {"bearer\tcrm_x"}} { // nor by the cookie beside it
		try("GET", "/api/chats", http.Header{"Authorization": odd, "Cookie": {auth.CookieName + "=" + cookie}}, 401, "")
	}
	if res, body := b.call(t, "GET", "/api/chats", full.Token, "", nil); res.StatusCode != 401 {
		t.Errorf("a token as a cookie: %d %s", res.StatusCode, body)
	}
	// Another scheme is the slice's own business.
	if _, body := b.call(t, "GET", "/api/chats", cookie, "", http.Header{"Authorization": {"Basic eA=="}}); body != `GET ana@example.com ["Basic eA=="]` {
		t.Errorf("another scheme: %s", body)
	}
	if _, body := b.call(t, "GET", "/auth/tokens", cookie, "", nil); strings.Count(body, `"id"`) != 2 || strings.Contains(body, "crm_") {
		t.Errorf("list %s", body)
	}
	for _, id := range []string{uuid.NewString(), "x"} {
		b.want(t, 404, "DELETE", "/auth/tokens/"+id, cookie, "")
	}
	b.want(t, 404, "DELETE", "/auth/tokens/"+full.ID, ben, "")
	b.want(t, 204, "DELETE", "/auth/tokens/"+full.ID, cookie, "")
	try("GET", "/api/chats", bearer(full.Token), 401, "")
	try("GET", "/api/chats", bearer(read.Token), 200, "")
	for range platform.MaxAPITokens - 1 {
		create("read")
	}
	res, body := b.call(t, "POST", "/auth/tokens", cookie, fmt.Sprintf(`{"name":"n8n","scope":"read","expires_at":%q}`, later), nil)
	wantProblem(t, res, body, 409)
	if strings.Contains(b.log.String(), read.Token) {
		t.Error("the log holds a token")
	}
}
