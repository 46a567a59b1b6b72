// Package mailtest has an SMTP server for tests.
package mailtest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// SMTP is a server as strict as a test needs. It authenticates over TLS only.
type SMTP struct {
	Implicit bool        // TLS from the first byte; otherwise STARTTLS
	Refuse   string      // answers every recipient with this, such as "550 5.1.1 no such mailbox"
	Trusted  *tls.Config // of a client that trusts it
	Port     int         // on 127.0.0.1
	Mails    chan string // header and body of each that was taken
	LogIns   chan string // user and password of each, after a blank

	config *tls.Config
}

// Start serves until the test ends.
func (s *SMTP) Start(t testing.TB) *SMTP {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	s.config = &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	s.Trusted = &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	s.Mails, s.LogIns = make(chan string, 20), make(chan string, 20)
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s.Port = ln.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// serve has one conversation.
func (s *SMTP) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	secure := s.Implicit
	if secure {
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
			fmt.Fprint(conn, "250-test\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n")
		case verb == "EHLO":
			fmt.Fprint(conn, "250-test\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(conn, "220 go on\r\n")
			conn, secure = tls.Server(conn, s.config), true
			r = bufio.NewReader(conn)
		case verb == "AUTH" && secure:
			fields := strings.Fields(line)
			b, _ := base64.StdEncoding.DecodeString(fields[len(fields)-1])
			s.LogIns <- strings.ReplaceAll(string(b), "\x00", " ")
			fmt.Fprint(conn, "235 fine\r\n")
		case verb == "RCPT" && s.Refuse != "":
			fmt.Fprint(conn, s.Refuse+"\r\n")
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			var data strings.Builder
			for line, err := r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			s.Mails <- data.String()
			fmt.Fprint(conn, "250 taken\r\n")
		case verb == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "250 fine\r\n")
		}
	}
}
