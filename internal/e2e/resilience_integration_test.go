//go:build integration

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

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

// The gateways are restarted one after the other: who is logged in stays so.
func TestSessionsOutliveTheGateway(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	allocs, _, err := b.Nomad().Jobs().Allocations("gateway", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	restarted := 0
	for _, a := range allocs {
		if a.ClientStatus != nomad.AllocClientStatusRunning {
			continue
		}
		full, _, err := b.Nomad().Allocations().Info(a.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Nomad().Allocations().Restart(full, "", nil); err != nil {
			t.Fatal(err)
		}
		restarted++
		eventually(t, 60*time.Second, func() error {
			entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
			if err != nil {
				return err
			}
			if len(entries) < 2 {
				return fmt.Errorf("%d gateways pass", len(entries))
			}
			return nil
		})
	}
	if restarted < 2 {
		t.Fatalf("%d gateways restarted, want 2", restarted)
	}
	eventually(t, 20*time.Second, func() error {
		for _, path := range []string{"/auth/me", "/api/whatsapp"} {
			if a := u.do("GET", path, nil); a.status != http.StatusOK {
				return fmt.Errorf("%s: %d: %s", path, a.status, a.body)
			}
		}
		return nil
	})
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
