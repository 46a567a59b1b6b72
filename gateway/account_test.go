package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// mailbox is everybody's.
type mailbox struct {
	got chan platform.Mail
}

func (m *mailbox) Send(_ context.Context, mail platform.Mail) error { m.got <- mail; return nil }

var linkToken = regexp.MustCompile(`#token=(\S+)`)

// next waits for the next mail to somebody, and returns the token in its link.
func (m *mailbox) next(t *testing.T, to, subject string) (token string) {
	t.Helper()
	select {
	case mail := <-m.got:
		if mail.To != to || !strings.Contains(mail.Subject, subject) {
			t.Fatalf("mail %+v, want one about %q to %s", mail, subject, to)
		}
		if found := linkToken.FindStringSubmatch(mail.Text); found != nil {
			token = found[1]
		}
		return token
	case <-time.After(10 * time.Second):
		t.Fatalf("no mail about %q", subject)
		return ""
	}
}

func setupAccounts(t *testing.T, change ...func(*Options)) (*testBundle, *mailbox) {
	t.Helper()
	box := &mailbox{got: make(chan platform.Mail, 20)}
	b := setupOptions(t, func(o *Options) {
		o.Mailer = box
		for _, f := range change {
			f(o)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.mails.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return b, box
}

func (b *testBundle) want(t *testing.T, status int, method, path, cookie, body string) *http.Response {
	t.Helper()
	res, got := b.call(t, method, path, cookie, body, nil)
	if res.StatusCode != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, got, status)
	}
	return res
}

func tokenBody(token, more string) string { return fmt.Sprintf(`{"token":%q%s}`, token, more) }

// Where mails reach people nobody but the owner of an address learns whether it has
// an account, unless admins want it otherwise: the answers are the same, and mails
// say it.
func TestSignUpByMail(t *testing.T) {
	b, box := setupAccounts(t, func(o *Options) { o.MailsDelivered = true })
	admin := b.admin(t)
	wantWay := func(when string, byMail bool) {
		t.Helper()
		if _, got := b.call(t, "GET", "/auth/signup", "", "", nil); strings.TrimSpace(got) != fmt.Sprintf(`{"by_mail":%v}`, byMail) {
			t.Errorf("%s: %s", when, got)
		}
	}
	set := func(v string) {
		t.Helper()
		b.want(t, 200, "PATCH", "/admin/settings", admin, `{"sign_up_by_mail":`+v+`}`)
	}
	wantWay("with the settings of the beginning", true)
	set("false")
	wantWay("against an admin's word", false)
	b.signUp(t, "taken@example.com")
	box.next(t, "taken@example.com", "Confirm")
	b.want(t, 403, "POST", "/auth/signup/mail", "", `{"email":"ana@example.com"}`)
	set("true")
	wantWay("at an admin's word", true)
	set("null")
	wantWay("as it was", true)

	var refused []string
	for _, email := range []string{"taken@example.com", "ana@example.com"} {
		res, body := b.call(t, "POST", "/auth/signup", "", `{"email":"`+email+`","password":"correct horse battery"}`, http.Header{"X-Request-Id": {"0123456789abcdef"}})
		if res.StatusCode != 403 {
			t.Errorf("%s at once: %d %s", email, res.StatusCode, body)
		}
		refused = append(refused, regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(body, ""))
		res, body = b.call(t, "POST", "/auth/signup/mail", "", `{"email":"`+email+`"}`, nil)
		if res.StatusCode != 202 || body != "" || len(res.Cookies()) > 0 {
			t.Errorf("%s by mail: %d %q", email, res.StatusCode, body)
		}
	}
	if refused[0] != refused[1] {
		t.Errorf("%s for a taken address, %s for a free one", refused[0], refused[1])
	}
	if token := box.next(t, "taken@example.com", "You have an account already"); token != "" {
		t.Error("a link to sign up, for an address that has an account")
	}
	token := box.next(t, "ana@example.com", "Go on with your sign-up")

	b.want(t, 400, "POST", "/auth/signup/mail", "", `{"email":"ana"}`)
	b.want(t, 400, "POST", "/auth/signup/confirm", "", tokenBody(token, `,"password":"short"`))
	b.want(t, 400, "POST", "/auth/signup/confirm", "", tokenBody(token, `,"password":"ana@example.com"`))
	b.want(t, 404, "POST", "/auth/signup/confirm", "", tokenBody(platform.NewSessionToken(), `,"password":"correct horse battery"`))
	res := b.want(t, 201, "POST", "/auth/signup/confirm", "", tokenBody(token, `,"password":"correct horse battery"`))
	_, body := b.call(t, "GET", "/auth/me", sessionCookie(t, res), "", nil)
	if !strings.Contains(body, `"email":"ana@example.com"`) || !strings.Contains(body, `"email_verified":true`) {
		t.Errorf("me: %s", body)
	}
	b.want(t, 404, "POST", "/auth/signup/confirm", "", tokenBody(token, `,"password":"correct horse battery"`))
	b.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse battery"}`)

	// Who asks too often is not told, and nobody gets more mails.
	for range 5 {
		b.want(t, 202, "POST", "/auth/signup/mail", "", `{"email":"often@example.com"}`)
	}
	for range 3 {
		box.next(t, "often@example.com", "Go on")
	}
	select {
	case mail := <-box.got:
		t.Errorf("one more mail: %+v", mail)
	case <-time.After(3 * time.Second):
	}
}

// Without a way to reach people a sign-up makes an account at once, unless admins want
// it otherwise.
func TestSignUpAtOnce(t *testing.T) {
	b, box := setupAccounts(t)
	admin := b.admin(t)
	b.want(t, 403, "POST", "/auth/signup/mail", "", `{"email":"ana@example.com"}`)
	b.signUp(t, "ana@example.com")
	box.next(t, "ana@example.com", "Confirm")
	b.want(t, 409, "POST", "/auth/signup", "", `{"email":"ana@example.com","password":"correct horse battery"}`)
	b.want(t, 200, "PATCH", "/admin/settings", admin, `{"sign_up_by_mail":true}`)
	b.want(t, 403, "POST", "/auth/signup", "", `{"email":"ana@example.com","password":"correct horse battery"}`)
	b.want(t, 202, "POST", "/auth/signup/mail", "", `{"email":"ana@example.com"}`)
	box.next(t, "ana@example.com", "You have an account already")
}

func TestEmailIsVerified(t *testing.T) {
	b, box := setupAccounts(t)
	cookie := b.signUp(t, "ana@example.com")
	first := box.next(t, "ana@example.com", "Confirm")
	if _, body := b.call(t, "GET", "/auth/me", cookie, "", nil); !strings.Contains(body, `"email_verified":false`) {
		t.Errorf("me: %s", body)
	}
	b.want(t, 202, "POST", "/auth/email/verify/resend", cookie, "")
	second := box.next(t, "ana@example.com", "Confirm")
	if first == second {
		t.Error("the same token twice")
	}
	b.want(t, 200, "POST", "/auth/email/verify", "", tokenBody(first, "")) // on any device
	if _, body := b.call(t, "GET", "/auth/me", cookie, "", nil); !strings.Contains(body, `"email_verified":true`) {
		t.Errorf("me: %s", body)
	}
	for _, used := range []string{first, second} {
		b.want(t, 404, "POST", "/auth/email/verify", "", tokenBody(used, ""))
	}
	b.want(t, 409, "POST", "/auth/email/verify/resend", cookie, "")
	if strings.Contains(b.log.String(), first) || strings.Contains(b.log.String(), "ana@example.com") {
		t.Error("the log holds a token or an address")
	}
}

func TestPasswordIsReset(t *testing.T) {
	b, box := setupAccounts(t)
	cookie := b.signUp(t, "ana@example.com")
	box.next(t, "ana@example.com", "Confirm")
	// Nobody can tell who has an account.
	known := b.want(t, 202, "POST", "/auth/password/reset", "", `{"email":" Ana@example.com"}`)
	unknown := b.want(t, 202, "POST", "/auth/password/reset", "", `{"email":"nobody@example.com"}`)
	for k := range known.Header {
		if k != "X-Request-Id" && k != "Date" && known.Header.Get(k) != unknown.Header.Get(k) {
			t.Errorf("%s differs", k)
		}
	}
	token := box.next(t, "ana@example.com", "new password")
	res, body := b.call(t, "POST", "/auth/password/reset/confirm", "", tokenBody(token, `,"password":"password123"`), nil)
	wantProblem(t, res, body, 400, "password")
	res, body = b.call(t, "POST", "/auth/email/verify", "", tokenBody(token, ""), nil)
	wantProblem(t, res, body, 404)
	// The fake store takes a token even for the wrong purpose: ask again.
	b.want(t, 202, "POST", "/auth/password/reset", "", `{"email":"ana@example.com"}`)
	token = box.next(t, "ana@example.com", "new password")
	b.want(t, 204, "POST", "/auth/password/reset/confirm", "", tokenBody(token, `,"password":"battery staple"`))
	box.next(t, "ana@example.com", "was changed")
	b.want(t, 401, "GET", "/auth/me", cookie, "")
	b.want(t, 404, "POST", "/auth/password/reset/confirm", "", tokenBody(token, `,"password":"battery staple"`))
	b.want(t, 401, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`)
	b.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"battery staple"}`)
	select {
	case m := <-box.got:
		t.Errorf("a mail too many: %+v", m)
	default:
	}
}

func TestEmailIsChanged(t *testing.T) {
	b, box := setupAccounts(t)
	b.signUp(t, "taken@example.com")
	cookie := b.signUp(t, "ana@example.com")
	box.next(t, "taken@example.com", "Confirm")
	box.next(t, "ana@example.com", "Confirm")
	change := func(email, password string) string { return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password) }
	for _, c := range []struct {
		body   string
		status int
		field  string
	}{
		{change("new@example.com", "wrong horse"), 400, "password"},
		{change("new@example.com", ""), 400, "password"},
		{change("new@", testPassword), 400, "email"},
		{change("ana@example.com", testPassword), 400, "email"},
	} {
		res, body := b.call(t, "POST", "/auth/email/change", cookie, c.body, nil)
		if c.field == "" {
			wantProblem(t, res, body, c.status)
		} else {
			wantProblem(t, res, body, c.status, c.field)
		}
	}
	b.notRecent(t)
	for _, call := range [][2]string{{"/auth/email/change", change("new@example.com", testPassword)}, {"/auth/password", `{"current_password":"correct horse","new_password":"another horse"}`}} {
		res, body := b.call(t, "POST", call[0], cookie, call[1], nil)
		if wantProblem(t, res, body, 403); !strings.Contains(body, "/problems/reauthenticate") {
			t.Errorf("%s: %s", call[0], body)
		}
	}
	res, _ := b.call(t, "POST", "/auth/reauthenticate", cookie, `{"password":"correct horse"}`, nil)
	cookie = sessionCookie(t, res)
	b.want(t, 202, "POST", "/auth/email/change", cookie, change("taken@example.com", testPassword)) // and no mail
	b.want(t, 202, "POST", "/auth/email/change", cookie, change("New@example.com", testPassword))
	token := box.next(t, "new@example.com", "new e-mail address")
	if _, body := b.call(t, "GET", "/auth/me", cookie, "", nil); !strings.Contains(body, `"ana@example.com"`) {
		t.Errorf("changed before it was confirmed: %s", body)
	}
	b.want(t, 200, "POST", "/auth/email/verify", "", tokenBody(token, ""))
	box.next(t, "ana@example.com", "was changed")
	if _, body := b.call(t, "GET", "/auth/me", cookie, "", nil); !strings.Contains(body, `"new@example.com"`) || !strings.Contains(body, `"email_verified":true`) {
		t.Errorf("me: %s", body)
	}
	b.want(t, 200, "POST", "/auth/login", "", change("new@example.com", testPassword))
}

func TestPasswordIsChanged(t *testing.T) {
	b, box := setupAccounts(t)
	other := b.signUp(t, "ana@example.com")
	box.next(t, "ana@example.com", "Confirm")
	cookie := sessionCookie(t, b.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`))
	for body, fields := range map[string][]string{
		`{"current_password":"wrong horse","new_password":"battery staple"}`:    {"current_password"},
		`{"current_password":"correct horse","new_password":"short"}`:           {"new_password"},
		`{"current_password":"correct horse","new_password":"correct horse"}`:   {"new_password"},
		`{"current_password":"correct horse","new_password":"qwertyuiop123"}`:   {"new_password"},
		`{"current_password":"correct horse","new_password":"ana@example.com"}`: {"new_password"},
		`{}`: {"current_password", "new_password"},
		`{"current_password":"correct horse","new_password":"battery staple","role":"admin"}`: {"role"},
	} {
		res, got := b.call(t, "POST", "/auth/password", cookie, body, nil)
		wantProblem(t, res, got, 400, fields...)
	}
	res := b.want(t, 204, "POST", "/auth/password", cookie, `{"current_password":"correct horse","new_password":"battery staple"}`)
	rotated := sessionCookie(t, res)
	box.next(t, "ana@example.com", "was changed")
	b.want(t, 401, "GET", "/auth/me", cookie, "")
	b.want(t, 401, "GET", "/auth/me", other, "")
	b.want(t, 200, "GET", "/auth/me", rotated, "")
	b.want(t, 401, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`)
	entries, _ := b.store.ListAudit(t.Context(), platform.AuditFilter{Action: "user.password_change", Limit: 10})
	if len(entries) != 1 || entries[0].ActorID != testUserID(1) || entries[0].SubjectID != testUserID(1) || entries[0].RequestID == "" || entries[0].ClientAddr == "" {
		t.Errorf("audit %+v", entries)
	}
}

func TestReauthenticationRotatesTheSession(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	hash, _ := platform.HashSessionToken(cookie)
	b.store.locked(func() {
		ses := b.store.sessions[hash]
		ses.AuthenticatedAt, ses.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(time.Hour) // unless it is used
		b.store.sessions[hash] = ses
	})
	b.sessions.Invalidate(hash)
	res, body := b.call(t, "POST", "/auth/reauthenticate", cookie, `{"password":"wrong horse"}`, nil)
	wantProblem(t, res, body, 400, "password")
	res, body = b.call(t, "POST", "/auth/reauthenticate", cookie, `{}`, nil)
	wantProblem(t, res, body, 400, "password")
	res = b.want(t, 204, "POST", "/auth/reauthenticate", cookie, `{"password":"correct horse"}`)
	rotated := sessionCookie(t, res)
	for _, c := range res.Cookies() { // the browser keeps it as long as the session can last
		if age := time.Duration(c.MaxAge) * time.Second; c.Name == auth.CookieName && (age > platform.SessionLifetime || age < platform.SessionLifetime-time.Minute) {
			t.Errorf("the cookie lasts %s", age)
		}
	}
	b.want(t, 401, "GET", "/auth/me", cookie, "")
	b.want(t, 200, "GET", "/auth/me", rotated, "")
	hash, _ = platform.HashSessionToken(rotated)
	if id, err := b.sessions.Lookup(t.Context(), hash); err != nil || time.Since(id.AuthenticatedAt) > time.Minute {
		t.Errorf("identity %+v, %v", id, err)
	}
	for i := range 11 {
		res, body = b.call(t, "POST", "/auth/reauthenticate", rotated, `{"password":"wrong horse"}`, nil)
		if i == 10 {
			wantProblem(t, res, body, 429)
		}
	}
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	b := setup(t)
	b.signUp(t, "ben@example.com")
	own := b.signUp(t, "ana@example.com")
	logIn := func() string {
		res, _ := b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`,
			http.Header{"User-Agent": {strings.Repeat("Browser \xff", 100)}, "X-Forwarded-For": {"192.0.2.9"}})
		return sessionCookie(t, res)
	}
	phone, tablet := logIn(), logIn()
	list := func() (all []struct {
		ID, Address string
		UserAgent   string `json:"user_agent"`
		LastSeenAt  string `json:"last_seen_at"`
		Current     bool
	}) {
		t.Helper()
		var out struct{ Sessions json.RawMessage }
		_, body := b.call(t, "GET", "/auth/sessions", own, "", nil)
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Sessions, &all); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		return all
	}
	all := list()
	current, phoneID := 0, ""
	phoneHash, _ := platform.HashSessionToken(phone)
	b.store.locked(func() { phoneID = b.store.sessions[phoneHash].ID })
	for _, s := range all {
		if s.Current {
			current++
		}
		if s.ID == phoneID && (s.Address != "192.0.2.9" || len([]rune(s.UserAgent)) != 300 || s.Current) {
			t.Errorf("session %+v", s)
		}
	}
	if len(all) != 3 || current != 1 {
		t.Fatalf("sessions %+v", all)
	}
	b.want(t, 204, "DELETE", "/auth/sessions/"+phoneID, own, "")
	b.want(t, 401, "GET", "/auth/me", phone, "")
	var ofBen string
	b.store.locked(func() {
		for _, s := range b.store.sessions {
			if s.User.Email == "ben@example.com" {
				ofBen = s.ID
			}
		}
	})
	for _, id := range []string{phoneID, ofBen, uuid.NewString(), "x", strings.ToUpper(ofBen), "%00"} {
		b.want(t, 404, "DELETE", "/auth/sessions/"+id, own, "")
	}
	b.want(t, 204, "DELETE", "/auth/sessions", own, "")
	b.want(t, 401, "GET", "/auth/me", tablet, "")
	if all := list(); len(all) != 1 || !all[0].Current {
		t.Errorf("sessions %+v", all)
	}
	res := b.want(t, 204, "DELETE", "/auth/sessions/"+list()[0].ID, own, "")
	if !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Error("the cookie is left")
	}
	if _, sessions, _ := b.store.sizes(); sessions != 1 {
		t.Errorf("%d sessions left, want Ben's", sessions)
	}
}

func TestAccountRoutesRefuseBadInput(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	made := platform.NewSessionToken()
	for _, c := range []struct {
		method, path, cookie, body string
		status                     int
		fields                     []string
	}{
		{"POST", "/auth/email/verify", "", `{}`, 400, []string{"token"}},
		{"POST", "/auth/email/verify", "", `{"token":5}`, 400, []string{"token"}},
		{"POST", "/auth/email/verify", "", `{"token":"x"}`, 404, nil},
		{"POST", "/auth/email/verify", "", tokenBody(made, ""), 404, nil},
		{"POST", "/auth/email/verify", "", tokenBody(made, `,"x":1`), 400, []string{"x"}},
		{"POST", "/auth/email/verify/resend", "", "", 401, nil},
		{"POST", "/auth/email/change", "", `{}`, 401, nil},
		{"POST", "/auth/email/change", cookie, `{}`, 400, []string{"email", "password"}},
		{"POST", "/auth/email/change", cookie, `{"email":"a\u0000@b.co","password":"correct horse"}`, 400, []string{"email"}},
		{"POST", "/auth/password", "", `{}`, 401, nil},
		{"POST", "/auth/password/reset", "", `{}`, 400, []string{"email"}},
		{"POST", "/auth/password/reset", "", `{"email":"a\u0000@b.co"}`, 400, []string{"email"}},
		{"POST", "/auth/password/reset", "", `{"email":"` + strings.Repeat("a", 250) + `@b.co"}`, 400, []string{"email"}},
		{"POST", "/auth/password/reset/confirm", "", tokenBody(made, `,"password":"battery staple"`), 404, nil},
		{"POST", "/auth/password/reset/confirm", "", `{"password":"battery staple"}`, 400, []string{"token"}},
		{"POST", "/auth/reauthenticate", "", `{"password":"x"}`, 401, nil},
		{"GET", "/auth/sessions", "", "", 401, nil},
		{"DELETE", "/auth/sessions", "", "", 401, nil},
		{"DELETE", "/auth/sessions/" + uuid.NewString(), "", "", 401, nil},
		{"POST", "/auth/login", "", `{"email":"a\u0000@b.co","password":"x"}`, 401, nil},
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			res, body := b.call(t, c.method, c.path, c.cookie, c.body, nil)
			wantProblem(t, res, body, c.status, c.fields...)
		})
	}
	b.want(t, 200, "GET", "/auth/me", cookie, "")
}

func TestOwnerIsNotLockedOut(t *testing.T) {
	b := setup(t)
	res, _ := b.call(t, "POST", "/auth/signup", "", `{"email":"ana@example.com","password":"correct horse"}`, nil)
	var device string
	for _, c := range res.Cookies() {
		if c.Name == "__Secure-device" {
			device = c.Name + "=" + c.Value
		}
	}
	for i := range 11 { // from the owner's own address
		res, body := b.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"wrong horse"}`, nil)
		if i == 10 {
			wantProblem(t, res, body, 429)
		}
	}
	body := `{"email":"ana@example.com","password":"correct horse"}`
	if res, _ := b.call(t, "POST", "/auth/login", "", body, http.Header{"Cookie": {device}}); res.StatusCode != 200 {
		t.Errorf("the owner's browser: %d", res.StatusCode)
	}
	b.want(t, 429, "POST", "/auth/login", "", body)
}

func TestResetsAreBounded(t *testing.T) {
	b := setup(t)
	for i := range 25 {
		res, body := b.call(t, "POST", "/auth/password/reset", "", fmt.Sprintf(`{"email":"u%d@example.com"}`, i%4), nil)
		if i < 20 && res.StatusCode != 202 {
			t.Fatalf("attempt %d: %d", i, res.StatusCode)
		}
		if i >= 20 {
			wantProblem(t, res, body, 429)
		}
	}
	b.store.locked(func() {
		if n := len(b.store.mails); n != 12 {
			t.Errorf("%d mails, want three for each address", n)
		}
	})
}

// Sign-up tells that an address is taken, but not to who tries many.
func TestTakenAddressesAreToldAFewTimes(t *testing.T) {
	b := setup(t)
	b.signUp(t, "taken@example.com")
	signUp := func(email, from string) int {
		res, _ := b.call(t, "POST", "/auth/signup", "", fmt.Sprintf(`{"email":%q,"password":%q}`, email, testPassword), http.Header{"X-Forwarded-For": {from}})
		return res.StatusCode
	}
	for i := range 30 { // new people are not slowed
		if status := signUp(fmt.Sprintf("u%d@example.com", i), "192.0.2.1"); status != 201 {
			t.Fatalf("new person %d: %d", i, status)
		}
	}
	for i := range 20 {
		if status := signUp("taken@example.com", "192.0.2.1"); status != 409 {
			t.Fatalf("attempt %d: %d", i, status)
		}
	}
	for _, email := range []string{"taken@example.com", "free@example.com"} { // no telling which is which
		if status := signUp(email, "192.0.2.1"); status != 429 {
			t.Errorf("%s: %d, want 429", email, status)
		}
	}
	if status := signUp("free@example.com", "192.0.2.2"); status != 201 {
		t.Errorf("from elsewhere: %d", status)
	}
}
