//go:build integration

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

// Bad input of every kind, to the gateway and through it to the slice: a 4xx in
// problem+json that says what is wrong, and nothing changed.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	phone, customer := newPhone(), newPhone()
	b.link(t, u, phone, "Ana's Bakery")
	chat := customer + "@c.us"
	if _, err := b.sim.CustomerWrites(t.Context(), phone, customer, "Carl", "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() error {
		_, err := u.try(t.Context(), "GET", chatPath(chat), nil)
		return err
	})
	count := func() (users, sessions int) {
		if err := b.db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM gateway.users), (SELECT count(*) FROM gateway.sessions)`).Scan(&users, &sessions); err != nil {
			t.Fatal(err)
		}
		return users, sessions
	}
	users, sessions := count()

	account := func(email, pass string) map[string]string { return map[string]string{"email": email, "password": pass} }
	fresh := newEmail()
	cases := []struct {
		name, method, path string
		body               any
		header             []string
		status             int
		says               string // in the detail or a field's detail
	}{
		{"malformed JSON", "POST", "/auth/signup", `{"email":`, nil, 400, "JSON"},
		{"no body", "POST", "/auth/signup", ``, nil, 400, "empty"},
		{"an array", "POST", "/auth/signup", `[]`, nil, 400, "array"},
		{"two values", "POST", "/auth/signup", `{"email":"a@b.co","password":"0123456789"} {}`, nil, 400, "more than one"},
		{"a wrong type", "POST", "/auth/signup", `{"email":7,"password":"0123456789"}`, nil, 400, "number"},
		{"an unknown field", "POST", "/auth/signup", `{"email":"a@b.co","password":"0123456789","role":"admin"}`, nil, 400, "role"},
		{"an oversized body", "POST", "/auth/signup", `{"email":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, "larger"},
		{"no JSON type", "POST", "/auth/signup", `email=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		{"no e-mail", "POST", "/auth/signup", account("", password), nil, 400, "email"},
		{"an invalid e-mail", "POST", "/auth/signup", account("not an address", password), nil, 400, "email"},
		{"an e-mail with a line break", "POST", "/auth/signup", account("a@b.co\nBcc: x@y.co", password), nil, 400, "email"},
		{"a short password", "POST", "/auth/signup", account(fresh, "short"), nil, 400, "password"},
		{"a long password", "POST", "/auth/signup", account(fresh, strings.Repeat("x", 129)), nil, 400, "password"},
		{"a taken e-mail", "POST", "/auth/signup", account(u.me.User.Email, password), nil, 409, "e-mail"},
		{"a taken e-mail in capitals", "POST", "/auth/signup", account(strings.ToUpper(u.me.User.Email), password), nil, 409, "e-mail"},
		{"a wrong password", "POST", "/auth/login", account(u.me.User.Email, "wrong password"), nil, 401, "password"},
		{"an unknown e-mail", "POST", "/auth/login", account(fresh, password), nil, 401, "password"},
		{"an unknown route", "GET", "/auth/nothing", nil, nil, 404, ""},
		{"a wrong method", "DELETE", "/auth/login", nil, nil, 405, ""},
		{"another's routes", "GET", "/admin/pool", nil, nil, 403, ""},
		{"an unknown slice route", "GET", "/api/nothing", nil, nil, 404, ""},
		{"a wrong method at the slice", "PUT", "/api/chats", nil, nil, 405, ""},
		{"an invalid limit", "GET", "/api/chats?limit=many", nil, nil, 400, "limit"},
		{"a limit out of range", "GET", "/api/chats?limit=100000", nil, nil, 400, "limit"},
		{"an invalid cursor", "GET", "/api/chats?cursor=%27%3B--", nil, nil, 400, "cursor"},
		{"an invalid chat", "GET", "/api/chats/%27%20OR%201=1/messages", nil, nil, 400, "chat"},
		{"no text", "POST", chatPath(chat), `{}`, nil, 400, "text"},
		{"an empty text", "POST", chatPath(chat), `{"text":"  "}`, nil, 400, "text"},
		{"a text that is too long", "POST", chatPath(chat), map[string]string{"text": strings.Repeat("x", 65537)}, nil, 400, "text"},
		{"a message's unknown field", "POST", chatPath(chat), `{"text":"hi","ack":"read"}`, nil, 400, "ack"},
		{"a message that is no JSON", "POST", chatPath(chat), `hi`, nil, 400, "JSON"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := wantProblem(t, u.want(c.status, c.method, c.path, c.body, c.header...))
			text := d.Detail
			for _, f := range d.Errors {
				text += " " + f.Field + " " + f.Detail
			}
			if !strings.Contains(strings.ToLower(text), strings.ToLower(c.says)) {
				t.Errorf("it says %q, want it to name %q", text, c.says)
			}
			for _, inside := range []string{"172.17", "127.0.0.1", "pgx", "SQLSTATE", "goroutine", "dial tcp"} {
				if strings.Contains(text, inside) {
					t.Errorf("it shows internals: %q", text)
				}
			}
			if d.RequestID == "" {
				t.Error("no request id")
			}
		})
	}

	t.Run("an expired session", func(t *testing.T) {
		token := platform.NewSessionToken()
		hash, _ := platform.HashSessionToken(token)
		_, err := b.db.Exec(t.Context(), `INSERT INTO gateway.sessions (token_hash, user_id, created_at, expires_at)
			VALUES ($1, $2, now() - interval '30 days', now() - interval '1 second')`, hash[:], u.me.User.ID)
		if err != nil {
			t.Fatal(err)
		}
		stranger := b.client(t)
		for _, path := range []string{"/auth/me", "/api/chats"} {
			stranger.wantProblem(http.StatusUnauthorized, "GET", path, nil, "Cookie", "__Host-session="+token)
		}
		if _, err := b.db.Exec(t.Context(), `DELETE FROM gateway.sessions WHERE token_hash = $1`, hash[:]); err != nil {
			t.Fatal(err)
		}
	})
	for _, cookie := range []string{"x", "", strings.Repeat("A", 43), strings.Repeat("A", 4000), "../../etc/passwd", "' OR 1=1 --"} {
		stranger := b.client(t)
		stranger.wantProblem(http.StatusUnauthorized, "GET", "/auth/me", nil, "Cookie", "__Host-session="+cookie)
	}

	if nowUsers, nowSessions := count(); nowUsers != users || nowSessions != sessions {
		t.Errorf("users %d → %d, sessions %d → %d: something changed", users, nowUsers, sessions, nowSessions)
	}
	var thread struct{ Messages []message }
	u.want(http.StatusOK, "GET", chatPath(chat), nil).into(t, &thread)
	if len(thread.Messages) != 1 {
		t.Errorf("%d messages in the thread, want the one there was", len(thread.Messages))
	}
	msgs, err := b.sim.Messages(t.Context(), phone, chat)
	if err != nil || len(msgs) != 1 {
		t.Errorf("%d messages on the phone, %v; want the one there was", len(msgs), err)
	}
}
