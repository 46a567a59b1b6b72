//go:build integration

package socketio

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// line is what the client prints.
type line struct {
	What string
	Data json.RawMessage
}

// client runs npm's socket.io-client against the server.
type client struct {
	t     *testing.T
	lines chan line
}

func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.js"} {
		b, err := os.ReadFile(filepath.Join("testdata", "client", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("this test needs Node and npm, and socket.io-client from its registry: %v\n%s", err, out)
	}
	return dir
}

func start(t *testing.T, dir, url, transports string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "client.js", url, transports, `{"X-Test":"1"}`)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Node: %v", err)
	}
	c := &client{t, make(chan line, 100)}
	go func() { // ends with the program
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l line
			if json.Unmarshal(s.Bytes(), &l) == nil {
				c.lines <- l
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		time.AfterFunc(patience, cancel)
		cmd.Wait()
		cancel()
	})
	if _, err := io.WriteString(in, "emit\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// wait returns the data of the next line of that kind.
func (c *client) wait(what string) string {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l, ok := <-c.lines:
			if !ok {
				c.t.Fatalf("the client ended before %s", what)
			}
			if l.What == what {
				return string(l.Data)
			}
			c.t.Logf("%s %s", l.What, l.Data)
		case <-timeout:
			c.t.Fatalf("no %s", what)
		}
	}
}

func TestRealClient(t *testing.T) {
	t.Parallel()
	dir := install(t)
	for name, tc := range map[string]struct{ transports, first string }{
		"polling":           {"polling", `"polling"`},
		"websocket":         {"websocket", `"websocket"`},
		"polling, upgraded": {"polling,websocket", `"polling"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, Config{
				PingInterval: 100 * time.Millisecond, PingTimeout: 2 * time.Second,
				OnConnect: func(ctx context.Context, c *Client) { c.Emit("whatsapp:state", map[string]string{"state": "qr"}) },
			})
			c := start(t, dir, b.url[:len(b.url)-len("/socket.io/?EIO=4")], tc.transports)
			first := c.wait("connect")
			upgrades := tc.transports == "polling,websocket"
			// It begins with polling, and may have upgraded before it is connected.
			if first != tc.first && (!upgrades || first != `"websocket"`) {
				t.Errorf("connected by %s, want %s", first, tc.first)
			}
			if got := c.wait("event:whatsapp:state"); got != `{"state":"qr"}` {
				t.Errorf("told %s", got)
			}
			if upgrades && first == `"polling"` {
				if got := c.wait("upgrade"); got != `"websocket"` {
					t.Errorf("upgraded to %s", got)
				}
			}
			b.server.Broadcast("message:new", map[string]any{"text": "grüße", "n": 1})
			if got := c.wait("event:message:new"); got != `{"n":1,"text":"grüße"}` {
				t.Errorf("told %s", got)
			}
			// Over several heartbeats the client stays; when its session is ended it
			// comes back.
			select {
			case l := <-c.lines:
				t.Fatalf("%s %s", l.What, l.Data)
			case <-time.After(500 * time.Millisecond):
			}
			for _, s := range b.server.all() {
				s.close()
			}
			c.wait("disconnect")
			c.wait("connect")
			c.wait("event:whatsapp:state")
		})
	}
}
