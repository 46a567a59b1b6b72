//go:build integration

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/mail"
	"ipnoelp.io/platform/mail/mailtest"
)

var linkToken = regexp.MustCompile(`#token=(\S+)`)

// mail waits for the mail to somebody about something, takes it out of the
// outbox and returns the token in its link.
func (b *testBundle) mail(t *testing.T, to, subject string) (token string) {
	t.Helper()
	until(t, "a mail about "+subject, func() bool {
		files, _ := filepath.Glob(filepath.Join(b.outbox, "*.eml"))
		for _, path := range files {
			f, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			m, err := netmail.ReadMessage(f)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.Get("To") != "<"+to+">" || !strings.Contains(m.Header.Get("Subject"), subject) {
				continue
			}
			os.Remove(path)
			if found := linkToken.FindSubmatch(body); found != nil {
				token = string(found[1])
			}
			return true
		}
		return false
	})
	return token
}

func (p *gatewayProgram) want(t *testing.T, status int, method, path, cookie, body string) (*http.Response, string) {
	t.Helper()
	res, got := p.call(t, method, path, cookie, body)
	if res.StatusCode != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, got, status)
	}
	return res, got
}

func newCookie(t *testing.T, res *http.Response) string {
	t.Helper()
	for _, c := range res.Cookies() {
		if c.Name == auth.CookieName {
			return c.Value
		}
	}
	t.Fatal("no session cookie")
	return ""
}

func TestAccountsAcrossGateways(t *testing.T) {
	b := setup(t)
	number := b.addSlice(t)
	one, two := b.start(t), b.start(t)
	cookie, _ := one.signUp(t, "ana@example.com")
	two.want(t, 200, "POST", "/auth/email/verify", "", fmt.Sprintf(`{"token":%q}`, b.mail(t, "ana@example.com", "Confirm")))
	until(t, "the other gateway knows", func() bool {
		_, body := one.call(t, "GET", "/auth/me", cookie, "")
		return strings.Contains(body, `"email_verified":true`)
	})

	// The slice hears of the new address, whichever gateway changed it.
	one.want(t, 200, "GET", "/api/whoami", cookie, "")
	one.want(t, 202, "POST", "/auth/email/change", cookie, `{"email":"new@example.com","password":"correct horse"}`)
	two.want(t, 200, "POST", "/auth/email/verify", "", fmt.Sprintf(`{"token":%q}`, b.mail(t, "new@example.com", "Confirm")))
	b.mail(t, "ana@example.com", "was changed")
	until(t, "the slice knows", func() bool {
		_, body := one.call(t, "GET", "/api/whoami", cookie, "")
		return body == fmt.Sprintf("%d new@example.com", number)
	})

	// A rotated session is over under its old token, its sockets too.
	socket := two.dial(t, "/socket.io/?transport=websocket", cookie)
	res, _ := one.want(t, 204, "POST", "/auth/reauthenticate", cookie, `{"password":"correct horse"}`)
	rotated := newCookie(t, res)
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("socket on the other gateway: %v", err)
	}
	until(t, "rotated on the other gateway", func() bool {
		res, _ := two.call(t, "GET", "/auth/me", cookie, "")
		return res.StatusCode == 401
	})
	two.want(t, 200, "GET", "/auth/me", rotated, "")

	// A reset ends every session.
	one.want(t, 202, "POST", "/auth/password/reset", "", `{"email":"nobody@example.com"}`)
	one.want(t, 202, "POST", "/auth/password/reset", "", `{"email":"new@example.com"}`)
	token := b.mail(t, "new@example.com", "new password")
	two.want(t, 204, "POST", "/auth/password/reset/confirm", "", fmt.Sprintf(`{"token":%q,"password":"battery staple"}`, token))
	b.mail(t, "new@example.com", "Your password was changed")
	until(t, "logged out on the other gateway", func() bool {
		res, _ := one.call(t, "GET", "/auth/me", rotated, "")
		return res.StatusCode == 401
	})
	res, _ = one.want(t, 200, "POST", "/auth/login", "", `{"email":"new@example.com","password":"battery staple"}`)
	fresh := newCookie(t, res)
	if _, body := two.want(t, 200, "GET", "/auth/sessions", fresh, ""); strings.Count(body, `"id"`) != 1 || !strings.Contains(body, `"current":true`) {
		t.Errorf("sessions %s", body)
	}
	until(t, "every mail is noted as sent", func() bool {
		var left int
		err := b.admin.QueryRow(t.Context(), `SELECT count(*) FROM gateway.mails WHERE next_attempt_at IS NOT NULL`).Scan(&left)
		return err == nil && left == 0
	})
}

// Where mails go out by SMTP nobody but the owner of an address learns whether it has
// an account; an outbox is for who tries the platform, and would keep them waiting.
func TestSignUpBySMTP(t *testing.T) {
	b := setup(t)
	number := b.addSlice(t)
	srv := new(mailtest.SMTP).Start(t)
	demo := b.start(t)
	p := b.start(t, func(c *Config) {
		c.Mail = MailConfig{SMTPAddr: fmt.Sprintf("127.0.0.1:%d", srv.Port), SMTPTLS: mail.NoTLS, From: c.Mail.From}
	})
	for _, gw := range []struct {
		*gatewayProgram
		byMail bool
	}{{demo, false}, {p, true}} {
		if _, got := gw.want(t, 200, "GET", "/auth/signup", "", ""); strings.TrimSpace(got) != fmt.Sprintf(`{"by_mail":%v}`, gw.byMail) {
			t.Errorf("by mail %v: %s", gw.byMail, got)
		}
	}
	demo.stop()

	const credentials = `{"email":"ana@example.com","password":"correct horse"}`
	next := func(subject string) (token string) {
		t.Helper()
		select {
		case data := <-srv.Mails:
			m, err := netmail.ReadMessage(strings.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.Get("To") != "<ana@example.com>" || !strings.Contains(m.Header.Get("Subject"), subject) {
				t.Errorf("mail %v, want one about %q", m.Header, subject)
			}
			if found := linkToken.FindSubmatch(body); found != nil {
				token = string(found[1])
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no mail about %q", subject)
		}
		return token
	}
	p.want(t, 403, "POST", "/auth/signup", "", credentials)
	p.want(t, 202, "POST", "/auth/signup/mail", "", `{"email":"ana@example.com"}`)
	res, _ := p.want(t, 201, "POST", "/auth/signup/confirm", "", fmt.Sprintf(`{"token":%q,"password":"correct horse"}`, next("Go on with your sign-up")))
	if _, got := p.want(t, 200, "GET", "/api/whoami", newCookie(t, res), ""); got != fmt.Sprintf("%d ana@example.com", number) {
		t.Errorf("the slice serves %q", got)
	}
	p.want(t, 403, "POST", "/auth/signup", "", credentials)
	p.want(t, 202, "POST", "/auth/signup/mail", "", `{"email":"ana@example.com"}`)
	if token := next("You have an account already"); token != "" {
		t.Error("a link to sign up, for an address that has an account")
	}
}

func TestDeletionAcrossGateways(t *testing.T) {
	b := setup(t)
	b.addSlice(t)
	one, two := b.start(t), b.start(t)
	phone, _ := one.signUp(t, "ana@example.com")
	b.mail(t, "ana@example.com", "Confirm")
	res, _ := one.want(t, 200, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"correct horse"}`)
	cookie := newCookie(t, res)
	two.want(t, 200, "GET", "/auth/me", cookie, "") // remembered there, too
	socket := two.dial(t, "/socket.io/?transport=websocket", phone)
	one.want(t, 200, "POST", "/auth/account/deletion", cookie, `{"email":"ana@example.com"}`)
	if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("the phone's socket on the other gateway: %v", err)
	}
	shown := func(want bool) {
		t.Helper()
		until(t, "the other gateway knows", func() bool {
			_, body := two.call(t, "GET", "/auth/me", cookie, "")
			return strings.Contains(body, `"deletion_at":null`) != want
		})
	}
	shown(true)
	b.mail(t, "ana@example.com", "going to be deleted")
	two.want(t, 200, "GET", "/api/whoami", cookie, "") // the slice goes on
	if _, body := two.want(t, 200, "GET", "/auth/export", cookie, ""); !strings.Contains(body, `"kind":"deletion_requested"`) || !strings.Contains(body, `"action":"user.deletion_request"`) {
		t.Errorf("export %s", body)
	}
	one.want(t, 204, "DELETE", "/auth/account/deletion", cookie, "")
	shown(false)
	b.mail(t, "ana@example.com", "stays")
}

// Who is at work does not wait for the database when the cache has had a session for a
// minute. It takes most of that minute.
func TestSessionsInUseAreReadAheadOfTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.addSlice(t)
	p := b.start(t)
	cookie, _ := p.signUp(t, "ana@example.com")
	for begun := time.Now(); ; time.Sleep(time.Second) {
		p.want(t, 200, "GET", "/api/whoami", cookie, "")
		if p.metrics(t)[`gateway_session_cache_total{result="renewed"}`] > 0 {
			break
		}
		if time.Since(begun) > 90*time.Second {
			t.Fatal("no session was read ahead of time")
		}
	}
	b.exec(t, `DELETE FROM gateway.sessions`)
	until(t, "it ends like others", func() bool {
		res, _ := p.call(t, "GET", "/auth/me", cookie, "")
		return res.StatusCode == 401
	})
}
