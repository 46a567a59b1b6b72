//go:build integration

package socketio

import (
	"context"
	"testing"
	"time"

	"ipnoelp.io/platform/slice/socketio/socketiotest"
)

func TestRealClient(t *testing.T) {
	t.Parallel()
	dir := socketiotest.Install(t)
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
			c := socketiotest.Start(t, dir, b.url[:len(b.url)-len("/socket.io/?EIO=4")], tc.transports, map[string]string{"X-Test": "1"})
			first := c.Wait("connect")
			upgrades := tc.transports == "polling,websocket"
			// It begins with polling, and may have upgraded before it is connected.
			if first != tc.first && (!upgrades || first != `"websocket"`) {
				t.Errorf("connected by %s, want %s", first, tc.first)
			}
			if got := c.Wait("event:whatsapp:state"); got != `{"state":"qr"}` {
				t.Errorf("told %s", got)
			}
			if upgrades && first == `"polling"` {
				if got := c.Wait("upgrade"); got != `"websocket"` {
					t.Errorf("upgraded to %s", got)
				}
			}
			b.server.Broadcast("message:new", map[string]any{"text": "grüße", "n": 1})
			if got := c.Wait("event:message:new"); got != `{"n":1,"text":"grüße"}` {
				t.Errorf("told %s", got)
			}
			// Over several heartbeats the client stays; when its session is ended it
			// comes back.
			select {
			case l := <-c.Lines:
				t.Fatalf("%s %s", l.What, l.Data)
			case <-time.After(500 * time.Millisecond):
			}
			for _, s := range b.server.all() {
				s.close()
			}
			c.Wait("disconnect")
			c.Wait("connect")
			c.Wait("event:whatsapp:state")
		})
	}
}
