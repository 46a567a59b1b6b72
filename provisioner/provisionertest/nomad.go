package provisionertest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"ipnoelp.io/platform/provisioner"
)

// Variables are variables in memory. It is safe for concurrent use.
type Variables struct {
	Faults

	mu   sync.Mutex // guards vars
	vars map[int]provisioner.Secrets
}

var _ provisioner.Variables = (*Variables)(nil)

// NewVariables returns no variables.
func NewVariables() *Variables { return &Variables{vars: make(map[int]provisioner.Secrets)} }

func (v *Variables) Write(_ context.Context, number int, s provisioner.Secrets) error {
	if err := v.fault("write", number); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.vars[number]; ok {
		s.SnapshotKey = old.SnapshotKey
	}
	v.vars[number] = s
	return nil
}

func (v *Variables) Delete(_ context.Context, number int) error {
	if err := v.fault("delete", number); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.vars, number)
	return nil
}

func (v *Variables) List(context.Context) ([]int, error) {
	if err := v.fault("list-variables", 0); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.vars)), nil
}

// Secrets returns what a slice would read.
func (v *Variables) Secrets(number int) (provisioner.Secrets, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.vars[number]
	return s, ok
}

// Jobs are jobs in memory. It is safe for concurrent use.
type Jobs struct {
	Watchers
	Faults

	mu      sync.Mutex // guards the following fields
	jobs    map[int]provisioner.Job
	index   uint64
	started func(number int)
	stopped func(number int)
}

var _ provisioner.Jobs = (*Jobs)(nil)

// NewJobs returns no jobs. What runs them is told when one starts and ends;
// both may be nil.
func NewJobs(started, stopped func(number int)) *Jobs {
	nothing := func(int) {}
	if started == nil {
		started = nothing
	}
	if stopped == nil {
		stopped = nothing
	}
	return &Jobs{jobs: make(map[int]provisioner.Job), started: started, stopped: stopped}
}

func (j *Jobs) Register(_ context.Context, number int, _ int64) error {
	if err := j.fault("register", number); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.notify()
	defer j.mu.Unlock()
	if _, ok := j.jobs[number]; !ok {
		j.set(number, false)
		j.started(number)
	}
	return nil
}

func (j *Jobs) set(number int, stopped bool) {
	j.index++
	j.jobs[number] = provisioner.Job{Number: number, Stopped: stopped, ModifyIndex: j.index}
}

func (j *Jobs) Purge(_ context.Context, number int) error {
	if err := j.fault("purge", number); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.notify()
	defer j.mu.Unlock()
	delete(j.jobs, number)
	j.stopped(number)
	return nil
}

func (j *Jobs) List(context.Context) ([]provisioner.Job, error) {
	if err := j.fault("list-jobs", 0); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Values(j.jobs)), nil
}

// Stop is what an operator does with `job stop`.
func (j *Jobs) Stop(number int) {
	j.mu.Lock()
	defer j.notify()
	defer j.mu.Unlock()
	j.set(number, true)
	j.stopped(number)
}

// Start is what an operator does with `job start`.
func (j *Jobs) Start(number int) {
	j.mu.Lock()
	defer j.notify()
	defer j.mu.Unlock()
	j.set(number, false)
	j.started(number)
}
