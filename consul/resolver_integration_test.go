//go:build integration

package consul

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"ipnoelp.io/platform"
)

// TestResolverOnConsul runs the resolver against a real agent.
func TestResolverOnConsul(t *testing.T) {
	if os.Getenv("CONSUL_HTTP_ADDR") == "" {
		t.Fatal("CONSUL_HTTP_ADDR is not set: it names the Consul agent that this test needs (`make test` sets it, and CONSUL_HTTP_TOKEN)")
	}
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	// A number that no slice of a running platform has.
	number := 1_000_000_000 + rand.IntN(1_000_000_000)
	name := platform.SliceName(number)
	register := func(id string, port int, status string) {
		t.Helper()
		err := client.Agent().ServiceRegister(&api.AgentServiceRegistration{
			ID: id, Name: name, Address: "127.0.0.1", Port: port,
			Check: &api.AgentServiceCheck{TTL: "1h", Status: status},
		})
		if err != nil {
			t.Fatalf("register %s: %v", id, err)
		}
		t.Cleanup(func() { client.Agent().ServiceDeregister(id) })
	}
	r := NewResolver(client, slog.New(slog.DiscardHandler))
	t.Cleanup(r.Close)

	if _, err := r.Resolve(t.Context(), number); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Fatalf("unregistered: error %v, want unavailable", err)
	}
	register(name+"-a", 2001, api.HealthCritical)
	if _, err := r.Resolve(t.Context(), number); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Fatalf("critical: error %v, want unavailable", err)
	}
	if err := client.Agent().UpdateTTL("service:"+name+"-a", "", api.HealthPassing); err != nil {
		t.Fatal(err)
	}
	resolvesTo(t, r, number, "127.0.0.1:2001")

	// It moves: the new address is found after the old one proved wrong, at
	// once, whatever the agent has cached.
	register(name+"-b", 2002, api.HealthPassing)
	if err := client.Agent().ServiceDeregister(name + "-a"); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		services, _, err := client.Health().Service(name, "", true, &api.QueryOptions{RequireConsistent: true})
		return err == nil && len(services) == 1 && services[0].Service.Port == 2002
	})
	r.Invalidate(number, "127.0.0.1:2001")
	if addr, err := r.Resolve(t.Context(), number); err != nil || addr != "127.0.0.1:2002" {
		t.Errorf("after it moved: %q, %v; want 127.0.0.1:2002", addr, err)
	}
}

func resolvesTo(t *testing.T, r *Resolver, number int, want string) {
	t.Helper()
	until(t, func() bool {
		addr, err := r.Resolve(t.Context(), number)
		return err == nil && addr == want
	})
}

// until polls for up to 10 s.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("not in 10 s")
		case <-tick.C:
		}
	}
}
