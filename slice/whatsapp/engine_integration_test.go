//go:build integration

package whatsapp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/whatsappsim"
)

const (
	chromium = "/usr/lib/chromium/chromium-headless-shell" // what the script in /usr/bin starts
	phone    = "4915112345678"
	patience = 30 * time.Second // for what takes a second on an idle machine
)

// bundle is a running engine with its stand-in.
type bundle struct {
	*Engine
	t      *testing.T
	sim    *whatsappsim.Client
	events chan Event
}

func testConfig(t *testing.T, url string) Config {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("this test needs Debian's package chromium-headless-shell: %v", err)
	}
	level := slog.LevelError + 1
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return Config{
		URL: url, ProfileDir: t.TempDir() + "/profile", ChromiumPath: chromium,
		Logger:         slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level})),
		DisableSandbox: os.Getuid() == 0,
		probeEvery:     200 * time.Millisecond,
		probeTimeout:   5 * time.Second, // a busy machine is not to be taken for a page that hangs
	}
}

func setup(t *testing.T, sim whatsappsim.Config, options ...func(*Config)) *bundle {
	t.Helper()
	if sim.DeliveryDelay == 0 {
		sim.DeliveryDelay = 10 * time.Millisecond
	}
	server, err := whatsappsim.New(sim)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() { server.Close(); web.CloseClientConnections(); web.Close() })
	cfg := testConfig(t, web.URL+"/")
	for _, o := range options {
		o(&cfg)
	}
	b := &bundle{
		Engine: New(cfg),
		t:      t, sim: &whatsappsim.Client{BaseURL: web.URL}, events: make(chan Event, 1000),
	}
	run(t, b.Engine, func(ev Event) { b.events <- ev })
	return b
}

// run runs an engine until the test ends.
func run(t *testing.T, e *Engine, sink func(Event)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the engine did not stop")
		}
	})
}

// waitStatus returns the first status, from now on, that match accepts.
func (b *bundle) waitStatus(what string, match func(Status) bool) Status {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev := <-b.events:
			if s, ok := ev.(StatusChanged); ok && match(s.Status) {
				return s.Status
			}
		case <-timeout:
			b.t.Fatalf("never %s; it is %+v", what, b.Status())
		}
	}
}

func (b *bundle) waitState(state State) Status {
	b.t.Helper()
	return b.waitStatus(string(state), func(s Status) bool { return s.State == state })
}

func (b *bundle) link() {
	b.t.Helper()
	if _, err := b.sim.CreateAccount(b.t.Context(), phone, "Ana's Bakery"); err != nil {
		b.t.Fatal(err)
	}
	if err := b.sim.Scan(b.t.Context(), phone, b.waitState(StateQR).QR.Text); err != nil {
		b.t.Fatal(err)
	}
	b.waitState(StateReady)
}

func (b *bundle) running() *browser {
	b.t.Helper()
	br, _, err := b.active()
	if err != nil {
		b.t.Fatal(err)
	}
	return br
}

func TestConnectionThatBreaksAndSessionOpenedElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	if err := b.sim.Fault(t.Context(), phone, whatsappsim.FaultDisconnect); err != nil {
		t.Fatal(err)
	}
	if s := b.waitState(StateOffline); s.Reason == "" || s.Account == nil {
		t.Errorf("status %+v", s)
	}
	b.waitState(StateReady)
	if err := b.sim.Fault(t.Context(), phone, whatsappsim.FaultConflict); err != nil {
		t.Fatal(err)
	}
	if s := b.waitState(StateConflict); s.Reason == "" {
		t.Error("the state does not say why")
	}
}

func TestIdleQRCodeIsFreshWhenSomebodyLooks(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{QRLifetime: 300 * time.Millisecond, QRRotations: 1})
	first := b.waitState(StateQR).QR.Text
	deadline := time.Now().Add(patience)
	for { // until the page went idle
		if _, s, _ := b.active(); s.QRIdle {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the page never went idle")
		}
		<-time.After(10 * time.Millisecond)
	}
	start := time.Now()
	s := b.Look(t.Context())
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v, want less than a second", took)
	}
	if s.State != StateQR || s.QR.Text == first {
		t.Fatalf("looked at an old code: %+v", s)
	}
	if _, err := b.sim.CreateAccount(t.Context(), phone, "Ana"); err != nil {
		t.Fatal(err)
	}
	// From now on somebody looks all the time: codes follow each other.
	defer b.AddViewer()()
	next := b.waitStatus("another code", func(n Status) bool { return n.QR != nil && n.QR.Text != s.QR.Text && n.QR.Text != first })
	b.waitStatus("one more code", func(n Status) bool { return n.QR != nil && n.QR.Text != next.QR.Text })
}

func TestProfileIsUsedByOneEngine(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.waitState(StateQR)
	cfg := testConfig(t, b.cfg.URL)
	cfg.ProfileDir = b.cfg.ProfileDir
	if err := New(cfg).Run(t.Context(), func(Event) {}); err == nil {
		t.Error("two engines run on one profile")
	}
}

func TestBrowserGetsNoSecretsAndDoesNotNameItself(t *testing.T) {
	t.Setenv("SLICE_TOKEN", "top-secret-token")
	b := setup(t, whatsappsim.Config{})
	b.waitState(StateQR)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.running().group))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(environ, []byte("top-secret-token")) {
		t.Error("the browser's environment holds the slice's token")
	}
	var agent string
	if err := b.running().evaluate(t.Context(), evalTimeout, "navigator.userAgent", &agent); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(agent, "Headless") || !strings.Contains(agent, "Chrome/") {
		t.Errorf("user agent %q", agent)
	}
	var brands string
	if err := b.running().evaluate(t.Context(), evalTimeout, "JSON.stringify(navigator.userAgentData ? navigator.userAgentData.brands : [])", &brands); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(brands, "Headless") {
		t.Errorf("brands %s", brands)
	}
}
