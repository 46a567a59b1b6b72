//go:build integration

package whatsapp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/prometheus/procfs"

	"ipnoelp.io/platform/whatsappsim"
)

// members lists the processes of a group, those included that ended and that
// nobody has waited for.
func members(t *testing.T, group int) (all []procfs.Proc) {
	t.Helper()
	procs, err := procfs.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if stat, err := p.Stat(); err == nil && stat.PGRP == group {
			all = append(all, p)
		}
	}
	return all
}

// waitGone waits until nothing is left of a browser.
func waitGone(t *testing.T, group int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for left := members(t, group); len(left) > 0; left = members(t, group) {
		if time.Now().After(deadline) {
			t.Fatalf("still there of the browser: %v", left)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// renderer returns the process that runs the page.
func renderer(t *testing.T, group int) int {
	t.Helper()
	for _, p := range members(t, group) {
		args, err := p.CmdLine()
		if err == nil && slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "type=renderer") }) {
			return p.PID
		}
	}
	t.Fatal("the page has no process")
	return 0
}

func TestSessionComesBackByItselfAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	// The command never answers: what would answer is gone.
	command := func(b *bundle, method string) error {
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		if err := b.running().target.Call(ctx, method, nil, nil); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			b.t.Logf("%s: %v", method, err)
		}
		return nil
	}
	for name, tc := range map[string]struct {
		harm   func(b *bundle) error
		reason string
		cause  string
	}{
		"browser and all its processes killed": {
			func(b *bundle) error { return syscall.Kill(-b.running().group, syscall.SIGKILL) }, "browser stopped", "browser_lost",
		},
		"browser alone killed": {
			func(b *bundle) error { return syscall.Kill(b.running().group, syscall.SIGKILL) }, "browser stopped", "browser_lost",
		},
		"renderer killed": {
			func(b *bundle) error { return syscall.Kill(renderer(b.t, b.running().group), syscall.SIGKILL) }, "crashed", "page_crashed",
		},
		"renderer stopped": {
			func(b *bundle) error { return syscall.Kill(renderer(b.t, b.running().group), syscall.SIGSTOP) }, "stopped answering", "page_hangs",
		},
		"page crashes": {
			func(b *bundle) error { return command(b, page.CommandCrash) }, "crashed", "page_crashed",
		},
		"page closed": {
			func(b *bundle) error { return command(b, page.CommandClose) }, "", "",
		},
		"page hangs": {
			func(b *bundle) error { return b.sim.Fault(b.t.Context(), phone, whatsappsim.FaultRendererHang) }, "stopped answering", "page_hangs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var groups []int
			t.Cleanup(func() { // after the engine stopped
				for _, g := range groups {
					waitGone(t, g)
				}
			})
			b := setup(t, whatsappsim.Config{})
			b.link()
			// A message that is reported was stored, and the login before it.
			b.customerWrites("hello")
			groups = append(groups, b.running().group)
			if err := tc.harm(b); err != nil {
				t.Fatal(err)
			}
			if s := b.waitState(StateStarting); s.Reason == "" || !strings.Contains(s.Reason, tc.reason) {
				t.Errorf("reason %q, want it to say %q", s.Reason, tc.reason)
			}
			if !b.Healthy() {
				t.Error("unhealthy while the browser is being replaced")
			}
			if s := b.waitState(StateReady); s.Account == nil {
				t.Error("ready without an account")
			}
			groups = append(groups, b.running().group)
			waitGone(t, groups[0])
			if n := b.Stats().Restarts; tc.cause != "" && n[tc.cause] != 1 {
				t.Errorf("restarts %v, want one for %s", n, tc.cause)
			}
			b.customerWrites("are you there?")
		})
	}
}

func TestPageThatNeverGetsReadyIsTriedAgain(t *testing.T) {
	t.Parallel()
	sim, err := whatsappsim.New(whatsappsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	var broken atomic.Bool
	broken.Store(true)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			_, _ = w.Write([]byte("<!doctype html><title>no bundle here</title>"))
			return
		}
		sim.ServeHTTP(w, r)
	}))
	defer func() { web.CloseClientConnections(); web.Close() }()
	cfg := testConfig(t, web.URL+"/")
	cfg.loadTimeout = 4 * time.Second
	b := &bundle{Engine: New(cfg), t: t, events: make(chan Event, 1000)}
	run(t, b.Engine, func(ev Event) { b.events <- ev })
	if s := b.waitState(StateFailed); !strings.Contains(s.Reason, "could not be opened") {
		t.Errorf("reason %q", s.Reason)
	}
	if b.Healthy() {
		t.Error("healthy, though the page never was ready")
	}
	broken.Store(false)
	b.waitState(StateQR)
	if n := b.Stats(); n.Restarts["not_ready"] < failedAfter || n.Entered[StateFailed] == 0 {
		t.Errorf("stats %+v", n)
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	var used atomic.Int64
	b := setup(t, whatsappsim.Config{}, func(c *Config) {
		c.MemoryLimit, c.memoryEvery = 100, 50*time.Millisecond
		c.memoryOf = func(int) (int64, error) { return used.Load(), nil }
	})
	b.waitState(StateQR)

	leave := b.AddViewer()
	used.Store(75)
	<-time.After(time.Second) // many readings
	if n := b.Stats().Reloads["memory"]; n != 0 {
		t.Errorf("%d reloads while somebody looks at the code", n)
	}
	leave()
	deadline := time.Now().Add(patience)
	for b.Stats().Reloads["memory"] == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the page was never loaded anew")
		}
		<-time.After(20 * time.Millisecond)
	}
	used.Store(10)
	b.link()

	old := b.running().group
	used.Store(95)
	if s := b.waitState(StateStarting); !strings.Contains(s.Reason, "too much memory") {
		t.Errorf("reason %q", s.Reason)
	}
	used.Store(10)
	b.waitState(StateReady)
	waitGone(t, old)
	n := b.Stats()
	if n.Restarts["memory"] != 1 || n.Reloads["memory"] != 1 || n.Memory != (Memory{10, 100}) {
		t.Errorf("stats %+v", n)
	}
}

// The job gives a slice 15 seconds before it is killed.
func TestStopTakesNoLongerWhenThePageHangs(t *testing.T) {
	t.Parallel()
	sim, err := whatsappsim.New(whatsappsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	web := httptest.NewServer(sim)
	defer func() { web.CloseClientConnections(); web.Close() }()
	b := &bundle{Engine: New(testConfig(t, web.URL+"/")), t: t, events: make(chan Event, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, func(ev Event) { b.events <- ev }) }()
	b.waitState(StateQR)
	group := b.running().group
	for _, p := range members(t, group) {
		if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the engine did not stop")
	}
	waitGone(t, group)
}
