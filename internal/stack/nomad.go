package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// startNomad starts the Nomad agent, waits until its client can be given work,
// and returns a client with the management token.
func (c *Config) startNomad(ctx context.Context, program string, s *secrets) (*nomad.Client, string, error) {
	p := c.process("nomad")
	note := "already running"
	if p.pid() == 0 {
		if err := portFree(strings.TrimPrefix(c.nomadAddr(), "http://")); err != nil {
			return nil, "", advise(err, "", "stop that program, or set STACK_PORT_OFFSET")
		}
		low, high := c.dynamicPorts()
		config, err := c.render("nomad/agent.hcl.tmpl", "nomad.hcl", map[string]any{
			"Datacenter": "dc1", "NodeName": c.nodeName(), "DataDir": c.path("nomad"),
			"HTTPPort": c.port(nomadHTTPPort), "RPCPort": c.port(nomadRPCPort), "SerfPort": c.port(nomadSerfPort),
			"BridgeInterface": bridgeInterface, "MinDynamicPort": low, "MaxDynamicPort": high,
			"PostgresDir": c.path("postgres"), "SimDir": c.path("whatsappsim"),
			"ConsulHTTPPort": c.port(consulHTTPPort), "ConsulToken": s.ConsulNomadToken,
		})
		if err != nil {
			return nil, "", err
		}
		if err := p.start(program, c.cleanEnviron(), "agent", "-config", config); err != nil {
			return nil, "", err
		}
		// New slices can wait for a processor; who uses one, or signs up, should not.
		if err := p.background(); err != nil {
			return nil, "", err
		}
		note = "started"
	}
	client, err := c.nomadClient(s.NomadManagementToken)
	if err != nil {
		return nil, "", err
	}
	waiting, cancel := context.WithTimeout(ctx, agentStartTimeout)
	defer cancel()
	err = poll(waiting, 100*time.Millisecond, func() error {
		if p.pid() == 0 {
			return final{errors.New("the agent has ended")}
		}
		return nomadReady(client, s.NomadManagementToken)
	})
	return client, note, advise(err, p.logFile, "see the log; with `make destroy` the stack starts anew")
}

func (c *Config) nomadClient(token string) (*nomad.Client, error) {
	return nomad.NewClient(&nomad.Config{Address: c.nomadAddr(), SecretID: token})
}

func nomadReady(client *nomad.Client, managementToken string) error {
	if _, _, err := client.ACLTokens().Self(nil); err != nil {
		// The first start: this makes our token the management token.
		if _, _, err := client.ACLTokens().BootstrapOpts(managementToken, nil); err != nil {
			return fmt.Errorf("ACL bootstrap: %w", err)
		}
	}
	nodes, _, err := client.Nodes().List(nil)
	if err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	for _, n := range nodes {
		if n.Status != "ready" {
			continue
		}
		for driver, info := range n.Drivers {
			if driver == "docker" && info.Healthy {
				return nil
			}
		}
	}
	return errors.New("no node with a healthy Docker driver yet")
}

// nomadACL makes the namespace, and the programs' policies and tokens.
func (c *Config) nomadACL(client *nomad.Client, s *secrets) error {
	namespaces := client.Namespaces()
	if _, _, err := namespaces.Info(platform.SliceNamespace, nil); err != nil {
		if _, err := namespaces.Register(&nomad.Namespace{Name: platform.SliceNamespace, Description: "One job for each tenant"}, nil); err != nil {
			return fmt.Errorf("nomad namespace: %w", err)
		}
	}
	if err := c.nomadToken(client, "provisioner", &s.NomadProvisionerToken); err != nil {
		return err
	}
	if err := c.nomadToken(client, "gateway", &s.NomadGatewayToken); err != nil {
		return err
	}
	return c.saveSecrets(s)
}

// nomadToken brings a program's policy up to date, and makes its token unless
// the one that it has is good.
func (c *Config) nomadToken(client *nomad.Client, name string, secret *string) error {
	rules, err := os.ReadFile(filepath.Join(c.SourceDir, "nomad", "policies", name+".hcl"))
	if err != nil {
		return err
	}
	if have, _, err := client.ACLPolicies().Info(name, nil); err != nil || have.Rules != string(rules) {
		if _, err := client.ACLPolicies().Upsert(&nomad.ACLPolicy{Name: name, Rules: string(rules)}, nil); err != nil {
			return fmt.Errorf("nomad policy %s: %w", name, err)
		}
	}
	if *secret != "" {
		own, err := c.nomadClient(*secret)
		if err != nil {
			return err
		}
		if _, _, err := own.ACLTokens().Self(nil); err == nil {
			return nil
		}
	}
	token, _, err := client.ACLTokens().Create(&nomad.ACLToken{Name: name, Type: "client", Policies: []string{name}}, nil)
	if err != nil {
		return fmt.Errorf("nomad token %s: %w", name, err)
	}
	*secret = token.SecretID
	return nil
}

// putVariable writes a job's secrets where only its own tasks can read them.
func putVariable(client *nomad.Client, job string, items map[string]string) error {
	path := "nomad/jobs/" + job
	have, _, err := client.Variables().Peek(path, nil)
	if err != nil {
		return fmt.Errorf("nomad variable %s: %w", path, err)
	}
	if have != nil && equal(have.Items, items) {
		return nil
	}
	v := nomad.NewVariable(path)
	v.Items = items
	if _, _, err := client.Variables().Update(v, nil); err != nil {
		return fmt.Errorf("nomad variable %s: %w", path, err)
	}
	return nil
}

func equal(a nomad.VariableItems, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range b {
		if a[k] != v {
			return false
		}
	}
	return true
}
