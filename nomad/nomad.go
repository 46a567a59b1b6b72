// Package nomad adapts Nomad: the slices' jobs and variables, the event stream
// that says when they change, and the ACL policies of the programs.
package nomad

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

//go:embed policies/*.hcl
var policies embed.FS

// Policy returns the rules of the ACL policy of one program, such as
// "provisioner".
func Policy(program string) (string, error) {
	b, err := policies.ReadFile("policies/" + program + ".hcl")
	if err != nil {
		return "", fmt.Errorf("nomad policy %s: %w", program, err)
	}
	return string(b), nil
}

// NewClient returns a client for the namespace of the slices.
func NewClient(address, token string) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{Address: address, SecretID: token, Namespace: platform.SliceNamespace})
	if err != nil {
		return nil, fmt.Errorf("nomad client: %w", err)
	}
	return c, nil
}

// read and write carry the context. The namespace is named in each request, so
// that no client made elsewhere can send one to another.
func read(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{Namespace: platform.SliceNamespace}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{Namespace: platform.SliceNamespace}).WithContext(ctx)
}

func hasStatus(err error, status int) bool {
	var e api.UnexpectedResponseError
	return errors.As(err, &e) && e.HasStatusCode() && e.StatusCode() == status
}

func isNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }
