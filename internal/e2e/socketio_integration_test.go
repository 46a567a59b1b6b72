//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform/slice/socketio/socketiotest"
)

// events is a Socket.IO connection over a WebSocket, read into a channel. It
// speaks just enough of the protocol (Engine.IO 4) to listen.
type events struct {
	t  testing.TB
	ch chan event
}

type event struct {
	name string
	data json.RawMessage
}

// dialSocketIO returns the upgrade's response as well, for those who are to be
// refused.
func (c *client) dialSocketIO(header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{
		TLSClientConfig: c.http.Transport.(*http.Transport).TLSClientConfig.Clone(),
		Jar:             c.http.Jar, HandshakeTimeout: 10 * time.Second,
	}
	d.TLSClientConfig.NextProtos = []string{"http/1.1"}
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Origin") == "" {
		header.Set("Origin", c.base)
	}
	u := "wss" + strings.TrimPrefix(c.base, "https") + "/socket.io/?EIO=4&transport=websocket"
	return d.DialContext(c.t.Context(), u, header)
}

// listen opens the live connection.
func (c *client) listen() *events {
	c.t.Helper()
	conn, res, err := c.dialSocketIO(nil)
	if err != nil {
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		c.t.Fatalf("socket.io: %v (status %d)", err, status)
	}
	e := &events{t: c.t, ch: make(chan event, 1000)}
	c.t.Cleanup(func() { conn.Close() })
	connected := make(chan error, 1)
	go e.read(conn, connected)
	select {
	case err := <-connected:
		if err != nil {
			c.t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		c.t.Fatal("socket.io: no answer to connect")
	}
	return e
}

func (e *events) read(conn *websocket.Conn, connected chan<- error) {
	defer close(e.ch)
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			select {
			case connected <- fmt.Errorf("socket.io: %w", err):
			default:
			}
			return
		}
		switch s := string(b); {
		case strings.HasPrefix(s, "0"): // Engine.IO open
			err = conn.WriteMessage(websocket.TextMessage, []byte("40"))
		case s == "2": // ping
			err = conn.WriteMessage(websocket.TextMessage, []byte("3"))
		case strings.HasPrefix(s, "40"): // connected
			connected <- nil
		case strings.HasPrefix(s, "44"): // refused
			connected <- fmt.Errorf("socket.io: refused: %s", s[2:])
			return
		case strings.HasPrefix(s, "42"):
			var parts []json.RawMessage
			var ev event
			if json.Unmarshal(b[2:], &parts) == nil && len(parts) == 2 && json.Unmarshal(parts[0], &ev.name) == nil {
				ev.data = parts[1]
				e.ch <- ev
			}
		}
		if err != nil {
			return
		}
	}
}

// wait waits for an event of that name for which match is true.
func (e *events) wait(name string, match func(json.RawMessage) bool) {
	e.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case ev, ok := <-e.ch:
			if !ok {
				e.t.Fatalf("the connection ended while waiting for %s", name)
			}
			if ev.name == name && match(ev.data) {
				return
			}
		case <-timeout:
			e.t.Fatalf("no %s in time", name)
		}
	}
}

// waitMessage waits for a message with this text.
func (e *events) waitMessage(text string) message {
	e.t.Helper()
	var m message
	e.wait("message:new", func(b json.RawMessage) bool { return json.Unmarshal(b, &m) == nil && m.Text == text })
	return m
}

// waitAck waits until the message is at least at this ack.
func (e *events) waitAck(id, ack string) {
	e.t.Helper()
	e.wait("message:ack", func(b json.RawMessage) bool {
		var a struct{ ID, Ack string }
		return json.Unmarshal(b, &a) == nil && a.ID == id && a.Ack == ack
	})
}

// What browsers run, through nginx and two gateways: both transports, and from
// one to the other. The slice's retirement ends it.
func TestSocketIOWithBothTransports(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	dir := socketiotest.Install(t)
	certificate := filepath.Join(dir, "certificate.pem")
	if err := os.WriteFile(certificate, []byte(b.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(u.base)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range u.http.Jar.Cookies(base) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	var clients []*socketiotest.Client
	for _, transports := range []string{"polling", "websocket", "polling,websocket"} {
		c := socketiotest.Start(t, dir, u.base, transports,
			map[string]string{"Cookie": strings.Join(cookies, "; "), "Origin": u.base}, "NODE_EXTRA_CA_CERTS="+certificate)
		first := c.Wait("connect")
		begins, _, upgrades := strings.Cut(transports, ",")
		if first != `"`+begins+`"` && !upgrades { // it may have upgraded already
			t.Errorf("%s: connected by %s", transports, first)
		}
		if got := c.Wait("event:whatsapp:state"); !strings.Contains(got, `"qr"`) {
			t.Errorf("%s: told %s", transports, got)
		}
		if upgrades && first != `"websocket"` {
			if got := c.Wait("upgrade"); got != `"websocket"` {
				t.Errorf("upgraded to %s", got)
			}
		}
		clients = append(clients, c)
	}
	phone, customer := newPhone(), newPhone()
	b.link(t, u, phone, "Ana's Bakery")
	if _, err := b.sim.CustomerWrites(t.Context(), phone, customer, "Carl", "grüße 🍞"); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		if got := c.Wait("event:message:new"); !strings.Contains(got, "grüße 🍞") {
			t.Errorf("client %d: told %s", i, got)
		}
	}
	if _, err := b.db.Exec(t.Context(), `UPDATE gateway.slices SET state = 'retiring', user_id = NULL, state_changed_at = now() WHERE number = $1`, u.number); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.Wait("disconnect")
	}
}
