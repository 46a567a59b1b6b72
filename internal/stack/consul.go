package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	consul "github.com/hashicorp/consul/api"
)

const agentStartTimeout = 60 * time.Second

// edgeAuthMethod lets tasks trade their Nomad identity for a Consul token. Its
// name is the one that Nomad's clients use by default.
const edgeAuthMethod = "nomad-workloads"

// startConsul starts the Consul agent and returns a client with the management
// token.
func (c *Config) startConsul(ctx context.Context, program string, s *secrets) (*consul.Client, string, error) {
	client, err := c.consulClient(s.ConsulManagementToken)
	if err != nil {
		return nil, "", err
	}
	p := c.process("consul")
	note := "already running"
	if p.pid() == 0 {
		if err := portFree(c.consulAddr()); err != nil {
			return nil, "", advise(err, "", "stop that program, or set STACK_PORT_OFFSET")
		}
		config, err := c.render("consul/agent.hcl.tmpl", "consul.hcl", map[string]any{
			"Datacenter": "dc1", "NodeName": c.nodeName(), "DataDir": c.path("consul"),
			"HTTPPort": c.port(consulHTTPPort), "ServerPort": c.port(consulServerPort), "SerfPort": c.port(consulSerfPort),
			"ManagementToken": s.ConsulManagementToken, "AgentToken": s.ConsulAgentToken,
		})
		if err != nil {
			return nil, "", err
		}
		if err := p.start(program, c.cleanEnviron(), "agent", "-config-file", config); err != nil {
			return nil, "", err
		}
		note = "started"
	}
	waiting, cancel := context.WithTimeout(ctx, agentStartTimeout)
	defer cancel()
	err = poll(waiting, 100*time.Millisecond, func() error {
		if p.pid() == 0 {
			return final{errors.New("the agent has ended")}
		}
		// A write that goes through shows a leader and the management token.
		_, err := client.KV().Put(&consul.KVPair{Key: "platform/stack", Value: []byte(c.Name)}, nil)
		return err
	})
	return client, note, advise(err, p.logFile, "see the log; with `make destroy` the stack starts anew")
}

func (c *Config) consulClient(token string) (*consul.Client, error) {
	return consul.NewClient(&consul.Config{Address: c.consulAddr(), Token: token, WaitTime: time.Minute})
}

// consulACL makes the policies and one token for each program.
func (c *Config) consulACL(client *consul.Client, s *secrets) (string, error) {
	tokens := []struct{ policy, secret string }{
		{"consul-agent", s.ConsulAgentToken},
		{"nomad-agent", s.ConsulNomadToken},
		{"gateway", s.ConsulGatewayToken},
		{"provisioner", s.ConsulProvisionerToken},
		{"edge", ""}, // through its workload identity
	}
	for _, t := range tokens {
		if err := c.consulPolicy(client, t.policy); err != nil {
			return "", err
		}
		if t.secret == "" {
			continue
		}
		if _, _, err := client.ACL().TokenReadSelf(&consul.QueryOptions{Token: t.secret}); err == nil {
			continue
		}
		_, _, err := client.ACL().TokenCreate(&consul.ACLToken{SecretID: t.secret, Description: t.policy,
			Policies: []*consul.ACLTokenPolicyLink{{Name: t.policy}}}, nil)
		if err != nil {
			return "", fmt.Errorf("consul token %s: %w", t.policy, err)
		}
	}
	return fmt.Sprintf("%d policies", len(tokens)), nil
}

func (c *Config) consulPolicy(client *consul.Client, name string) error {
	rules, err := os.ReadFile(filepath.Join(c.SourceDir, "consul", "policies", name+".hcl"))
	if err != nil {
		return err
	}
	have, _, err := client.ACL().PolicyReadByName(name, nil)
	if err != nil && !strings.Contains(err.Error(), "404") {
		return fmt.Errorf("consul policy %s: %w", name, err)
	}
	if have == nil {
		_, _, err = client.ACL().PolicyCreate(&consul.ACLPolicy{Name: name, Rules: string(rules)}, nil)
	} else if have.Rules != string(rules) {
		have.Rules = string(rules)
		_, _, err = client.ACL().PolicyUpdate(have, nil)
	} else {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("consul policy %s: %w", name, err)
	}
	return nil
}

// consulWorkloadIdentities lets the edge's task read the gateway's addresses
// with a token of its own. Nomad must be running: Consul fetches its keys.
func (c *Config) consulWorkloadIdentities(client *consul.Client) error {
	method := &consul.ACLAuthMethod{
		Name: edgeAuthMethod, Type: "jwt", Description: "Nomad tasks",
		Config: map[string]any{
			"JWKSURL":          c.nomadAddr() + "/.well-known/jwks.json",
			"JWTSupportedAlgs": []string{"RS256"},
			"BoundAudiences":   []string{"consul.io"},
			"ClaimMappings": map[string]string{
				"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task",
			},
		},
	}
	have, _, err := client.ACL().AuthMethodRead(method.Name, nil)
	if err != nil {
		return fmt.Errorf("consul auth method: %w", err)
	}
	if have == nil {
		if _, _, err := client.ACL().AuthMethodCreate(method, nil); err != nil {
			return fmt.Errorf("consul auth method: %w", err)
		}
	}
	role, _, err := client.ACL().RoleReadByName("edge", nil)
	if err != nil {
		return fmt.Errorf("consul role: %w", err)
	}
	if role == nil {
		if _, _, err := client.ACL().RoleCreate(&consul.ACLRole{Name: "edge", Policies: []*consul.ACLRolePolicyLink{{Name: "edge"}}}, nil); err != nil {
			return fmt.Errorf("consul role: %w", err)
		}
	}
	rules, _, err := client.ACL().BindingRuleList(method.Name, nil)
	if err != nil {
		return fmt.Errorf("consul binding rule: %w", err)
	}
	if len(rules) == 0 {
		_, _, err := client.ACL().BindingRuleCreate(&consul.ACLBindingRule{
			AuthMethod: method.Name, BindType: consul.BindingRuleBindTypeRole, BindName: "edge",
			Selector: `value.nomad_namespace == "default" and value.nomad_job_id == "edge" and value.nomad_task == "nginx"`,
		}, nil)
		if err != nil {
			return fmt.Errorf("consul binding rule: %w", err)
		}
	}
	return nil
}

// render fills an agent's configuration template and returns the file's path.
func (c *Config) render(source, name string, values map[string]any) (string, error) {
	t, err := template.ParseFiles(filepath.Join(c.SourceDir, source))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&b, values); err != nil {
		return "", err
	}
	file := c.path("run", name)
	return file, os.WriteFile(file, b.Bytes(), 0o600)
}

// cleanEnviron is what the agents get of this program's environment: none of
// the variables that configure them or their clients. The mark is passed on to
// all that they start.
func (c *Config) cleanEnviron() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", c.mark()}
}

// mark tells the processes of this stack from all others.
func (c *Config) mark() string { return "PLATFORM_STACK_DIR=" + c.StateDir }
