package provisioner

import (
	"context"

	"ipnoelp.io/platform"
)

// The parts that a slice is made of, as the provisioner needs them. All are
// safe for concurrent use on different numbers. Every method is idempotent: a
// call that was cut off may have had its effect, and is made again.

// Records are the rows of gateway.slices and gateway.generations. They hold
// what is wanted; everything else follows them.
type Records interface {
	// UseGeneration makes the generation with this fingerprint the current
	// one, adding it if it is new, and returns its ID.
	UseGeneration(ctx context.Context, fingerprint string) (int64, error)

	// Pool reads all records that are not gone and, of the others, those with
	// the given numbers; failures are counted in the given generation.
	Pool(ctx context.Context, generation int64, gone []int) (Pool, error)

	// Request adds a record in state requested and returns its number, which
	// is new and none of those taken.
	Request(ctx context.Context, generation int64, taken []int) (int, error)

	// Transition changes a state if it is from, and reports whether it was.
	// The failure is kept when it is not empty.
	Transition(ctx context.Context, number int, from, to platform.SliceState, failure string) (bool, error)
}

// Databases are the slices' databases and roles, platform.SliceDatabase(n).
type Databases interface {
	// EnsureRole makes the role, or gives the one there this password.
	EnsureRole(ctx context.Context, number int, password string) error

	// EnsureDatabase makes the database, migrated and owned by its role,
	// which exists. A database that is there keeps its data.
	EnsureDatabase(ctx context.Context, number int) error

	// URL is where a slice reaches its database.
	URL(number int, password string) string

	// DropDatabase drops it even while it is in use. No error if there is none.
	DropDatabase(ctx context.Context, number int) error

	// DropRole drops it once its database is dropped. No error if there is none.
	DropRole(ctx context.Context, number int) error

	// List returns the numbers that have a database, and those that have a role.
	List(ctx context.Context) (databases, roles []int, err error)
}

// Secrets are what one slice alone may know. They print as nothing.
type Secrets struct {
	DatabaseURL string
	Token       string
	SnapshotKey string // base64; encrypts the slice's session snapshots
}

func (Secrets) String() string   { return "(secrets)" }
func (Secrets) GoString() string { return "(secrets)" }

// Variables are the Nomad Variables that hold each slice's Secrets.
type Variables interface {
	// Write stores the secrets. A snapshot key that is stored already stays:
	// the slice's snapshots could not be read without it.
	Write(ctx context.Context, number int, s Secrets) error

	// Delete is no error if there is none.
	Delete(ctx context.Context, number int) error

	// List returns the numbers that have one.
	List(ctx context.Context) ([]int, error)
}

// Jobs are the slices' jobs in Nomad, platform.SliceName(n).
type Jobs interface {
	// Register makes the job; one that is there is left as it is.
	Register(ctx context.Context, number int, generation int64) error

	// Purge stops the job and removes it. No error if there is none.
	Purge(ctx context.Context, number int) error

	// List returns every slice's job.
	List(ctx context.Context) ([]Job, error)
}

// Catalog says which slices are healthy.
type Catalog interface {
	// Passing returns those of the numbers whose service passes all its checks.
	Passing(ctx context.Context, numbers []int) ([]int, error)

	// WaitPassing returns nil as soon as the service passes, or an error when
	// it cannot know or ctx is done.
	WaitPassing(ctx context.Context, number int) error
}

// Waker watches something that slices depend on.
type Waker interface {
	// Watch calls wake, without waiting for it to have an effect, whenever
	// something changed or may have been missed. It reconnects by itself and
	// returns when ctx is done.
	Watch(ctx context.Context, wake func()) error
}
