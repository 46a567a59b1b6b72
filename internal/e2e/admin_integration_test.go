//go:build integration

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// sliceInfo is what admins see of a slice.
type sliceInfo struct {
	Number   int
	State    string
	WhatsApp *string
	Instance *struct {
		ID, Node, Status, Image string
		StartedAt               *time.Time `json:"started_at"`
		MemoryBytes             *uint64    `json:"memory_bytes"`
		CPUMHz                  *float64   `json:"cpu_mhz"`
	}
	Events   []struct{ Type, Message string }
	NomadURL *string `json:"nomad_url"`
	Audit    []struct{ Action string }
}

func (s sliceInfo) audited(action string) bool {
	return slices.ContainsFunc(s.Audit, func(e struct{ Action string }) bool { return e.Action == action })
}

// liveView collects the frames of /admin/events.
func (b *bundle) liveView(t testing.TB, admin *client) <-chan map[string]any {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: b.CertPool()}, Jar: admin.http.Jar, HandshakeTimeout: 10 * time.Second}
	conn, res, err := dialer.DialContext(t.Context(), "wss"+strings.TrimPrefix(admin.base, "https")+"/admin/events", http.Header{"Origin": {admin.base}})
	if err != nil {
		t.Fatalf("live view: %v, %+v", err, res)
	}
	t.Cleanup(func() { conn.Close() })
	frames := make(chan map[string]any, 1000)
	go func() {
		defer close(frames)
		for {
			var frame map[string]any
			if conn.ReadJSON(&frame) != nil {
				return
			}
			frames <- frame
		}
	}()
	return frames
}

// An admin finds a slice, reads its log, restarts it and retires it: what
// Nomad, Consul and PostgreSQL have of it is gone then, and its user gets
// another one.
func TestAdminLooksAfterASlice(t *testing.T) {
	b := setup(t)
	admin := b.client(t)
	email, adminPassword := b.Admin()
	admin.want(http.StatusOK, "POST", "/auth/login", map[string]string{"email": email, "password": adminPassword})
	frames := b.liveView(t, admin)
	u := b.signUp(t)
	phone := newPhone()
	b.link(t, u, phone, "Ana's Bakery")
	path := fmt.Sprintf("/admin/slices/%d", u.number)
	detail := func() (s sliceInfo) {
		t.Helper()
		admin.want(http.StatusOK, "GET", path, nil).into(t, &s)
		return s
	}

	var first sliceInfo
	eventually(t, 30*time.Second, func() error { // Nomad measures every second
		first = detail()
		if i := first.Instance; i == nil || i.MemoryBytes == nil || *i.MemoryBytes < 10<<20 || i.CPUMHz == nil {
			return fmt.Errorf("not measured: %+v", i)
		}
		return nil
	})
	if i := first.Instance; first.State != "assigned" || i.StartedAt == nil || i.Status != "running" || i.Node == "" || i.Image == "" || first.WhatsApp == nil || *first.WhatsApp != "ready" {
		t.Errorf("slice %+v, instance %+v", first, first.Instance)
	}
	if len(first.Events) == 0 || first.NomadURL == nil || !strings.HasSuffix(*first.NomadURL, fmt.Sprintf("/ui/jobs/slice-%d@slices", u.number)) {
		t.Errorf("events %v, link %v", first.Events, first.NomadURL)
	}
	var page struct{ Slices []sliceInfo }
	admin.want(http.StatusOK, "GET", "/admin/slices?state=assigned", nil).into(t, &page)
	if n := slices.IndexFunc(page.Slices, func(s sliceInfo) bool { return s.Number == u.number }); n < 0 || page.Slices[n].Instance == nil {
		t.Errorf("the list has no slice %d that runs: %+v", u.number, page.Slices)
	}
	var nodes struct{ Nodes []struct{ Slices int } }
	admin.want(http.StatusOK, "GET", "/admin/nodes", nil).into(t, &nodes)
	var room struct {
		Measured    int
		Comfortable *int    `json:"comfortable_slices"`
		Maximum     *int    `json:"maximum_slices"`
		Median      *uint64 `json:"memory_median_bytes"`
	}
	admin.want(http.StatusOK, "GET", "/admin/capacity", nil).into(t, &room)
	if len(nodes.Nodes) != 1 || nodes.Nodes[0].Slices < 1 || room.Measured < 1 || room.Median == nil ||
		room.Comfortable == nil || room.Maximum == nil || *room.Comfortable < 1 || *room.Maximum < *room.Comfortable {
		t.Errorf("nodes %+v, capacity %+v", nodes, room)
	}

	var log struct{ Lines []string }
	admin.want(http.StatusOK, "GET", path+"/log?lines=1000", nil).into(t, &log)
	if len(log.Lines) == 0 || !strings.HasPrefix(log.Lines[len(log.Lines)-1], "{") {
		t.Errorf("log %q", log.Lines)
	}
	admin.wantProblem(http.StatusBadRequest, "GET", path+"/log?stream=secrets", nil)
	admin.wantProblem(http.StatusNotFound, "GET", "/admin/slices/999999/log", nil)
	u.wantProblem(http.StatusForbidden, "POST", path+"/restart", nil)

	admin.want(http.StatusAccepted, "POST", path+"/restart", nil)
	eventually(t, 90*time.Second, func() error {
		s := detail()
		if s.Instance == nil || s.Instance.StartedAt == nil || !s.Instance.StartedAt.After(*first.Instance.StartedAt) || !s.audited("slice.restart") {
			return fmt.Errorf("not restarted: %+v %+v", s, s.Instance)
		}
		a := u.do("GET", "/api/whatsapp", nil)
		var w whatsApp
		if a.status == http.StatusOK {
			a.into(t, &w)
		}
		if w.State != "ready" {
			return fmt.Errorf("WhatsApp: %d %+v", a.status, w)
		}
		return nil
	})

	old := u.number
	admin.wantProblem(http.StatusBadRequest, "POST", path+"/retire", map[string]string{"confirm": "slice"})
	if detail().State != "assigned" {
		t.Fatal("retired without a confirmation")
	}
	admin.want(http.StatusOK, "POST", path+"/retire", map[string]string{"confirm": platform.SliceName(old)})
	if !detail().audited("slice.retire") {
		t.Error("no audit of the retirement")
	}
	eventually(t, 2*time.Minute, func() error { return b.gone(t, old, detail()) })
	admin.wantProblem(http.StatusConflict, "POST", path+"/retire", map[string]string{"confirm": platform.SliceName(old)})
	b.waitAssigned(t, u)
	if u.number == old || u.whatsApp().State == "ready" {
		t.Errorf("slice %d again, or still linked", u.number)
	}

	wanted := map[string]bool{"pool": false, "user": false, "slice gone": false}
	eventually(t, 10*time.Second, func() error {
		for {
			select {
			case frame, open := <-frames:
				if !open {
					t.Fatal("the live view ended")
				}
				kind, _ := frame["type"].(string)
				switch {
				case kind == "pool", kind == "user" && frame["user_id"] == u.me.User.ID:
					wanted[kind] = true
				case kind == "slice" && frame["number"] == float64(old) && frame["state"] == "gone":
					wanted["slice gone"] = true
				}
				continue
			default:
			}
			for what, seen := range wanted {
				if !seen {
					return fmt.Errorf("the live view has not shown: %s", what)
				}
			}
			return nil
		}
	})
}

// gone returns what is left of a retired slice as an error.
func (b *bundle) gone(t testing.TB, number int, s sliceInfo) error {
	t.Helper()
	if s.State != "gone" || s.Instance != nil {
		return fmt.Errorf("%+v", s)
	}
	have := b.inventory(t)
	for what, numbers := range have {
		if slices.Contains(numbers, number) {
			return fmt.Errorf("its %s is still there", strings.TrimSuffix(what, "s"))
		}
	}
	entries, _, err := b.Consul().Catalog().Service(platform.SliceName(number), "", nil)
	if err != nil || len(entries) > 0 {
		return errors.Join(err, fmt.Errorf("Consul has %d entries", len(entries)))
	}
	allocs, _, err := b.Nomad().Jobs().Allocations(platform.SliceName(number), true, &nomad.QueryOptions{Namespace: platform.SliceNamespace})
	if err != nil || slices.ContainsFunc(allocs, func(a *nomad.AllocationListStub) bool { return a.ClientStatus == "running" }) {
		return errors.Join(err, errors.New("its container still runs"))
	}
	return nil
}
