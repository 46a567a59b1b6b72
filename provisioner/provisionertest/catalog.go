package provisionertest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"ipnoelp.io/platform/provisioner"
)

// Catalog is health in memory. It is safe for concurrent use.
type Catalog struct {
	Faults

	mu      sync.Mutex // guards the following fields
	passing map[int]bool
	changed chan struct{} // closed at the next change
}

var _ provisioner.Catalog = (*Catalog)(nil)

// NewCatalog returns a catalog in which nothing passes.
func NewCatalog() *Catalog {
	return &Catalog{passing: make(map[int]bool), changed: make(chan struct{})}
}

func (c *Catalog) Passing(_ context.Context, numbers []int) ([]int, error) {
	if err := c.fault("passing", 0); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return !c.passing[n] }), nil
}

func (c *Catalog) WaitPassing(ctx context.Context, number int) error {
	for {
		if err := c.fault("wait-passing", number); err != nil {
			return err
		}
		c.mu.Lock()
		ok, changed := c.passing[number], c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Set says whether a slice passes.
func (c *Catalog) Set(number int, passing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if passing {
		c.passing[number] = true
	} else {
		delete(c.passing, number)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Numbers returns those that pass, in order.
func (c *Catalog) Numbers() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.passing))
}
