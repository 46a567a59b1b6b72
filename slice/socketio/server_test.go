package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const patience = 10 * time.Second

type bundle struct {
	t      *testing.T
	server *Server
	url    string
}

func setup(t *testing.T, cfg Config) *bundle {
	t.Helper()
	s := New(cfg)
	web := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); web.CloseClientConnections(); web.Close() })
	return &bundle{t, s, web.URL + "/socket.io/?EIO=4"}
}

func (b *bundle) get(query string) (int, string) { return b.request(http.MethodGet, query, "") }

func (b *bundle) request(method, query, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+query, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// handshake begins a polling session and returns its query.
func (b *bundle) handshake() string {
	b.t.Helper()
	code, body := b.get("&transport=polling")
	var open openData
	if code != 200 || !strings.HasPrefix(body, engineOpen) || json.Unmarshal([]byte(body[1:]), &open) != nil || open.SID == "" {
		b.t.Fatalf("handshake: %d %s", code, body)
	}
	if len(open.Upgrades) != 1 || open.Upgrades[0] != "websocket" {
		b.t.Errorf("upgrades %v", open.Upgrades)
	}
	return "&transport=polling&sid=" + open.SID
}

// join begins a polling session in the namespace.
func (b *bundle) join() string {
	b.t.Helper()
	q := b.handshake()
	if code, body := b.request(http.MethodPost, q, "40"); code != 200 || body != "ok" {
		b.t.Fatalf("post: %d %s", code, body)
	}
	if code, body := b.get(q); code != 200 || !strings.HasPrefix(body, `40{"sid":"`) {
		b.t.Fatalf("poll: %d %s", code, body)
	}
	return q
}

func TestPolling(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	b.server.Broadcast("message:new", map[string]string{"text": "ä"})
	b.server.Broadcast("n", 2)
	if code, body := b.get(q); code != 200 || body != `42["message:new",{"text":"ä"}]`+separator+`42["n",2]` {
		t.Errorf("poll: %d %q", code, body)
	}
	if code, _ := b.request(http.MethodPost, q, `42["anything",{}]`+separator+"3"+separator+"9?"); code != 200 {
		t.Errorf("what a client emits: %d", code)
	}
	if code, _ := b.request(http.MethodPost, q, "41"); code != 200 {
		t.Errorf("leave: %d", code)
	}
	deadline := time.Now().Add(patience)
	for code := 200; code != 400; code, _ = b.get(q) {
		if time.Now().After(deadline) {
			t.Fatal("the session outlives its client")
		}
	}
}

func TestOnlyThoseWhoJoinedAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.handshake()
	b.server.Broadcast("secret", 1)
	if _, body := b.request(http.MethodPost, q, "40/admin,{}"); body != "ok" {
		t.Fatal(body)
	}
	if _, body := b.get(q); body != `44/admin,{"message":"Invalid namespace"}` {
		t.Errorf("another namespace: %q", body)
	}
}

func TestTwoPollsAtOnceEndTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	first := make(chan string, 1)
	go func() {
		_, body := b.get(q)
		first <- body
	}()
	deadline := time.Now().Add(patience)
	for len(first) == 0 { // until one of the two arrives second
		if code, _ := b.get(q); code == 400 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("two polls wait")
		}
	}
	select {
	case body := <-first:
		if body != engineClose && !strings.Contains(body, "problems") {
			t.Errorf("first poll: %q", body)
		}
	case <-time.After(patience):
		t.Error("the first poll still waits")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	for name, tc := range map[string]struct {
		method, query, body string
		want                int
	}{
		"unknown transport":    {"GET", "&transport=webtransport", "", 400},
		"no transport":         {"GET", "", "", 400},
		"unknown session":      {"GET", "&transport=polling&sid=nope", "", 400},
		"handshake by POST":    {"POST", "&transport=polling", "40", 400},
		"another method":       {"PUT", q, "", 400},
		"WebSocket without it": {"GET", "&transport=websocket", "", 400},
		"too large":            {"POST", q, strings.Repeat("x", maxPayload+1), 413},
	} {
		if code, body := b.request(tc.method, tc.query, tc.body); code != tc.want {
			t.Errorf("%s: %d %s, want %d", name, code, body, tc.want)
		}
	}
	res, err := http.Get(strings.Replace(b.url, "EIO=4", "EIO=3", 1) + "&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("protocol 3: %d", res.StatusCode)
	}
}

// dial opens a WebSocket and returns functions to read and write text.
func (b *bundle) dial(query string) (read func() string, write func(string)) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	conn, _, err := websocket.Dial(ctx, b.url+query, nil)
	if err != nil {
		cancel()
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.CloseNow(); cancel() })
	read = func() string {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return "error: " + err.Error()
		}
		return string(data)
	}
	write = func(s string) {
		if err := conn.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
			b.t.Error(err)
		}
	}
	return read, write
}

func TestUpgradeLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	read, write := b.dial(strings.Replace(q, "polling", "websocket", 1))
	polled := make(chan string, 1)
	go func() { _, body := b.get(q); polled <- body }()
	write("2probe")
	if got := read(); got != "3probe" {
		t.Fatalf("probe: %q", got)
	}
	select {
	case body := <-polled:
		if body != engineNoop {
			t.Errorf("the last poll: %q", body)
		}
	case <-time.After(patience):
		t.Fatal("the last poll still waits")
	}
	for i := range 3 { // between two transports
		b.server.Broadcast("n", i)
	}
	write("5")
	for i := range 3 {
		if got, want := read(), fmt.Sprintf(`42["n",%d]`, i); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if code, _ := b.get(q); code != 400 {
		t.Errorf("polling goes on: %d", code)
	}
}

func TestUpgradeThatFailsLeavesPolling(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	_, write := b.dial(strings.Replace(q, "polling", "websocket", 1))
	write("nonsense")
	b.server.Broadcast("n", 1)
	if code, body := b.get(q); code != 200 || body != `42["n",1]` {
		t.Errorf("poll: %d %q", code, body)
	}
}

func TestHeartbeatAndConnectHook(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	b := setup(t, Config{
		PingInterval: 50 * time.Millisecond, PingTimeout: 200 * time.Millisecond,
		OnConnect: func(ctx context.Context, c *Client) {
			c.Emit("hello", "you")
			<-ctx.Done()
			close(gone)
		},
	})
	read, write := b.dial("&transport=websocket")
	if got := read(); !strings.HasPrefix(got, engineOpen) || !strings.Contains(got, `"upgrades":[]`) {
		t.Fatalf("open: %q", got)
	}
	write("40")
	pings := 0
	for greeted := false; pings < 3 || !greeted; {
		switch got := read(); {
		case got == enginePing:
			pings++
			write(enginePong)
		case got == `42["hello","you"]`:
			greeted = true
		case !strings.HasPrefix(got, "40"):
			t.Fatalf("got %q", got)
		}
	}
	// No more pongs: the session ends.
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("a silent client is never given up")
	}
}

func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	read, write := b.dial("&transport=websocket")
	read()
	write("40")
	read()
	polled := make(chan string, 1)
	go func() { _, body := b.get(q); polled <- body }()
	b.server.Close()
	if got := read(); !strings.HasPrefix(got, "error") {
		t.Errorf("the WebSocket goes on: %q", got)
	}
	select {
	case <-polled:
	case <-time.After(patience):
		t.Error("a poll still waits")
	}
	if code, _ := b.get("&transport=polling"); code != 503 {
		t.Errorf("handshake after the end: %d", code)
	}
}

func TestSlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	q := b.join()
	for i := range maxQueued + 1 {
		b.server.Broadcast("n", i)
	}
	deadline := time.Now().Add(patience)
	for {
		if code, body := b.get(q); code == 400 || body == engineClose {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the session goes on")
		}
	}
}
