//go:build integration

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/internal/stack"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/whatsappsim"
)

const password = "correct horse battery"

// bundle is what every test here needs of the running stack.
type bundle struct {
	*stack.Stack
	db  *pgxpool.Pool // gateway schema, as superuser
	sim *whatsappsim.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	if os.Getenv("TEST_STACK") == "" {
		t.Fatal("TEST_STACK is not set: these tests need the running test stack (`make test` starts it)")
	}
	s, err := stack.Open(stack.Test())
	if err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), s.DatabaseURL("platform"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	b := &bundle{Stack: s, db: db, sim: &whatsappsim.Client{BaseURL: s.SimURL()}}
	return b
}

// client is one browser: cookies, TLS with the stack's certificate.
type client struct {
	t    testing.TB
	http *http.Client
	base string
}

func (b *bundle) client(t testing.TB) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// HTTP/1.1, in which a client can say more that it should not; browsers speak HTTP/2.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.CertPool(), NextProtos: []string{"http/1.1"}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, base: b.AppURL(), http: &http.Client{Jar: jar, Transport: transport, Timeout: 60 * time.Second}}
}

// browser is a user's client that speaks HTTP/2, with connections of its own.
// nginx reloads whenever a gateway comes or goes and closes idle connections;
// in HTTP/2 it says which requests it has not taken, and those are sent again.
func (b *bundle) browser(t testing.TB, u *user) *client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.CertPool()}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, base: u.base, http: &http.Client{Jar: u.http.Jar, Transport: transport, Timeout: 60 * time.Second}}
}

// me is the answer of the routes that say who is logged in.
type me struct {
	User struct {
		ID, Email, Role string
	}
	Slice struct {
		State    string
		Position *int
		Estimate *float64 `json:"estimate_seconds"`
	}
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
}

// do sends a request with a JSON body (none when body is nil).
func (c *client) do(method, path string, body any, header ...string) answer {
	c.t.Helper()
	a, err := c.try(c.t.Context(), method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) try(ctx context.Context, method, path string, body any, header ...string) (answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case io.Reader:
		r = b
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return answer{}, err
	}
	if d, ok := body.(*drip); ok { // for HTTP/2, where the server says that it has not taken the request
		again := *d
		req.GetBody = func() (io.ReadCloser, error) { d := again; return io.NopCloser(&d), nil }
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}

// want sends a request and demands a status.
func (c *client) want(status int, method, path string, body any, header ...string) answer {
	c.t.Helper()
	a := c.do(method, path, body, header...)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// wantProblem demands an error in the one form that all errors have.
func (c *client) wantProblem(status int, method, path string, body any, header ...string) problem.Details {
	c.t.Helper()
	return wantProblem(c.t, c.want(status, method, path, body, header...))
}

func wantProblem(t testing.TB, a answer) problem.Details {
	t.Helper()
	if ct := a.header.Get("Content-Type"); ct != problem.ContentType {
		t.Errorf("Content-Type %q, want %q (%s)", ct, problem.ContentType, a.body)
	}
	var d problem.Details
	a.into(t, &d)
	if d.Status != a.status || d.Title == "" || d.Detail == "" || !strings.HasPrefix(d.Type, "/problems/") {
		t.Errorf("incomplete problem: %s", a.body)
	}
	return d
}

func newEmail() string { return strings.ToLower(rand.Text()) + "@example.com" }

// user is somebody who signed up and has a slice.
type user struct {
	*client
	me     me
	number int // of the slice
}

// signUp makes an account and waits for its slice.
func (b *bundle) signUp(t testing.TB) *user {
	t.Helper()
	u := &user{client: b.client(t)}
	u.want(http.StatusCreated, "POST", "/auth/signup", map[string]string{"email": newEmail(), "password": password}).into(t, &u.me)
	b.waitAssigned(t, u)
	b.retireAtEnd(t, u)
	return u
}

func (b *bundle) waitAssigned(t testing.TB, u *user) {
	t.Helper()
	eventually(t, 3*time.Minute, func() error {
		u.want(http.StatusOK, "GET", "/auth/me", nil).into(t, &u.me)
		if u.me.Slice.State != "assigned" {
			return fmt.Errorf("slice is %s", u.me.Slice.State)
		}
		return nil
	})
	if err := b.db.QueryRow(t.Context(), `SELECT number FROM gateway.slices WHERE user_id = $1`, u.me.User.ID).Scan(&u.number); err != nil {
		t.Fatal(err)
	}
}

// retireAtEnd gives the user's slice back when the test ends: the machine has
// room for a few only.
func (b *bundle) retireAtEnd(t testing.TB, u *user) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, b.DatabaseURL("platform")) // the pool may be closed by now
		if err != nil {
			t.Errorf("retire: %v", err)
			return
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `UPDATE gateway.slices SET state = 'retiring', user_id = NULL, state_changed_at = now() WHERE user_id = $1`, u.me.User.ID)
		if err != nil {
			t.Errorf("retire: %v", err)
		}
	})
}

// eventually waits until f returns nil, and fails with its last error when it
// does not in time.
func eventually(t testing.TB, timeout time.Duration, f func() error) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("after %v: %v", timeout, err)
		case <-t.Context().Done():
			t.Fatalf("test over: %v", err)
		case <-tick.C:
		}
	}
}

// whatsApp is the slice's answer on its WhatsApp session.
type whatsApp struct {
	State   string
	QR      *struct{ Text, Image string }
	Account *struct{ ID, Phone, Name string }
	Reason  string
}

func (u *user) whatsApp() whatsApp {
	u.t.Helper()
	var w whatsApp
	u.want(http.StatusOK, "GET", "/api/whatsapp", nil).into(u.t, &w)
	return w
}

// link scans the user's QR with a phone of the stand-in, and waits until the
// session is ready.
func (b *bundle) link(t testing.TB, u *user, phone, name string) {
	t.Helper()
	if _, err := b.sim.CreateAccount(t.Context(), phone, name); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func() error {
		w := u.whatsApp()
		if w.QR == nil {
			return fmt.Errorf("no QR in state %s", w.State)
		}
		return b.sim.Scan(t.Context(), phone, w.QR.Text)
	})
	eventually(t, 30*time.Second, func() error {
		if w := u.whatsApp(); w.State != "ready" || w.Account == nil || w.Account.ID != phone+"@c.us" {
			return fmt.Errorf("%+v", w)
		}
		return nil
	})
}

func newPhone() string {
	b := make([]byte, 9)
	rand.Read(b)
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	return "49" + string(b)
}

// message is a message as the slice's API shows it.
type message struct {
	ID, Direction, Text, Ack string
	ChatID                   string `json:"chat_id"`
}

func chatPath(chat string) string { return "/api/chats/" + url.PathEscape(chat) + "/messages" }
