package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/pquerna/otp/totp"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// outage is what PostgreSQL's adapter returns while the database is away.
var outage = platform.Errorf(platform.ErrUnavailable, "The database is away.")

// whileDown is how an operation answers while the database is away, where that
// is not 503; and why.
type whileDown struct {
	status int
	why    string
}

// independent operations never need the database.
var independent = map[string]whileDown{
	"GET /healthz":                      {200, "the process is up"},
	"GET /metrics":                      {200, "counted here"},
	"GET /openapi.json":                 {200, "compiled in"},
	"POST /auth/passkeys/login/options": {200, "the challenge is in the cookie"},
}

// remembered are those that need it only to find out who asks.
var remembered = map[string]whileDown{
	"GET /auth/me":           {200, "the session and its slice are remembered"},
	"GET /auth/slice/events": {400, "the request is no WebSocket's"},
	"GET /admin/events":      {400, "the request is no WebSocket's"},
	"GET /admin/nodes":       {200, "Nomad knows"},
}

// bodiesOf are valid, so that nothing but the database is at fault.
func bodiesOf(token string) map[string]string {
	return map[string]string{
		"POST /auth/signup":                  `{"email":"new@example.com","password":"correct horse"}`,
		"POST /auth/login":                   `{"email":"ana@example.com","password":"correct horse"}`,
		"POST /auth/email/verify":            tokenBody(token, ""),
		"POST /auth/email/change":            `{"email":"new@example.com","password":"correct horse"}`,
		"POST /auth/password":                `{"current_password":"correct horse","new_password":"battery staple"}`,
		"POST /auth/signup/mail":             `{"email":"new@example.com"}`,
		"POST /auth/signup/confirm":          tokenBody(token, `,"password":"battery staple"`),
		"POST /auth/password/reset":          `{"email":"ana@example.com"}`,
		"POST /auth/password/reset/confirm":  tokenBody(token, `,"password":"battery staple"`),
		"POST /auth/reauthenticate":          `{"password":"correct horse"}`,
		"PATCH /auth/passkeys/{id}":          `{"name":"mine"}`,
		"POST /auth/totp/confirm":            `{"code":"123456"}`,
		"POST /auth/tokens":                  fmt.Sprintf(`{"name":"mine","scope":"read","expires_at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)),
		"POST /auth/account/deletion":        `{"email":"admin@example.com"}`,
		"PATCH /admin/settings":              `{"price":1}`,
		"POST /admin/slices/{number}/retire": `{"confirm":"slice-1"}`,
		"POST /admin/users/{id}/block":       `{"reason":"spam"}`,
		"POST /admin/users/{id}/impersonate": `{"reason":"asked for help"}`,
	}
}

// cookiesOf returns the cookies that an answer sets, as a request sends them.
func cookiesOf(res *http.Response) string {
	var all []string
	for _, c := range res.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// While the database is away every operation that needs it says so, in the form
// that the document promises: call checks that each answer is a documented one.
func TestDatabaseOutage(t *testing.T) {
	b, _ := withSlice(t)
	ana := b.signUp(t, "ana@example.com") // has slice 1
	_, offer := b.call(t, "POST", "/auth/totp", ana, "", nil)
	b.want(t, 200, "POST", "/auth/totp/confirm", ana, codeOf(t, offer))
	admin := b.admin(t)
	key := b.browser(admin)
	key.register(t, "mine")

	bodies := bodiesOf(platform.NewSessionToken())
	// What has a first step, and how its second one goes on.
	firstSteps := map[string]struct {
		path, body string
		status     int
		second     func(t testing.TB, first string) string
	}{
		"POST /auth/login/code": {"/auth/login", `{"email":"ana@example.com","password":"correct horse"}`, 401,
			func(testing.TB, string) string { return `{"code":"123456"}` }},
		"POST /auth/passkeys": {"/auth/passkeys/options", "", 200,
			func(t testing.TB, options string) string {
				another := b.browser(admin) // a device that is not registered yet
				return named("another", another.Create(t, options))
			}},
		"POST /auth/passkeys/login": {"/auth/passkeys/login/options", "", 200,
			func(t testing.TB, options string) string { return credential(key.Sign(t, options)) }},
		"POST /auth/reauthenticate/passkey": {"/auth/reauthenticate/passkey/options", "", 200,
			func(t testing.TB, options string) string { return credential(key.Sign(t, options)) }},
	}
	away := func(err error) { b.store.locked(func() { b.store.down = err }) }
	fill := strings.NewReplacer("{number}", "1", "{id}", testUserID(1))
	users, sessions, queued := b.store.sizes()
	for _, known := range []bool{false, true} {
		exceptions := maps.Clone(independent)
		if known {
			maps.Copy(exceptions, remembered)
		}
		for _, op := range document.Operations() {
			method, path, _ := strings.Cut(op, " ")
			if !described(path) {
				continue
			}
			want, excepted := exceptions[op]
			delete(exceptions, op)
			if !excepted {
				want = whileDown{http.StatusServiceUnavailable, "it needs the database"}
			}
			t.Run(fmt.Sprintf("%s, session known %v", op, known), func(t *testing.T) {
				defer away(nil)
				session := admin
				if op == "POST /auth/tokens" { // not for admins
					session = ana
				}
				body, cookies := bodies[op], auth.CookieName+"="+session
				if first, ok := firstSteps[op]; ok {
					res, got := b.call(t, "POST", first.path, session, first.body, nil)
					if res.StatusCode != first.status {
						t.Fatalf("first step: %d %s", res.StatusCode, got)
					}
					body, cookies = first.second(t, got), cookies+"; "+cookiesOf(res)
				}
				b.NotificationsUp(t.Context()) // forgets who is known
				if known {
					b.want(t, 200, "GET", "/auth/me", session, "")
				}
				away(fmt.Errorf("wrapped: %w", outage))
				res, got := b.call(t, method, fill.Replace(path), "", body, http.Header{"Cookie": {cookies}})
				if res.StatusCode != want.status {
					t.Fatalf("%d %.300s, want %d: %s", res.StatusCode, got, want.status, want.why)
				}
				if !excepted {
					wantProblem(t, res, got, http.StatusServiceUnavailable)
					if !strings.Contains(got, `"/problems/unavailable"`) || strings.Contains(got, "wrapped") {
						t.Error(got)
					}
				}
			})
		}
		for op := range exceptions {
			t.Errorf("%s is an exception, and no operation", op)
		}
	}
	if u, s, q := b.store.sizes(); u != users || s != sessions || q != queued {
		t.Errorf("%d users, %d sessions, %d queued; there were %d, %d, %d", u, s, q, users, sessions, queued)
	}
}

// codeOf answers the offer of a second factor.
func codeOf(t testing.TB, offer string) string {
	t.Helper()
	var o struct{ Secret string }
	if err := json.Unmarshal([]byte(offer), &o); err != nil {
		t.Fatalf("offer %s", offer)
	}
	code, err := totp.GenerateCode(o.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"code":%q}`, code)
}

// What the gateway serves and what the document says are the same.
func TestDocumentHasTheRoutes(t *testing.T) {
	relayed := []string{"GET /api/{path}"} // to slices, by no route
	b := setup(t)
	var routes []string
	for _, r := range b.own.(*gin.Engine).Routes() {
		parts := strings.Split(r.Path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		routes = append(routes, r.Method+" "+strings.Join(parts, "/"))
	}
	operations := document.Operations()
	for _, r := range routes {
		if !slices.Contains(operations, r) {
			t.Errorf("%s is served, and not in the document", r)
		}
	}
	for _, op := range operations {
		if slices.Contains(routes, op) == slices.Contains(relayed, op) {
			t.Errorf("%s is in the document, and not served, or not excepted", op)
		}
	}
}
