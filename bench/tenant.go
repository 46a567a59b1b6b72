package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/whatsappsim"
)

// tenant is a user of the app with a linked phone, as a browser has them.
type tenant struct {
	http   *http.Client
	tls    *tls.Config
	base   string
	phone  string
	number int // of the slice
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// newTenant signs somebody up and links a phone, which may have an account
// already.
func (f *fixture) newTenant(ctx context.Context, phone string) (*tenant, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: f.CertPool(), NextProtos: []string{"http/1.1"}}
	t := &tenant{
		http: &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: config}, Timeout: time.Minute},
		tls:  config, base: f.AppURL(), phone: phone,
	}
	email := strings.ToLower(rand.Text()) + "@example.com"
	if err := t.do(ctx, http.MethodPost, "/auth/signup", map[string]string{"email": email, "password": rand.Text()}, nil); err != nil {
		return nil, fmt.Errorf("sign-up: %w", err)
	}
	err = f.db.QueryRow(ctx, `SELECT s.number FROM gateway.slices s JOIN gateway.users u ON u.id = s.user_id WHERE u.email = $1`, email).Scan(&t.number)
	if err != nil {
		return nil, fmt.Errorf("slice of the new user: %w", err)
	}
	sim := &whatsappsim.Client{BaseURL: f.SimURL()}
	if _, err := sim.CreateAccount(ctx, phone, "Measured Ltd"); err != nil {
		return nil, err
	}
	var status whatsapp.Status
	err = until(ctx, time.Minute, func() error {
		if err := t.do(ctx, http.MethodGet, "/api/whatsapp", nil, &status); err != nil {
			return err
		}
		if status.QR == nil {
			return fmt.Errorf("no QR code: the state is %s", status.State)
		}
		return sim.Scan(ctx, phone, status.QR.Text)
	})
	if err != nil {
		return nil, err
	}
	return t, t.waitReady(ctx, linkPatience)
}

func (t *tenant) waitReady(ctx context.Context, patience time.Duration) error {
	return until(ctx, patience, func() error {
		var status whatsapp.Status
		err := t.do(ctx, http.MethodGet, "/api/whatsapp", nil, &status)
		if err == nil && status.State != whatsapp.StateReady {
			err = fmt.Errorf("the state is %s (%s)", status.State, status.Reason)
		}
		return err
	})
}

// do makes a request through the edge; out may be nil.
func (t *tenant) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Origin", t.base)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return &statusError{res.StatusCode, string(answer[:min(len(answer), 300)])}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// listen calls f for each Socket.IO event until ctx or the connection ends.
func (t *tenant) listen(ctx context.Context, joined func(), f func(name string, data json.RawMessage)) error {
	dialer := websocket.Dialer{TLSClientConfig: t.tls.Clone(), Jar: t.http.Jar, HandshakeTimeout: 10 * time.Second}
	url := "wss" + strings.TrimPrefix(t.base, "https") + "/socket.io/?EIO=4&transport=websocket"
	conn, res, err := dialer.DialContext(ctx, url, http.Header{"Origin": {t.base}})
	if res != nil {
		res.Body.Close()
	}
	if err != nil {
		return err
	}
	defer conn.Close()                                      //nolint:errcheck // read only
	defer context.AfterFunc(ctx, func() { conn.Close() })() //nolint:errcheck // so that the read ends
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		switch s := string(b); {
		case strings.HasPrefix(s, "0"):
			err = conn.WriteMessage(websocket.TextMessage, []byte("40"))
		case s == "2":
			err = conn.WriteMessage(websocket.TextMessage, []byte("3"))
		case strings.HasPrefix(s, "40"):
			joined()
		case strings.HasPrefix(s, "44"):
			err = errors.New("refused: " + s)
		case strings.HasPrefix(s, "42"):
			var parts []json.RawMessage
			var name string
			if json.Unmarshal(b[2:], &parts) == nil && len(parts) == 2 && json.Unmarshal(parts[0], &name) == nil {
				f(name, parts[1])
			}
		}
		if err != nil {
			return err
		}
	}
}
