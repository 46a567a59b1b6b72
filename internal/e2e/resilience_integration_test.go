//go:build integration

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// The slice's container dies, then its whole allocation is replaced: Nomad
// brings it back, the gateway finds it, and the WhatsApp login is still there.
func TestSliceComesBackWithItsLogin(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	phone, customer := newPhone(), newPhone()
	b.link(t, u, phone, "Ana's Bakery")
	stillLinked := func(text string) {
		t.Helper()
		eventually(t, 90*time.Second, func() error {
			a := u.do("GET", "/api/whatsapp", nil)
			if a.status != http.StatusOK {
				return fmt.Errorf("status %d", a.status)
			}
			var w whatsApp
			a.into(t, &w)
			if w.State == "qr" || w.State == "logged_out" {
				t.Fatalf("the login is lost: %+v", w)
			}
			if w.State != "ready" || w.Account == nil || w.Account.ID != phone+"@c.us" {
				return fmt.Errorf("%+v", w)
			}
			return nil
		})
		if _, err := b.sim.CustomerWrites(t.Context(), phone, customer, "Carl", text); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, func() error {
			if a := u.do("GET", chatPath(customer+"@c.us"), nil); !strings.Contains(string(a.body), text) {
				return fmt.Errorf("no message yet: %s", a.body)
			}
			return nil
		})
	}

	alloc := b.sliceAlloc(t, u.number)
	out, err := exec.CommandContext(t.Context(), "docker", "ps", "-q", "--filter", "label=com.hashicorp.nomad.alloc_id="+alloc.ID).Output()
	if err != nil || len(strings.Fields(string(out))) != 1 {
		t.Fatalf("docker ps: %q, %v", out, err)
	}
	container := strings.TrimSpace(string(out))
	if out, err := exec.CommandContext(t.Context(), "docker", "kill", container).CombinedOutput(); err != nil {
		t.Fatalf("docker kill: %v: %s", err, out)
	}
	eventually(t, 60*time.Second, func() error {
		for _, state := range b.sliceAlloc(t, u.number).TaskStates {
			if state.Restarts > 0 && state.State == "running" {
				return nil
			}
		}
		return fmt.Errorf("Nomad has not restarted the task")
	})
	stillLinked("after the kill")

	before := b.sliceAddr(t, u.number)
	full, _, err := b.Nomad().Allocations().Info(alloc.ID, &nomad.QueryOptions{Namespace: platform.SliceNamespace})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Nomad().Allocations().Stop(full, &nomad.QueryOptions{Namespace: platform.SliceNamespace}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, func() error {
		if now := b.sliceAlloc(t, u.number); now.ID == alloc.ID {
			return fmt.Errorf("still the old allocation")
		}
		entries, _, err := b.Consul().Health().Service(platform.SliceName(u.number), "", true, nil)
		if err != nil {
			return err
		}
		if len(entries) != 1 || strings.Contains(entries[0].Service.ID, alloc.ID) {
			return fmt.Errorf("%d instances in Consul, the new one is to be the only one", len(entries))
		}
		return nil
	})
	stillLinked("after the move")
	t.Logf("address before %s, after %s", before, b.sliceAddr(t, u.number))
}

// sliceAlloc is the slice's newest running allocation.
func (b *bundle) sliceAlloc(t testing.TB, number int) *nomad.AllocationListStub {
	t.Helper()
	var newest *nomad.AllocationListStub
	eventually(t, 30*time.Second, func() error {
		allocs, _, err := b.Nomad().Jobs().Allocations(platform.SliceName(number), false, &nomad.QueryOptions{Namespace: platform.SliceNamespace})
		if err != nil {
			return err
		}
		for _, a := range allocs {
			if a.DesiredStatus == nomad.AllocDesiredStatusRun && (newest == nil || a.CreateIndex > newest.CreateIndex) {
				newest = a
			}
		}
		if newest == nil {
			return fmt.Errorf("slice %d has no allocation", number)
		}
		return nil
	})
	return newest
}

// One gateway after the other is replaced while users work, and nginx reads its
// configuration anew for other reasons too: no request fails, who is logged in
// stays so, and sockets are told to come back.
func TestGatewaysAreReplacedUnderLoad(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	b.askEachGateway(t, u)

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var requests, reconnects, slow atomic.Int64
	for range 4 {
		browser := b.browser(t, u)
		wg.Go(func() {
			for ctx.Err() == nil {
				for _, r := range []struct {
					method, path string
					status       int
				}{{"GET", "/auth/me", 200}, {"GET", "/api/whatsapp", 200}, {"POST", "/api/chats/1@c.us/read", 404}} {
					a, err := browser.try(context.WithoutCancel(ctx), r.method, r.path, nil)
					if err != nil || a.status != r.status {
						t.Errorf("%s %s: %d %s, %v; want %d", r.method, r.path, a.status, a.body, err, r.status)
					}
					requests.Add(1)
				}
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond): // one gateway alone is to stay below a slice's rate
				}
			}
		})
	}
	// What takes its time: an upload, and long polls.
	uploads, polls := b.browser(t, u), b.browser(t, u)
	wg.Go(func() {
		for ctx.Err() == nil {
			a, err := uploads.try(context.WithoutCancel(ctx), "POST", "/api/chats/1@c.us/read", &drip{left: 30})
			if err != nil || a.status != 400 { // blanks only: the slice read it to the end
				t.Errorf("upload: %d %s, %v; want 400", a.status, a.body, err)
			}
			slow.Add(1)
		}
	})
	wg.Go(func() { polls.poll(ctx, t, &slow) })
	for range 24 {
		wg.Go(func() {
			for ctx.Err() == nil {
				conn, res, err := u.dialSocketIO(nil)
				if err != nil {
					t.Errorf("socket: %v, %v", res, err)
					return
				}
				end := context.AfterFunc(ctx, func() { conn.Close() })
				err = conn.WriteMessage(websocket.TextMessage, []byte("40"))
				for err == nil {
					var message []byte
					if _, message, err = conn.ReadMessage(); err == nil && string(message) == "2" {
						err = conn.WriteMessage(websocket.TextMessage, []byte("3")) // Engine.IO's ping
					}
				}
				end()
				conn.Close()
				if ctx.Err() == nil {
					if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
						t.Errorf("a socket ended with %v, want 1001", err)
					}
					reconnects.Add(1)
				}
			}
		})
	}

	wg.Go(func() { b.reloadEdge(ctx, t) })
	replaced := b.replaceGateways(t)
	stop()
	wg.Wait()
	if replaced != 2 || requests.Load() < 100 || reconnects.Load() < 24 || slow.Load() < 4 {
		t.Errorf("%d gateways replaced, %d requests, %d slow ones, %d reconnects", replaced, requests.Load(), slow.Load(), reconnects.Load())
	}
	t.Logf("%d requests, %d slow ones, %d reconnects", requests.Load(), slow.Load(), reconnects.Load())
}

// A gateway that leaves is still there when nginx no longer knows it.
func TestNginxLearnsInTimeThatAGatewayLeaves(t *testing.T) {
	b := setup(t)
	group := func(name string) *nomad.TaskGroup {
		t.Helper()
		job, _, err := b.Nomad().Jobs().Info(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return job.TaskGroups[0]
	}
	templates := group("edge").Tasks[0].Templates
	i := slices.IndexFunc(templates, func(t *nomad.Template) bool { return *t.DestPath == "local/upstream.conf" })
	if i < 0 {
		t.Fatal("the edge has no upstream.conf")
	}
	delay := group("gateway").ShutdownDelay
	if latest := *templates[i].Wait.Max + *templates[i].Splay; delay == nil || latest > *delay/2 {
		t.Errorf("nginx is told up to %v after a gateway left, which goes after %v", latest, delay)
	}
}

// reloadEdge has nginx read its configuration anew every three seconds, as after
// a new certificate. What it was before goes on with the sockets it has.
func (b *bundle) reloadEdge(ctx context.Context, t *testing.T) {
	stubs, _, err := b.Nomad().Jobs().Allocations("edge", false, nil)
	if err != nil {
		t.Error(err)
		return
	}
	running := slices.IndexFunc(stubs, func(a *nomad.AllocationListStub) bool { return a.ClientStatus == nomad.AllocClientStatusRunning })
	if running < 0 {
		t.Error("no edge runs")
		return
	}
	edge := &nomad.Allocation{ID: stubs[running].ID, NodeID: stubs[running].NodeID}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
		if err := b.Nomad().Allocations().Signal(edge, nil, "nginx", "SIGHUP"); err != nil {
			t.Errorf("reload: %v", err)
		}
	}
}

// replaceGateways stops one gateway after the other, each when the one before has
// a successor, and returns how many.
func (b *bundle) replaceGateways(t *testing.T) int {
	t.Helper()
	allocs, _, err := b.Nomad().Jobs().Allocations("gateway", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	replaced := 0
	for _, a := range allocs {
		if a.ClientStatus != nomad.AllocClientStatusRunning || a.DesiredStatus != nomad.AllocDesiredStatusRun {
			continue
		}
		full, _, err := b.Nomad().Allocations().Info(a.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Nomad().Allocations().Stop(full, nil); err != nil {
			t.Fatal(err)
		}
		replaced++
		eventually(t, 120*time.Second, func() error {
			old, _, err := b.Nomad().Allocations().Info(a.ID, nil)
			if err != nil {
				return err
			}
			if old.ClientStatus == nomad.AllocClientStatusRunning {
				return fmt.Errorf("the old gateway still runs")
			}
			entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
			if err != nil {
				return err
			}
			if len(entries) != 2 {
				return fmt.Errorf("%d gateways pass", len(entries))
			}
			return nil
		})
	}
	return replaced
}

// drip is a body that takes a fifth of a second for each byte.
type drip struct{ left int }

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(200 * time.Millisecond)
	d.left--
	p[0] = ' '
	return 1, nil
}

// poll keeps one Engine.IO session of long polls until ctx ends: no poll fails,
// whichever gateway it meets.
func (c *client) poll(ctx context.Context, t *testing.T, done *atomic.Int64) {
	ask := func(method, query string, body any) string {
		a, err := c.try(ctx, method, "/socket.io/?EIO=4&transport=polling"+query, body, "Content-Type", "text/plain;charset=UTF-8")
		if ctx.Err() == nil && (err != nil || a.status != 200) {
			t.Errorf("%s of a poll: %d %s, %v", method, a.status, a.body, err)
		}
		return string(a.body)
	}
	var opened struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(ask("GET", "", nil), "0")), &opened); err != nil {
		t.Errorf("open: %v", err)
		return
	}
	session := "&sid=" + opened.SID
	ask("POST", session, "40")
	for ctx.Err() == nil {
		for packet := range strings.SplitSeq(ask("GET", session, nil), "\x1e") {
			switch packet {
			case "2": // a ping
				ask("POST", session, "3")
			case "1", "6": // closed, or another poll took its place
				t.Errorf("packet %q", packet)
				return
			}
		}
		done.Add(1)
		if t.Failed() {
			return
		}
	}
}

// Without Consul for a minute, slices that the gateways know stay reachable.
func TestKnownSlicesSurviveWithoutConsul(t *testing.T) {
	const outage = time.Minute
	b := setup(t)
	u := b.signUp(t)
	b.askEachGateway(t, u)
	if err := b.StopConsul(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.StartConsul(ctx); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() error {
			entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
			if err != nil {
				return err
			}
			if len(entries) < 2 {
				return fmt.Errorf("%d gateways pass", len(entries))
			}
			return nil
		})
	}()
	requests := 0
	over := time.After(outage)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			t.Logf("%d requests, all answered", requests)
			return
		case <-tick.C:
			u.want(http.StatusOK, "GET", "/api/whatsapp", nil)
			requests++
		}
	}
}

// askEachGateway has every gateway look up the user's slice, one too that the
// edge does not know yet.
func (b *bundle) askEachGateway(t testing.TB, u *user) {
	t.Helper()
	app, err := url.Parse(u.base)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
	if err != nil || len(entries) < 2 {
		t.Fatalf("%d gateways pass, %v", len(entries), err)
	}
	for _, e := range entries {
		address := net.JoinHostPort(e.Service.Address, strconv.Itoa(e.Service.Port))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/whatsapp", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = app.Host
		for _, c := range u.http.Jar.Cookies(app) {
			req.AddCookie(c)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("gateway %s: status %d", address, res.StatusCode)
		}
	}
}
