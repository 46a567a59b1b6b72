//go:build integration

package slice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/whatsappsim"
)

const (
	number   = 42
	token    = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
	patience = 30 * time.Second // for what takes a second on an idle machine
)

// bundle is a slice with everything that it talks to.
type bundle struct {
	t   *testing.T
	cfg slice.Config
	sim *whatsappsim.Client
	db  *pgx.Conn

	base string // where the running slice listens
	stop func() // ends it and waits
}

// setup makes a database and a stand-in; start runs a slice against them.
func setup(t *testing.T) *bundle {
	t.Helper()
	bundlePath := os.Getenv("WA_JS_BUNDLE")
	if bundlePath == "" {
		t.Fatal("WA_JS_BUNDLE is not set: it names the wa-js bundle (`make test` sets it)")
	}
	chromium := "/usr/lib/chromium/chromium-headless-shell"
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("this test needs Debian's package chromium-headless-shell: %v", err)
	}
	dbURL := databasetest.URL(t)
	sim, err := whatsappsim.New(whatsappsim.Config{DeliveryDelay: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sim)
	t.Cleanup(func() { sim.Close(); web.CloseClientConnections(); web.Close() })
	db, err := pgx.Connect(t.Context(), dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	return &bundle{
		t:   t,
		sim: &whatsappsim.Client{BaseURL: web.URL},
		db:  db,
		cfg: slice.Config{
			Number: number, Token: token, DatabaseURL: slice.Secret(dbURL),
			WhatsAppURL: web.URL + "/", BundlePath: bundlePath, ListenAddr: "127.0.0.1:0",
			ProfileDir: t.TempDir() + "/profile", ChromiumPath: chromium,
			ReconcileEvery: time.Second, DisableChromiumSandbox: os.Getuid() == 0,
		},
	}
}

// start runs the slice and waits until it is healthy.
func (b *bundle) start() {
	b.t.Helper()
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	s, err := slice.New(b.cfg, slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: level})))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.base = "http://" + s.Addr().String()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			b.t.Error("the slice did not stop")
		}
	}
	b.t.Cleanup(b.stop)
	b.eventually("health", func() string {
		res, err := http.Get(b.base + "/healthz?wait=1s")
		if err != nil {
			return err.Error()
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return res.Status
		}
		return ""
	})
}

// identity is what the gateway sends.
func identity() http.Header {
	return http.Header{platform.HeaderSliceNumber: {strconv.Itoa(number)}, platform.HeaderSliceToken: {token}}
}

// do makes a request as the gateway does and decodes the answer into out.
func (b *bundle) do(method, path string, in, out any) int {
	b.t.Helper()
	var body io.Reader
	if in != nil {
		j, err := json.Marshal(in)
		if err != nil {
			b.t.Fatal(err)
		}
		body = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header = identity()
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if out != nil && res.StatusCode < 300 {
		if err := json.Unmarshal(data, out); err != nil {
			b.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return res.StatusCode
}

func (b *bundle) status() whatsapp.Status {
	b.t.Helper()
	var s whatsapp.Status
	if code := b.do("GET", "/api/whatsapp", nil, &s); code != http.StatusOK {
		b.t.Fatalf("GET /api/whatsapp: %d", code)
	}
	return s
}

// eventually polls until f returns "", and fails with what it last returned.
func (b *bundle) eventually(what string, f func() string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		fault := f()
		if fault == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: %s", what, fault)
		}
		select {
		case <-b.t.Context().Done():
			b.t.Fatal(b.t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bundle) waitState(want whatsapp.State) whatsapp.Status {
	b.t.Helper()
	var s whatsapp.Status
	b.eventually("state", func() string {
		if s = b.status(); s.State != want {
			return fmt.Sprintf("is %s (%s), want %s", s.State, s.Reason, want)
		}
		return ""
	})
	return s
}

const (
	phone    = "4915112345678"
	customer = "4917012345"
	chatID   = customer + "@c.us"
)

// link makes the phone, scans the code, and waits until the slice is ready.
func (b *bundle) link() {
	b.t.Helper()
	if _, err := b.sim.CreateAccount(b.t.Context(), phone, "Ana's Bakery"); err != nil {
		b.t.Fatal(err)
	}
	qr := b.waitState(whatsapp.StateQR).QR
	if err := b.sim.Scan(b.t.Context(), phone, qr.Text); err != nil {
		b.t.Fatal(err)
	}
	b.waitState(whatsapp.StateReady)
}

func (b *bundle) customerWrites(text string) {
	b.t.Helper()
	if _, err := b.sim.CustomerWrites(b.t.Context(), phone, customer, "Carl", text); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) messages(chat string) []inbox.Message {
	b.t.Helper()
	var page inbox.MessagePage
	if code := b.do("GET", "/api/chats/"+chat+"/messages", nil, &page); code != http.StatusOK && code != http.StatusNotFound {
		b.t.Fatalf("messages: %d", code)
	}
	return page.Messages
}

// count returns how many rows a query counts, in the slice's own database.
func (b *bundle) count(sql string, args ...any) (n int) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// event is one Socket.IO event.
type event struct {
	name string
	data json.RawMessage
}

// listen connects to Socket.IO over a WebSocket.
func (b *bundle) listen() <-chan event {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, _, err := websocket.Dial(ctx, b.base+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: identity()})
	if err != nil {
		cancel()
		b.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	events := make(chan event, 1000)
	done := make(chan struct{})
	b.t.Cleanup(func() { cancel(); <-done; conn.CloseNow() })
	go func() {
		defer close(done)
		defer close(events)
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			switch s := string(data); {
			case strings.HasPrefix(s, "0"):
				err = conn.Write(ctx, websocket.MessageText, []byte("40"))
			case s == "2":
				err = conn.Write(ctx, websocket.MessageText, []byte("3"))
			case strings.HasPrefix(s, "42"):
				var parts []json.RawMessage
				var e event
				if json.Unmarshal(data[2:], &parts) == nil && len(parts) == 2 && json.Unmarshal(parts[0], &e.name) == nil {
					e.data = parts[1]
					events <- e
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return events
}

// waitEvent returns the first event of that name that match accepts.
func waitEvent[T any](b *bundle, events <-chan event, name string, match func(T) bool) T {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				b.t.Fatalf("the connection ended while waiting for %s", name)
			}
			var v T
			if e.name == name && json.Unmarshal(e.data, &v) == nil && match(v) {
				return v
			}
		case <-timeout:
			b.t.Fatalf("no %s", name)
		}
	}
}

// waitMessages waits until the customer's chat has so many messages.
func (b *bundle) waitMessages(want int) {
	b.t.Helper()
	b.eventually("messages", func() string {
		if n := len(b.messages(chatID)); n != want {
			return fmt.Sprintf("%d, want %d", n, want)
		}
		return ""
	})
}
