package nomad

import (
	"cmp"
	"sync"
	"time"

	"ipnoelp.io/platform/gateway/cluster"
)

// cached keeps a value for clusterFresh. Who asks while it is read waits for
// the same reading.
type cached[T any] struct {
	mu    sync.Mutex
	value T         // guarded by mu
	at    time.Time // guarded by mu; zero before the first reading
}

func (c *cached[T]) get(read func() (T, error)) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < clusterFresh {
		return c.value, nil
	}
	v, err := read()
	if err == nil {
		c.value, c.at = v, time.Now()
	}
	return v, err
}

func compareNames(a, b cluster.Node) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}
