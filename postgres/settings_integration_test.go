//go:build integration

package postgres_test

import (
	"errors"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

func TestSettingsReachTheProvisioner(t *testing.T) {
	b := newGatewayBench(t)
	records := postgres.NewProvisionerStore(newPool(t, postgrestest.URL(t, b.name, postgres.RoleProvisioner)))
	target := func() int {
		t.Helper()
		p, err := records.Pool(t.Context(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Target
	}
	if n := target(); n != 0 {
		t.Errorf("target %d before anybody set it", n)
	}
	want := 7
	change := func(s *platform.Settings) error { s.WarmTarget, s.Price = &want, 1500; return s.Validate() }
	set, err := b.store.UpdateSettings(t.Context(), change, by("settings.change", "platform"))
	if err != nil || *set.WarmTarget != 7 || set.Price != 1500 || set.Currency != "EUR" {
		t.Fatalf("%+v, %v", set, err)
	}
	if n := target(); n != 7 {
		t.Errorf("target %d, want 7", n)
	}
	refused := errors.New("refused")
	if _, err := b.store.UpdateSettings(t.Context(), func(s *platform.Settings) error { s.Price = 1; return refused }, by("settings.change", "platform")); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	if set, err := b.store.Settings(t.Context()); err != nil || set.Price != 1500 {
		t.Errorf("%+v, %v", set, err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE before->>'price' = '0' AND after->>'price' = '1500'`); n != 1 {
		t.Errorf("%d audit entries, want 1", n)
	}
}

func TestClaimHistory(t *testing.T) {
	b := newGatewayBench(t)
	if h, err := b.store.ClaimHistory(t.Context(), time.Now().Add(-time.Hour)); err != nil || h.Claims != 0 || h.WaitMax != 0 {
		t.Errorf("without claims: %+v, %v", h, err)
	}
	b.addSlice(t, platform.SliceWarm, "current")
	b.signUp(t, "ana@example.com")
	b.signUp(t, "ben@example.com")
	b.addSlice(t, platform.SliceWarm, "current")
	b.exec(t, `UPDATE gateway.queue SET queued_at = queued_at - interval '10 s'`)
	if _, err := b.store.ServeQueue(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := b.store.ClaimHistory(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || h.Claims != 2 || h.Hits != 1 || h.WaitP50 < 10*time.Second || h.WaitMax > 30*time.Second || len(h.Hours) == 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := b.store.ClaimHistory(t.Context(), time.Now().Add(time.Hour)); err != nil || h.Claims != 0 || len(h.Hours) != 0 {
		t.Errorf("since later: %+v, %v", h, err)
	}
}
