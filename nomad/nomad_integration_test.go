//go:build integration

package nomad_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"testing"

	"github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/nomad"
	"ipnoelp.io/platform/provisioner"
	"ipnoelp.io/platform/provisioner/provisionertest"
)

// bench is a real Nomad: a management token, and those of the programs.
type bench struct {
	management, provisioner, gateway *api.Client
}

func setup(t *testing.T) bench {
	t.Helper()
	address, token := os.Getenv("NOMAD_ADDR"), os.Getenv("NOMAD_TOKEN")
	if address == "" || token == "" {
		t.Fatal("NOMAD_ADDR and NOMAD_TOKEN (a management token) name the Nomad that this test needs; `make test` sets them")
	}
	management, err := nomad.NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := management.Namespaces().Register(&api.Namespace{Name: platform.SliceNamespace}, nil); err != nil {
		t.Fatalf("namespace: %v", err)
	}
	return bench{management, asProgram(t, management, "provisioner"), asProgram(t, management, "gateway")}
}

// asProgram returns a client with the policy of a program.
func asProgram(t *testing.T, management *api.Client, program string) *api.Client {
	t.Helper()
	rules, err := nomad.Policy(program)
	if err != nil {
		t.Fatal(err)
	}
	policy := "test-" + rand.Text()
	if _, err := management.ACLPolicies().Upsert(&api.ACLPolicy{Name: policy, Rules: rules}, nil); err != nil {
		t.Fatalf("policy: %v", err)
	}
	made, _, err := management.ACLTokens().Create(&api.ACLToken{Name: policy, Type: "client", Policies: []string{policy}}, nil)
	if err != nil {
		t.Fatalf("token: %v", err)
	}
	t.Cleanup(func() {
		if _, err := management.ACLTokens().Delete(made.AccessorID, nil); err != nil {
			t.Error(err)
		}
		if _, err := management.ACLPolicies().Delete(policy, nil); err != nil {
			t.Error(err)
		}
	})
	client, err := nomad.NewClient(management.Address(), made.SecretID)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// randomNumber keeps tests on one Nomad out of each other's way.
func randomNumber(t *testing.T) int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return int(n.Int64()) + 1_000_000_000
}

// No machine fits this job, so it is registered and nothing runs. Like the
// slices' own it has no deployment; see jobs/slice.nomad.hcl for the reason.
const unplaceable = `
variable "number" {}
variable "generation" {}
variable "image" {}
job "slice" {
  id        = "slice-${var.number}"
  namespace = "slices"
  constraint {
    attribute = "${node.unique.id}"
    value     = "none"
  }
  meta { generation = var.generation }
  update { max_parallel = 0 }
  group "slice" {
    task "slice" {
      driver = "docker"
      config { image = var.image }
    }
  }
}`

func TestJobsConform(t *testing.T) {
	b := setup(t)
	jobs := nomad.NewJobs(b.provisioner, nomad.SliceJob{Source: unplaceable, Variables: map[string]any{"image": "x"}})
	number := randomNumber(t)
	t.Cleanup(func() {
		if err := nomad.NewJobs(b.management, nomad.SliceJob{}).Purge(context.Background(), number); err != nil {
			t.Error(err)
		}
	})
	operator := b.management.Jobs()
	stop := func(t *testing.T, number int) {
		t.Helper()
		if _, _, err := operator.Deregister(platform.SliceName(number), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	start := func(t *testing.T, number int) {
		t.Helper()
		job, _, err := operator.Info(platform.SliceName(number), nil)
		if err != nil {
			t.Fatal(err)
		}
		again := false
		job.Stop = &again
		if _, _, err := operator.Register(job, nil); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	provisionertest.TestJobs(t, jobs, nomad.NewEvents(b.provisioner, log), number, stop, start)
}

func TestVariablesConform(t *testing.T) {
	b := setup(t)
	number := randomNumber(t)
	path := "nomad/jobs/" + platform.SliceName(number)
	t.Cleanup(func() {
		if _, err := b.management.Variables().Delete(path, nil); err != nil {
			t.Error(err)
		}
	})
	read := func(t *testing.T, _ int) (s provisioner.Secrets, ok bool) {
		t.Helper()
		v, _, err := b.management.Variables().Read(path, nil)
		if errors.Is(err, api.ErrVariablePathNotFound) {
			return s, false
		}
		if err != nil {
			t.Fatal(err)
		}
		return provisioner.Secrets{DatabaseURL: v.Items["database_url"], Token: v.Items["token"], SnapshotKey: v.Items["snapshot_key"]}, true
	}
	provisionertest.TestVariables(t, nomad.NewVariables(b.provisioner), number, read)
}

// The provisioner's token reaches nothing but slices.
func TestPolicyIsLeast(t *testing.T) {
	b := setup(t)
	inDefault := &api.QueryOptions{Namespace: "default"}
	putInDefault := &api.WriteOptions{Namespace: "default"}
	other := func(namespace, path string) *api.Variable {
		return &api.Variable{Namespace: namespace, Path: path, Items: api.VariableItems{"a": "b"}}
	}
	c := b.provisioner
	cases := map[string]func() error{
		"read jobs elsewhere": func() error { _, _, err := c.Jobs().Info("gateway", inDefault); return err },
		"purge jobs elsewhere": func() error {
			_, _, err := c.Jobs().Deregister("gateway", true, putInDefault)
			return err
		},
		"write variables elsewhere": func() error {
			_, _, err := c.Variables().Update(other("default", "nomad/jobs/gateway"), putInDefault)
			return err
		},
		"write other variables": func() error {
			_, _, err := c.Variables().Update(other(platform.SliceNamespace, "nomad/jobs/other"), nil)
			return err
		},
		"list nodes": func() error { _, _, err := c.Nodes().List(nil); return err },
		"write policies": func() error {
			_, err := c.ACLPolicies().Upsert(&api.ACLPolicy{Name: "nope"}, nil)
			return err
		},
		"make namespaces": func() error {
			_, err := c.Namespaces().Register(&api.Namespace{Name: "nope"}, nil)
			return err
		},
	}
	for name, do := range cases {
		t.Run(name, func(t *testing.T) {
			if err := do(); err == nil {
				t.Error("allowed")
			}
		})
	}
}

// The gateway's token shows what admins see, and changes nothing but by a
// restart.
func TestGatewayPolicyIsLeast(t *testing.T) {
	b := setup(t)
	c := b.gateway
	number := randomNumber(t)
	path := "nomad/jobs/" + platform.SliceName(number)
	secret := api.NewVariable(path)
	secret.Namespace, secret.Items = platform.SliceNamespace, api.VariableItems{"token": "secret"}
	if _, _, err := b.management.Variables().Create(secret, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.management.Variables().Delete(path, nil); err != nil {
			t.Error(err)
		}
	})
	view := nomad.NewCluster(c, slog.New(slog.DiscardHandler))
	if _, err := view.Instances(t.Context()); err != nil {
		t.Errorf("instances: %v", err)
	}
	if _, err := view.Nodes(t.Context()); err != nil {
		t.Errorf("nodes: %v", err)
	}
	inDefault := &api.QueryOptions{Namespace: "default"}
	for name, do := range map[string]func() error{
		"read jobs elsewhere":    func() error { _, _, err := c.Jobs().Info("gateway", inDefault); return err },
		"read a slice's secrets": func() error { _, _, err := c.Variables().Read(path, nil); return err },
		"purge a slice": func() error {
			_, _, err := c.Jobs().Deregister(platform.SliceName(number), true, nil)
			return err
		},
		"register a slice": func() error {
			return nomad.NewJobs(c, nomad.SliceJob{Source: unplaceable}).Register(t.Context(), number, 1)
		},
		"write policies": func() error {
			_, err := c.ACLPolicies().Upsert(&api.ACLPolicy{Name: "nope"}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := do(); err == nil {
				t.Error("allowed")
			}
		})
	}
}
