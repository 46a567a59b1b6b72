//go:build integration

package consul_test

import (
	"crypto/rand"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/hashicorp/consul/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/provisioner/provisionertest"
)

// management returns a client that may do everything, and its address.
func management(t *testing.T) (*api.Client, string) {
	t.Helper()
	address, token := os.Getenv("CONSUL_HTTP_ADDR"), os.Getenv("CONSUL_HTTP_TOKEN")
	if address == "" || token == "" {
		t.Fatal("CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN (a management token) name the Consul agent that this test needs; `make test` sets them")
	}
	c, err := consul.NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	return c, address
}

// clientOf returns a client with the policy of one program.
func clientOf(t *testing.T, program string) *api.Client {
	t.Helper()
	admin, address := management(t)
	rules, err := consul.Policy(program)
	if err != nil {
		t.Fatal(err)
	}
	policy, _, err := admin.ACL().PolicyCreate(&api.ACLPolicy{Name: "test-" + rand.Text(), Rules: rules}, nil)
	if err != nil {
		t.Fatalf("policy of %s: %v", program, err)
	}
	token, _, err := admin.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatalf("token of %s: %v", program, err)
	}
	t.Cleanup(func() {
		if _, err := admin.ACL().TokenDelete(token.AccessorID, nil); err != nil {
			t.Error(err)
		}
		if _, err := admin.ACL().PolicyDelete(policy.ID, nil); err != nil {
			t.Error(err)
		}
	})
	c, err := consul.NewClient(address, token.SecretID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func randomNumber(t *testing.T) int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return int(n.Int64()) + 1_000_000_000
}

func TestCatalogConforms(t *testing.T) {
	admin, _ := management(t)
	agent := admin.Agent()
	registered := make(map[int]bool)
	t.Cleanup(func() {
		for n := range registered {
			if err := agent.ServiceDeregister(platform.SliceName(n)); err != nil {
				t.Error(err)
			}
		}
	})
	set := func(t *testing.T, number int, passing bool) {
		t.Helper()
		name := platform.SliceName(number)
		if !registered[number] {
			registered[number] = true
			err := agent.ServiceRegister(&api.AgentServiceRegistration{ID: name, Name: name, Port: 1,
				Check: &api.AgentServiceCheck{CheckID: name, TTL: "10m"}})
			if err != nil {
				t.Fatal(err)
			}
		}
		status := api.HealthCritical
		if passing {
			status = api.HealthPassing
		}
		if err := agent.UpdateTTL(name, "", status); err != nil {
			t.Fatal(err)
		}
		awaitStatus(t, admin, name, status)
	}
	provisionertest.TestCatalog(t, consul.NewCatalog(clientOf(t, "provisioner")), randomNumber(t), set)
}

// awaitStatus returns when the catalog has what the agent was told.
func awaitStatus(t *testing.T, c *api.Client, service, status string) {
	t.Helper()
	var index uint64
	for {
		q := (&api.QueryOptions{WaitIndex: index}).WithContext(t.Context())
		checks, meta, err := c.Health().Checks(service, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(checks) == 1 && checks[0].Status == status {
			return
		}
		index = max(meta.LastIndex, 1)
	}
}

// Each program's token can do its own work and no more.
func TestPoliciesAreLeast(t *testing.T) {
	admin, _ := management(t)
	slice := platform.SliceName(randomNumber(t))
	if err := admin.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: slice, Name: slice, Port: 1,
		Check: &api.AgentServiceCheck{CheckID: slice, TTL: "10m"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.Agent().ServiceDeregister(slice); err != nil {
			t.Error(err)
		}
	})
	awaitStatus(t, admin, slice, api.HealthCritical)
	for _, program := range []string{"provisioner", "gateway", "prometheus"} {
		c := clientOf(t, program)
		own := &api.KVPair{Key: consul.LeaderKey, Value: []byte("x")}
		cases := map[string]struct {
			allowed bool
			do      func() error
		}{
			"lead": {program == "provisioner", func() error { _, err := c.KV().Put(own, nil); return err }},
			"open a session": {program == "provisioner", func() error {
				id, _, err := c.Session().Create(&api.SessionEntry{TTL: "10s"}, nil)
				if err == nil {
					_, err = c.Session().Destroy(id, nil)
				}
				return err
			}},
			"write other keys":   {false, func() error { _, err := c.KV().Put(&api.KVPair{Key: "other"}, nil); return err }},
			"register a service": {false, func() error { return c.Agent().ServiceRegister(&api.AgentServiceRegistration{Name: "slice-1"}) }},
			"read the agent":     {program == "prometheus", func() error { _, err := c.Agent().Self(); return err }},
			"read its metrics":   {program == "prometheus", func() error { _, err := c.Agent().Metrics(); return err }},
			"read policies":      {false, func() error { _, _, err := c.ACL().PolicyList(nil); return err }},
			"read slices' health": {program != "prometheus", func() error {
				found, _, err := c.Health().Service(slice, "", false, nil)
				if err == nil && len(found) == 0 { // what one may not see is left out
					err = errors.New("nothing is shown")
				}
				return err
			}},
		}
		for name, k := range cases {
			t.Run(program+"/"+name, func(t *testing.T) {
				if err := k.do(); (err == nil) != k.allowed {
					t.Errorf("allowed %v, want %v (%v)", err == nil, k.allowed, err)
				}
			})
		}
	}
}
