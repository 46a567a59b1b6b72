package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/sockets"
)

// dialAdmin opens the live view.
func (b *testBundle) dialAdmin(t *testing.T, cookie string) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+"/admin/events",
		http.Header{"Cookie": {auth.CookieName + "=" + cookie}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// frames reads until one holds want, and returns them all.
func frames(t *testing.T, conn *websocket.Conn, want string) string {
	t.Helper()
	var all strings.Builder
	for {
		_, got, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("no frame with %s in %s: %v", want, all.String(), err)
		}
		all.Write(got)
		if strings.Contains(string(got), want) {
			return all.String()
		}
	}
}

func TestAdminsFollowLive(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	conn := b.dialAdmin(t, cookie)
	first := frames(t, conn, `"type":"pool"`)
	var pool struct {
		Target, Queued int
		Slices         map[string]int
	}
	if err := json.Unmarshal([]byte(first), &pool); err != nil || pool.Target != 2 || len(pool.Slices) != len(platform.SliceStates()) {
		t.Errorf("first frame %s", first)
	}
	b.signUp(t, "ana@example.com")
	b.UserChanged(testUserID(2), platform.UserCreated) // what the database then notifies:
	b.QueueChanged()
	if got := frames(t, conn, `"queued":1`); !strings.Contains(got, `{"type":"user","state":"created","user_id":"`+testUserID(2)+`"}`) {
		t.Errorf("sign-up: %s", got)
	}
	b.SliceChanged(7, platform.SliceFailed, "")
	frames(t, conn, `{"type":"slice","number":7,"state":"failed"}`)
	b.SettingsChanged()
	frames(t, conn, `"type":"settings"`)
	b.NotificationsUp(t.Context())
	frames(t, conn, `"type":"resync"`)

	if res, _ := b.call(t, "POST", "/auth/logout", cookie, "", nil); res.StatusCode != 204 {
		t.Fatal(res.StatusCode)
	}
	for {
		_, _, err := conn.ReadMessage()
		if err == nil {
			continue // frames under way
		}
		if !websocket.IsCloseError(err, sockets.ClosePolicyViolation) {
			t.Errorf("after the log-out: %v", err)
		}
		break
	}
}

func TestLiveViewIsForAdmins(t *testing.T) {
	b := setup(t)
	cookie := b.admin(t)
	res, body := b.call(t, "GET", "/admin/events", b.signUp(t, "ana@example.com"), "", nil)
	wantProblem(t, res, body, 403)
	res, body = b.call(t, "GET", "/admin/events", "", "", nil)
	wantProblem(t, res, body, 401)
	res, body = b.call(t, "GET", "/admin/events", cookie, "", http.Header{"Origin": {"https://evil.example"}})
	wantProblem(t, res, body, 403)
	res, body = b.call(t, "GET", "/admin/events", cookie, "", nil)
	wantProblem(t, res, body, 400)
}

// A client that reads nothing holds nobody up, and is sent away.
func TestSlowViewerIsSentAway(t *testing.T) {
	b := setup(t)
	conn := b.dialAdmin(t, b.admin(t))
	frames(t, conn, `"type":"pool"`)
	for range 200_000 { // more than any buffer on the way holds
		b.SliceChanged(1, platform.SliceProvisioning, "")
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
				t.Errorf("closed with %v", err)
			}
			return
		}
	}
}
