package gateway

import (
	"context"
	"fmt"

	"ipnoelp.io/platform"
)

// EnsureAdmin makes the first admin if there is none. Several gateways may do
// so at once.
func (g *Gateway) EnsureAdmin(ctx context.Context, c platform.Credentials) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	exists, err := g.Store.HasAdmin(ctx)
	if err != nil || exists {
		return err
	}
	hash, err := g.hasher.Hash(ctx, c.Password)
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	made, err := g.Store.CreateFirstAdmin(ctx, c.Email, hash)
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	if made {
		g.Log.Info("first admin created")
	}
	return nil
}
