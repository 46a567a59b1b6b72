package whatsappsim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// testServer is a running stand-in with one account.
type testServer struct {
	*Server
	url    string
	client *Client
}

const (
	testPhone    = "4915112345678"
	testCustomer = "4917012345"
	testChat     = testCustomer + "@c.us"
)

func setup(t *testing.T, config Config) *testServer {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	ts := &testServer{s, h.URL, &Client{BaseURL: h.URL, HTTP: h.Client()}}
	if _, err := ts.client.CreateAccount(t.Context(), testPhone, "Ana's Bakery"); err != nil {
		t.Fatal(err)
	}
	return ts
}

func (s *testServer) write(t *testing.T, text string) string {
	t.Helper()
	id, err := s.client.CustomerWrites(t.Context(), testPhone, testCustomer, "Carl", text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

type frame map[string]any

// testDevice speaks the device protocol as the page does.
type testDevice struct {
	t          *testing.T
	ws         *websocket.Conn
	credential string
}

const testTimeout = 10 * time.Second // for one step

func (s *testServer) dial(t *testing.T) *testDevice {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), s.url+"/device", nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(16 << 20)
	d := &testDevice{t: t, ws: ws}
	t.Cleanup(d.close)
	return d
}

func (d *testDevice) close() { d.ws.CloseNow() }

func (d *testDevice) send(f frame) {
	d.t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.ws.Write(d.t.Context(), websocket.MessageText, data); err != nil {
		d.t.Fatal(err)
	}
}

// read returns the next frame.
func (d *testDevice) read() (f serverFrame, err error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), testTimeout)
	defer cancel()
	_, data, err := d.ws.Read(ctx)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(data, &f)
}

// next returns the next frame of this type; others before it are passed over.
func (d *testDevice) next(kind string) serverFrame {
	d.t.Helper()
	for {
		f, err := d.read()
		if err != nil {
			d.t.Fatalf("waiting for %s: %v", kind, err)
		}
		if f.Type == kind {
			return f
		}
	}
}

// ends expects that the server closes the connection.
func (d *testDevice) ends(want websocket.StatusCode) {
	d.t.Helper()
	for {
		if _, err := d.read(); err != nil {
			if got := websocket.CloseStatus(err); got != want {
				d.t.Errorf("closed with %v (%v), want %v", got, err, want)
			}
			return
		}
	}
}

func testKeys() []string {
	keys := make([]string, 3)
	for i := range keys {
		keys[i] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+i)), 32)))
	}
	return keys
}

// link returns a linked device that is up to date.
func (s *testServer) link(t *testing.T) *testDevice {
	t.Helper()
	d := s.dial(t)
	d.send(frame{"type": "hello", "keys": testKeys()})
	code := d.next("ref").Ref + "," + strings.Join(testKeys(), ",")
	if err := s.client.Scan(t.Context(), testPhone, code); err != nil {
		t.Fatal(err)
	}
	f := d.next("linked")
	d.credential = f.Credential
	if f.Credential == "" || f.Me == nil || f.Me.Phone != testPhone {
		t.Fatalf("linked: %+v", f)
	}
	d.next("synced")
	return d
}

func (s *testServer) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (s *testServer) linked(t *testing.T) bool {
	t.Helper()
	accounts, err := s.client.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return accounts[len(accounts)-1].Linked
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, status int) {
	t.Helper()
	var refusal *ClientError
	if !errors.As(err, &refusal) || refusal.Details.Status != status {
		t.Errorf("got %v, want status %d", err, status)
	}
}
