package mail_test

import (
	"bytes"
	"context"
	"log/slog"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/mail"
	"ipnoelp.io/platform/mail/mailtest"
)

var letter = platform.Mail{
	ID: 7, To: "ana@example.com", Subject: "Elige una contraseña",
	Text: "Somebody asked.\n\nhttps://app.example.com/reset-password#token=abc\n.\n",
}

func TestSMTP(t *testing.T) {
	for name, how := range map[string]mail.TLS{"STARTTLS": mail.StartTLS, "implicit TLS": mail.Implicit} {
		t.Run(name, func(t *testing.T) {
			srv := (&mailtest.SMTP{Implicit: how == mail.Implicit}).Start(t)
			s := &mail.SMTP{Host: "127.0.0.1", Port: srv.Port, TLS: how, From: "CRM <crm@example.com>", Username: "crm", Password: "hunter2", Config: srv.Trusted}
			if err := s.Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			if got := <-srv.LogIns; got != " crm hunter2" {
				t.Errorf("authenticated as %q", got)
			}
			wantLetter(t, <-srv.Mails)
		})
	}
}

func TestSMTPRefuses(t *testing.T) {
	for answer, code := range map[string]platform.ErrorCode{
		"550 5.1.1 no such mailbox": platform.ErrInvalid, "556 5.1.10 no mail here": platform.ErrInvalid,
		"550 who knows": platform.ErrInternal, "554 5.7.1 relay denied": platform.ErrInternal, "553 5.1.8 bad sender": platform.ErrInternal,
		"530 5.7.0 authenticate": platform.ErrInternal, "451 4.7.1 later": platform.ErrInternal, "450 4.1.2 unknown domain": platform.ErrInternal,
	} {
		srv := (&mailtest.SMTP{Refuse: answer}).Start(t)
		s := &mail.SMTP{Host: "127.0.0.1", Port: srv.Port, TLS: mail.StartTLS, From: "crm@example.com", Config: srv.Trusted}
		if err := s.Send(t.Context(), letter); platform.CodeOf(err) != code || !strings.Contains(err.Error(), answer[:3]) {
			t.Errorf("%s: %v, want code %s", answer, err, code)
		}
	}
	srv := new(mailtest.SMTP).Start(t)
	s := &mail.SMTP{Host: "127.0.0.1", Port: srv.Port, TLS: mail.StartTLS, From: "crm@example.com", Username: "crm", Password: "hunter2"}
	if err := s.Send(t.Context(), letter); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a certificate nobody vouches for: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, letter); err == nil {
		t.Error("sent though cancelled")
	}
}

func wantLetter(t *testing.T, data string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	if m.Header.Get("To") != "<ana@example.com>" || m.Header.Get("Message-ID") != "<mail-7@example.com>" ||
		m.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasPrefix(m.Header.Get("Subject"), "=?UTF-8?") {
		t.Errorf("header %v", m.Header)
	}
	if !strings.Contains(data, "https://app.example.com/reset-password#token") {
		t.Errorf("body %q", data)
	}
}

func TestOutbox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	if err := (mail.Files{Dir: dir, From: "crm@example.com"}).Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "mail-7.eml"))
	if err != nil {
		t.Fatal(err)
	}
	wantLetter(t, string(data))
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); left != nil {
		t.Errorf("left: %v", left)
	}
	var log bytes.Buffer
	if err := (mail.Log{Log: slog.New(slog.NewJSONHandler(&log, nil))}).Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"to":"ana@example.com"`) || !strings.Contains(log.String(), "#token=abc") {
		t.Errorf("event %s", log.String())
	}
}
