// Package provisioner keeps slices warm: containers, each with a database of
// its own, that wait for a user.
//
// It is level-triggered. A round gathers a Snapshot of what is wanted (the
// records in PostgreSQL) and what is there (jobs and variables in Nomad,
// databases and roles in PostgreSQL, health in Consul); Plan, a pure function,
// says what to do; the round does it, a bounded number of slices at a time.
// Notifications only start a round early. Nothing is remembered that the next
// process could not read again, so one that is killed between any two steps
// leaves something that the next round finishes or removes.
//
// Every change of a record's state is conditional on the state that the plan
// was made for, so a slice that a user claims meanwhile is never taken away.
package provisioner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

const (
	DefaultConcurrency = 4               // slices being changed at once
	DefaultMaxStarting = 8               // slices on their way to warm at once
	DefaultTimeout     = 2 * time.Minute // a cold machine starts Chromium in seconds

	resyncEvery    = 15 * time.Second       // how late a missed notification is made up for
	roundGap       = 100 * time.Millisecond // between the starts of two rounds, or twice what one takes: bursts become one
	roundGapMax    = time.Second
	readTimeout    = 30 * time.Second       // one round's reading
	actionTimeout  = time.Minute            // one slice's action; CREATE DATABASE may wait for a checkpoint
	retryMin       = 250 * time.Millisecond // after an action failed; doubles
	retryMax       = 15 * time.Second
	retryReadAfter = time.Second // after a round could not read
	maxWatched     = 64          // blocking queries at once; a Consul agent allows 200 to a client
)

// Options configure a Provisioner. The parts and the key are required.
type Options struct {
	Records   Records
	Databases Databases
	Variables Variables
	Jobs      Jobs
	Catalog   Catalog
	Wakers    []Waker

	PlatformKey []byte // the slices' tokens are derived from it
	Fingerprint string // of the slice definition that Jobs registers
	WarmTarget  int    // 1 unless more
	Concurrency int
	MaxStarting int
	Timeout     time.Duration // for a slice to become warm

	Log        *slog.Logger
	Registerer prometheus.Registerer // no metrics unless set
	Tracer     trace.Tracer          // no traces unless set
	FaultPoint func(Step)            // called at each Step
}

// Provisioner applies what Plan says for as long as it leads.
type Provisioner struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics

	leading atomic.Bool
	mu      sync.Mutex // guards lastErr
	lastErr error      // of the latest round; nil after a good one
}

// New returns a Provisioner that does nothing until Run.
func New(opts Options) *Provisioner {
	if opts.Concurrency < 1 {
		opts.Concurrency = DefaultConcurrency
	}
	if opts.MaxStarting < 1 {
		opts.MaxStarting = DefaultMaxStarting
	}
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.FaultPoint == nil {
		opts.FaultPoint = func(Step) {}
	}
	return &Provisioner{opts: opts, log: opts.Log, metrics: newMetrics(opts.Registerer)}
}

// Ready returns nil on standby, and while the rounds of a leader succeed.
func (p *Provisioner) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastErr
}

func (p *Provisioner) setLastErr(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastErr = err
}

// Run provisions until ctx is done, and returns when nothing of it runs any
// more. Only the leader may call it, and not twice at the same time.
func (p *Provisioner) Run(ctx context.Context) error {
	if !p.leading.CompareAndSwap(false, true) {
		return errors.New("provisioner: already running")
	}
	defer p.leading.Store(false)
	p.metrics.leader.Set(1)
	p.log.Info("leading", "warm_target", max(1, p.opts.WarmTarget))

	r := newRun(ctx, p)
	defer func() {
		r.close()
		p.metrics.standby()
		p.setLastErr(nil)
		p.log.Info("no longer leading")
	}()
	r.loop()
	return nil
}
