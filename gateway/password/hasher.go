// Package password hashes and verifies passwords. Hashing is meant to be dear,
// and many people may sign in at once: it happens in worker processes of low
// priority, so that requests that need no hash do not wait for it.
package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
)

const (
	// slotWait bounds how long a request waits for a slot; by then its sender
	// has given up, and more of the kind only make the line longer.
	slotWait = 15 * time.Second

	// maxSlots bounds the memory: each slot hashes in 12 MiB, beside the garbage
	// of the hash before.
	maxSlots = 4
)

// Hasher is safe for concurrent use.
type Hasher struct {
	idle    chan engine // one for each slot
	slots   int
	dummy   string // a hash that no password is expected to match
	seconds prometheus.Observer
}

// engine does one job at a time.
type engine interface {
	do(job) (outcome, error)
	close()
}

// NewHasher returns a hasher that leaves one core free of hashing; seconds
// observes how long each hash took, the wait for its turn included. Workers hash
// over the connections that open makes; where it is nil the hashing happens in
// this process. Close it in the end.
func NewHasher(seconds prometheus.Observer, open Opener) (*Hasher, error) {
	dummy, err := local{}.do(job{Password: platform.NewSessionToken()})
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	slots := min(max(1, runtime.NumCPU()-1), maxSlots)
	h := &Hasher{idle: make(chan engine, slots), slots: slots, dummy: dummy.Hash, seconds: seconds}
	for range slots {
		if open != nil {
			h.idle <- &remote{open: open}
		} else {
			h.idle <- local{}
		}
	}
	return h, nil
}

// Close ends the connections to the workers, once the hashes under way are done.
func (h *Hasher) Close() {
	for range h.slots {
		(<-h.idle).close()
	}
}

// Hash returns the encoded hash of a password. Returns ErrUnavailable when too
// many others wait.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	return h.HashAfter(ctx, password, nil)
}

// HashAfter is Hash, but calls first when the password's turn has come, and
// returns its error, if any, as it is instead of hashing.
func (h *Hasher) HashAfter(ctx context.Context, password string, first func() error) (string, error) {
	out, err := h.do(ctx, job{Password: password}, first)
	return out.Hash, err
}

// Verify reports whether hash is of the password. With an empty hash it takes
// as long, and reports false: who asks cannot tell an unknown account from a
// wrong password. Returns ErrUnavailable when too many others wait.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	out, err := h.do(ctx, job{Password: password, Hash: hash}, nil)
	return out.Match && known, err
}

func (h *Hasher) do(ctx context.Context, j job, first func() error) (outcome, error) {
	start := time.Now()
	timeout := time.NewTimer(slotWait)
	defer timeout.Stop()
	var e engine
	select {
	case e = <-h.idle:
	case <-timeout.C:
		return outcome{}, platform.Errorf(platform.ErrUnavailable, "Too many people are signing in right now. Try again in a minute.")
	case <-ctx.Done():
		return outcome{}, fmt.Errorf("password: %w", ctx.Err())
	}
	defer func() {
		h.idle <- e
		h.seconds.Observe(time.Since(start).Seconds())
	}()
	if first != nil {
		if err := first(); err != nil {
			return outcome{}, err
		}
	}
	out, err := e.do(j)
	if err == nil && out.Error != "" {
		err = errors.New(out.Error)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("password: %w", err)
	}
	return out, nil
}
