package consul

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform"
)

const (
	lookupsAtOnce = 8               // short ones; a Consul agent allows 200 connections to a client
	watchWait     = 5 * time.Minute // one blocking query; then it is asked again
)

// Catalog says which slices are healthy. It is safe for concurrent use.
type Catalog struct {
	health *api.Health
}

// NewCatalog returns the catalog that the client's agent knows.
func NewCatalog(client *api.Client) *Catalog { return &Catalog{health: client.Health()} }

// Passing returns those of the numbers whose service passes all its checks.
func (c *Catalog) Passing(ctx context.Context, numbers []int) ([]int, error) {
	var mu sync.Mutex // guards passing
	var passing []int
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookupsAtOnce)
	for _, n := range numbers {
		g.Go(func() error {
			ok, _, err := c.passing(ctx, n, &api.QueryOptions{})
			if ok {
				mu.Lock()
				defer mu.Unlock()
				passing = append(passing, n)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return passing, nil
}

// WaitPassing returns nil as soon as the service of a slice passes all its
// checks.
func (c *Catalog) WaitPassing(ctx context.Context, number int) error {
	var index uint64
	for {
		ok, next, err := c.passing(ctx, number, &api.QueryOptions{WaitIndex: index, WaitTime: watchWait})
		if err != nil || ok {
			return err
		}
		if next < index { // the servers were restored: begin again
			next = 0
		}
		index = max(next, 1) // 0 would not wait
	}
}

func (c *Catalog) passing(ctx context.Context, number int, q *api.QueryOptions) (ok bool, index uint64, err error) {
	name := platform.SliceName(number)
	entries, meta, err := c.health.Service(name, "", true, q.WithContext(ctx))
	if err != nil {
		return false, 0, fmt.Errorf("health of %s: %w", name, err)
	}
	return len(entries) > 0, meta.LastIndex, nil
}
