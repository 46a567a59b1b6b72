// Package queue gives the slices that become warm to the users who wait, and
// tells those users live how things stand.
package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
)

const (
	serveEvery   = 15 * time.Second // also without a wake-up, in case one was lost
	serveTimeout = 10 * time.Second // for one round
	serveRetry   = time.Second      // after a round that failed
)

// Store is the queue in the database.
type Store interface {
	// ServeQueue gives warm slices to those who have waited longest and
	// returns how many it served. All gateways may call it at once.
	ServeQueue(ctx context.Context) (int, error)

	// QueuePositions returns where everybody stands, by user id.
	QueuePositions(ctx context.Context) (map[string]platform.QueuePosition, error)
}

// Queue is safe for concurrent use.
type Queue struct {
	store  Store
	served prometheus.Counter
	log    *slog.Logger
	wake   chan struct{}

	mu        sync.Mutex
	watchers  map[string]map[*Watcher]struct{}  // guarded by mu; by user id
	positions map[string]platform.QueuePosition // guarded by mu; as of the last round that somebody watched
}

// New returns a queue that does nothing until Run.
func New(store Store, served prometheus.Counter, log *slog.Logger) *Queue {
	return &Queue{
		store: store, served: served, log: log, wake: make(chan struct{}, 1),
		watchers: make(map[string]map[*Watcher]struct{}),
	}
}

// Wake says that a slice became warm, or that the queue changed.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // a round is due already
	}
}

// Run serves the queue until ctx is done.
func (q *Queue) Run(ctx context.Context) {
	tick := time.NewTicker(serveEvery)
	defer tick.Stop()
	for {
		if err := q.round(ctx); err != nil && ctx.Err() == nil {
			q.log.Error("the queue was not served", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(serveRetry):
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-tick.C:
		}
	}
}

func (q *Queue) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	n, err := q.store.ServeQueue(ctx)
	q.served.Add(float64(n))
	if err != nil {
		return err
	}
	q.mu.Lock()
	watched := len(q.watchers) > 0
	q.mu.Unlock()
	if !watched {
		return nil
	}
	positions, err := q.store.QueuePositions(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.positions = positions
	for _, of := range q.watchers {
		for w := range of {
			w.signal()
		}
	}
	return nil
}

// Watcher is told when things may have changed for one user.
type Watcher struct {
	C <-chan struct{} // one signal may stand for several changes

	c    chan struct{}
	q    *Queue
	user string
}

// Watch begins to watch for a user. Close the watcher in the end.
func (q *Queue) Watch(userID string) *Watcher {
	c := make(chan struct{}, 1)
	w := &Watcher{C: c, c: c, q: q, user: userID}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watchers[userID] == nil {
		q.watchers[userID] = make(map[*Watcher]struct{})
	}
	q.watchers[userID][w] = struct{}{}
	return w
}

// Close ends watching.
func (w *Watcher) Close() {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	of := w.q.watchers[w.user]
	delete(of, w)
	if len(of) == 0 {
		delete(w.q.watchers, w.user)
	}
	if len(w.q.watchers) == 0 {
		w.q.positions = nil // nobody keeps it up to date now
	}
}

func (w *Watcher) signal() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// Position returns where the user stood when the queue last changed; false if
// they did not wait or nobody had looked.
func (w *Watcher) Position() (platform.QueuePosition, bool) {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	p, ok := w.q.positions[w.user]
	return p, ok
}

// Signal says that a user's slice changed.
func (q *Queue) Signal(userID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := range q.watchers[userID] {
		w.signal()
	}
}
