package auth

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
)

// hashParams are OWASP's recommendation for argon2id with the least memory
// that still resists GPUs: m=19 MiB, t=2, p=1.
var hashParams = &argon2id.Params{
	Memory:      19 * 1024, // KiB
	Iterations:  2,
	Parallelism: 1,
	SaltLength:  16, // bytes
	KeyLength:   32, // bytes
}

// hashWait bounds how long a request waits for a slot; by then its sender has
// given up, and more of the kind only make the line longer.
const hashWait = 15 * time.Second

// Hasher hashes and verifies passwords. It keeps one core free of hashing, so
// that requests that need no hash are not slowed down by those that do. It is
// safe for concurrent use.
type Hasher struct {
	slots   chan struct{}
	dummy   string // a hash that no password is expected to match
	seconds prometheus.Observer
}

// NewHasher returns a hasher; seconds observes how long each hash took.
func NewHasher(seconds prometheus.Observer) (*Hasher, error) {
	dummy, err := argon2id.CreateHash(platform.NewSessionToken(), hashParams)
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	slots := max(1, runtime.GOMAXPROCS(0)-1)
	return &Hasher{slots: make(chan struct{}, slots), dummy: dummy, seconds: seconds}, nil
}

// Hash returns the encoded hash of a password. Returns ErrUnavailable when too
// many others wait.
func (h *Hasher) Hash(ctx context.Context, password string) (hash string, err error) {
	err = h.inSlot(ctx, func() error {
		hash, err = argon2id.CreateHash(password, hashParams)
		return err
	})
	return hash, err
}

// Verify reports whether hash is of the password. With an empty hash it takes
// as long, and reports false: who asks cannot tell an unknown account from a
// wrong password.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (match bool, err error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	err = h.inSlot(ctx, func() error {
		match, err = argon2id.ComparePasswordAndHash(password, hash)
		return err
	})
	return match && known, err
}

func (h *Hasher) inSlot(ctx context.Context, f func() error) error {
	start := time.Now()
	timeout := time.NewTimer(hashWait)
	defer timeout.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-timeout.C:
		return platform.Errorf(platform.ErrUnavailable, "Too many people are signing in right now. Try again in a minute.")
	case <-ctx.Done():
		return fmt.Errorf("hash: %w", ctx.Err())
	}
	defer func() {
		<-h.slots
		h.seconds.Observe(time.Since(start).Seconds())
	}()
	if err := f(); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	return nil
}
