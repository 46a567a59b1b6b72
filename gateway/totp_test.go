package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"ipnoelp.io/platform"
)

func TestSecondFactor(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	code := func(secret string, at time.Time) string {
		c, err := totp.GenerateCode(secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"code":%q}`, c)
	}
	post := func(path, body string, status int, header http.Header) (res *http.Response, got string) {
		t.Helper()
		res, got = b.call(t, "POST", path, cookie, body, header)
		if res.StatusCode != status {
			t.Fatalf("%s: %d %s, want %d", path, res.StatusCode, got, status)
		}
		return res, got
	}
	logIn := `{"email":"ana@example.com","password":"correct horse"}`
	var device string
	res, _ := b.call(t, "POST", "/auth/login", "", logIn, nil)
	for _, c := range res.Cookies() {
		if c.Name == "__Secure-device" {
			device = c.Name + "=" + c.Value
		}
	}
	var offer struct{ Secret, URI string }
	_, body := post("/auth/totp", "", 200, nil)
	if err := json.Unmarshal([]byte(body), &offer); err != nil || !strings.HasPrefix(offer.URI, "otpauth://totp/app.example.com:ana@example.com?") {
		t.Fatalf("offer %s", body)
	}
	b.store.locked(func() {
		if strings.Contains(string(b.store.factors[testUserID(1)].pending), offer.Secret) {
			t.Error("the secret is stored in clear")
		}
	})
	if res, _ := b.call(t, "POST", "/auth/login", "", logIn, nil); res.StatusCode != 200 {
		t.Errorf("an offer alone is in force: %d", res.StatusCode)
	}
	post("/auth/totp/confirm", `{"code":"12345"}`, 400, nil)
	post("/auth/totp/confirm", code(offer.Secret, time.Now().Add(-time.Hour)), 400, nil)
	_, body = post("/auth/totp/confirm", code(offer.Secret, time.Now().Add(-30*time.Second)), 200, nil)
	var kept struct {
		Codes []string `json:"recovery_codes"`
	}
	if err := json.Unmarshal([]byte(body), &kept); err != nil || len(kept.Codes) != 10 {
		t.Fatalf("recovery codes %s", body)
	}
	post("/auth/totp", "", 409, nil)

	half := func() http.Header {
		t.Helper()
		res, body := b.call(t, "POST", "/auth/login", "", logIn, nil)
		wantProblem(t, res, body, 401)
		if !strings.Contains(body, "/problems/second_factor") {
			t.Errorf("log-in: %s", body)
		}
		for _, c := range res.Cookies() {
			if c.Name == "__Host-session" {
				t.Error("logged in by the password alone")
			}
			if c.Name == "__Secure-login" && c.HttpOnly && c.Secure && c.Path == "/auth/" {
				return http.Header{"Cookie": {c.Name + "=" + c.Value}}
			}
		}
		t.Fatal("no cookie for the second step")
		return nil
	}
	second := func(header http.Header, body string, want int) {
		t.Helper()
		res, got := b.call(t, "POST", "/auth/login/code", "", body, header)
		if res.StatusCode != want {
			t.Fatalf("second step: %d %s, want %d", res.StatusCode, got, want)
		}
		if want == 200 {
			sessionCookie(t, res)
		}
	}
	way := half()
	second(nil, code(offer.Secret, time.Now()), 401)
	second(http.Header{"Cookie": {"__Secure-login=AAAA"}}, code(offer.Secret, time.Now()), 401)
	second(way, `{}`, 400)
	second(way, code(offer.Secret, time.Now().Add(-30*time.Second)), 400) // used to confirm
	now := code(offer.Secret, time.Now().Add(30*time.Second))
	second(way, now, 200)
	second(way, now, 400) // each code once
	lower := fmt.Sprintf(`{"code":%q}`, strings.ToLower(strings.ReplaceAll(kept.Codes[0], "-", " ")))
	second(half(), lower, 200)
	second(half(), lower, 400)
	post("/auth/reauthenticate", `{"password":"correct horse"}`, 400, nil)
	res, _ = post("/auth/reauthenticate", fmt.Sprintf(`{"password":"correct horse","code":%q}`, kept.Codes[1]), 204, nil)
	cookie = sessionCookie(t, res)
	if _, body := b.call(t, "GET", "/auth/totp", cookie, "", nil); !strings.Contains(body, `"enabled":true,"recovery_codes":8`) {
		t.Errorf("state %s", body)
	}
	post("/auth/totp/recovery-codes", "", 200, nil)
	second(half(), fmt.Sprintf(`{"code":%q}`, kept.Codes[2]), 400)
	for range 5 {
		way = half()
		b.call(t, "POST", "/auth/login/code", "", `{"code":"000000"}`, way)
	}
	second(way, `{"code":"000000"}`, 429)
	// That does not shut the owner out, whose browser logged in before: as many
	// attempts of its own, and none that others use up.
	owner := half()
	owner["Cookie"] = append(owner["Cookie"], device)
	for range 5 {
		second(owner, `{"code":"000000"}`, 400)
	}
	second(owner, `{"code":"000000"}`, 429)
	// Another password ends what is half-way.
	b.store.locked(func() { b.store.byID(testUserID(1)).hash = "another" })
	second(way, `{"code":"000000"}`, 401)
	if res, _ := b.call(t, "DELETE", "/auth/totp", cookie, "", nil); res.StatusCode != 204 {
		t.Errorf("disable: %d", res.StatusCode)
	}
	if res, _ := b.call(t, "DELETE", "/auth/totp", cookie, "", nil); res.StatusCode != 404 {
		t.Errorf("disable twice: %d", res.StatusCode)
	}
	entries, _ := b.store.ListAudit(t.Context(), platform.AuditFilter{ActorID: testUserID(1), Limit: 50})
	var actions []string
	for _, e := range entries {
		action := e.Action
		if action == "session.create" {
			action = string(e.After)
		}
		actions = append(actions, action)
	}
	if got := strings.Join(actions, " "); got != `user.second_factor_disable user.recovery_codes_replace session.reauthenticate user.recovery_code_use {"method":"password_and_code"} user.recovery_code_use {"method":"password_and_code"} user.second_factor_enable {"method":"password"} {"method":"password"} user.create` {
		t.Errorf("audit %s", got)
	}
	if strings.Contains(b.log.String(), offer.Secret) || strings.Contains(b.log.String(), kept.Codes[0]) {
		t.Error("the log holds a secret")
	}
}

func TestSecondFactorAsksForRecentAuthentication(t *testing.T) {
	b := setup(t)
	cookie := b.signUp(t, "ana@example.com")
	hash, _ := platform.HashSessionToken(cookie)
	b.store.locked(func() {
		ses := b.store.sessions[hash]
		ses.AuthenticatedAt = time.Now().Add(-time.Hour)
		b.store.sessions[hash] = ses
	})
	for _, route := range []string{"POST /auth/totp", "POST /auth/totp/confirm", "POST /auth/totp/recovery-codes", "DELETE /auth/totp"} {
		method, path, _ := strings.Cut(route, " ")
		res, body := b.call(t, method, path, cookie, "", nil)
		wantProblem(t, res, body, 403)
		if !strings.Contains(body, "/problems/reauthenticate") {
			t.Errorf("%s: %s", route, body)
		}
		res, body = b.call(t, method, path, "", "", nil)
		wantProblem(t, res, body, 401)
	}
}
