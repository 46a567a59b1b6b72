// Package consul adapts Consul: the health of slices and where they are, the
// lock that makes one provisioner act, and the ACL policies of the programs.
package consul

import (
	"embed"
	"fmt"

	"github.com/hashicorp/consul/api"
)

//go:embed policies/*.hcl
var policies embed.FS

// Policy returns the rules of the ACL policy of one program, such as
// "gateway".
func Policy(program string) (string, error) {
	b, err := policies.ReadFile("policies/" + program + ".hcl")
	if err != nil {
		return "", fmt.Errorf("consul policy %s: %w", program, err)
	}
	return string(b), nil
}

// NewClient returns a client of the agent at address, host:port.
func NewClient(address, token string) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{Address: address, Token: token})
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	return c, nil
}
