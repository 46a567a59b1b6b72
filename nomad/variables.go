package nomad

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// variableDir is the folder of variables that jobs read by their own identity:
// nomad/jobs/slice-42 is for the job slice-42 alone.
const variableDir = "nomad/jobs/"

// Items of a slice's variable, as in jobs/slice.nomad.hcl.
const (
	itemDatabaseURL = "database_url"
	itemToken       = "token"
	itemSnapshotKey = "snapshot_key"
)

// Variables holds the slices' secrets. It is safe for concurrent use.
type Variables struct {
	client *api.Client
}

var _ provisioner.Variables = (*Variables)(nil)

// NewVariables returns the variables of all slices.
func NewVariables(client *api.Client) *Variables { return &Variables{client: client} }

func variablePath(number int) string { return variableDir + platform.SliceName(number) }

// Write stores the secrets of a slice. A snapshot key that is stored already
// stays. A write that crosses another one is refused.
func (v *Variables) Write(ctx context.Context, number int, s provisioner.Secrets) error {
	path := variablePath(number)
	old, _, err := v.client.Variables().Read(path, read(ctx))
	if err != nil && !errors.Is(err, api.ErrVariablePathNotFound) {
		return fmt.Errorf("write variable %s: read: %w", path, err)
	}
	n := &api.Variable{Namespace: platform.SliceNamespace, Path: path, Items: api.VariableItems{
		itemDatabaseURL: s.DatabaseURL,
		itemToken:       s.Token,
		itemSnapshotKey: s.SnapshotKey,
	}}
	if old != nil {
		n.ModifyIndex = old.ModifyIndex // 0, there is none, otherwise
		if key := old.Items[itemSnapshotKey]; key != "" {
			n.Items[itemSnapshotKey] = key
		}
	}
	_, _, err = v.client.Variables().CheckedUpdate(n, write(ctx))
	var conflict api.ErrCASConflict
	if errors.As(err, &conflict) { // its text could hold the other's secrets
		return fmt.Errorf("write variable %s: changed by somebody else at the same time", path)
	}
	if err != nil {
		return fmt.Errorf("write variable %s: %w", path, err)
	}
	return nil
}

// Delete removes the secrets of a slice.
func (v *Variables) Delete(ctx context.Context, number int) error {
	path := variablePath(number)
	if _, err := v.client.Variables().Delete(path, write(ctx)); err != nil && !isNotFound(err) {
		return fmt.Errorf("delete variable %s: %w", path, err)
	}
	return nil
}

// List returns the numbers that have a variable.
func (v *Variables) List(ctx context.Context) ([]int, error) {
	all, _, err := v.client.Variables().PrefixList(variableDir+"slice-", read(ctx))
	if err != nil {
		return nil, fmt.Errorf("list slice variables: %w", err)
	}
	numbers := make([]int, 0, len(all))
	for _, m := range all {
		if n, ok := platform.ParseSliceName(strings.TrimPrefix(m.Path, variableDir)); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}
