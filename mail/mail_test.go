package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/mail"
)

var letter = platform.Mail{
	ID: 7, To: "ana@example.com", Subject: "Elige una contraseña",
	Text: "Somebody asked.\n\nhttps://app.example.com/reset-password#token=abc\n.\n",
}

// smtpServer is one that takes a mail in one conversation, as strict as a test
// needs.
type smtpServer struct {
	ln      net.Listener
	config  *tls.Config
	implied bool
	refuse  bool        // says 550 to the recipient
	got     chan string // the mail's data
	auth    chan string // user and password, decoded
}

func newSMTP(t *testing.T, implied, refuse bool) (s *smtpServer, trusted *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s = &smtpServer{ln: ln, config: &tls.Config{Certificates: web.TLS.Certificates}, implied: implied, refuse: refuse,
		got: make(chan string, 1), auth: make(chan string, 1)}
	go s.serve()
	return s, &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

func (s *smtpServer) port() int { return s.ln.Addr().(*net.TCPAddr).Port }

func (s *smtpServer) serve() {
	conn, err := s.ln.Accept()
	if err != nil {
		return
	}
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	secure := s.implied
	if s.implied {
		conn = tls.Server(conn, s.config)
	}
	r := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); {
		case verb == "EHLO" && !secure:
			fmt.Fprint(conn, "250-test\r\n250 STARTTLS\r\n")
		case verb == "EHLO":
			fmt.Fprint(conn, "250-test\r\n250 AUTH PLAIN\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(conn, "220 go on\r\n")
			conn, secure = tls.Server(conn, s.config), true
			r = bufio.NewReader(conn)
		case verb == "AUTH" && secure:
			b, _ := base64.StdEncoding.DecodeString(strings.Fields(line)[2])
			s.auth <- strings.ReplaceAll(string(b), "\x00", " ")
			fmt.Fprint(conn, "235 fine\r\n")
		case verb == "RCPT" && s.refuse:
			fmt.Fprint(conn, "550 no such mailbox\r\n")
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			var data strings.Builder
			for line, err := r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			s.got <- data.String()
			fmt.Fprint(conn, "250 taken\r\n")
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 fine\r\n")
		}
	}
}

func TestSMTP(t *testing.T) {
	for name, how := range map[string]mail.TLS{"STARTTLS": mail.StartTLS, "implicit TLS": mail.Implicit} {
		t.Run(name, func(t *testing.T) {
			srv, trusted := newSMTP(t, how == mail.Implicit, false)
			s := &mail.SMTP{Host: "127.0.0.1", Port: srv.port(), TLS: how, From: "CRM <crm@example.com>", Username: "crm", Password: "hunter2", Config: trusted}
			if err := s.Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			if got := <-srv.auth; got != " crm hunter2" {
				t.Errorf("authenticated as %q", got)
			}
			wantLetter(t, <-srv.got)
		})
	}
}

func TestSMTPRefuses(t *testing.T) {
	srv, trusted := newSMTP(t, false, true)
	s := &mail.SMTP{Host: "127.0.0.1", Port: srv.port(), TLS: mail.StartTLS, From: "crm@example.com", Config: trusted}
	if err := s.Send(t.Context(), letter); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("refused recipient: %v", err)
	}
	srv, _ = newSMTP(t, false, false)
	s = &mail.SMTP{Host: "127.0.0.1", Port: srv.port(), TLS: mail.StartTLS, From: "crm@example.com", Username: "crm", Password: "hunter2"}
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
