package provisioner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform"
)

// gather reads everything that Plan needs. The order matters: a slice's record
// is older than its parts, so parts are read first.
func (r *run) gather() (Snapshot, error) {
	ctx, cancel := context.WithTimeout(r.ctx, readTimeout)
	defer cancel()
	o := &r.opts
	if r.generation == 0 {
		g, err := o.Records.UseGeneration(ctx, o.Fingerprint)
		if err != nil {
			return Snapshot{}, fmt.Errorf("gather: generation: %w", err)
		}
		r.generation = g
	}
	s := Snapshot{
		Generation:  r.generation,
		WarmTarget:  o.WarmTarget,
		MaxStarting: o.MaxStarting,
		Timeout:     o.Timeout,
		Busy:        r.busy(),
	}
	if err := readParts(ctx, o, &s); err != nil {
		return Snapshot{}, fmt.Errorf("gather: %w", err)
	}
	var err error
	if s.Pool, err = o.Records.Pool(ctx, r.generation, slices.Sorted(maps.Keys(s.numbers()))); err != nil {
		return Snapshot{}, fmt.Errorf("gather: records: %w", err)
	}
	if s.Target > 0 {
		s.WarmTarget = s.Target
	}
	var starting []int
	for _, sl := range s.Slices {
		if sl.State == platform.SliceProvisioning && s.running(sl.Number) {
			starting = append(starting, sl.Number)
		}
	}
	if len(starting) > 0 {
		passing, err := o.Catalog.Passing(ctx, starting)
		if err != nil {
			return Snapshot{}, fmt.Errorf("gather: health: %w", err)
		}
		s.Passing = set(passing)
	}
	return s, nil
}

func readParts(ctx context.Context, o *Options, s *Snapshot) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		jobs, err := o.Jobs.List(ctx)
		if err != nil {
			return fmt.Errorf("jobs: %w", err)
		}
		s.Jobs = make(map[int]Job, len(jobs))
		for _, j := range jobs {
			s.Jobs[j.Number] = j
		}
		return nil
	})
	g.Go(func() error {
		numbers, err := o.Variables.List(ctx)
		if err != nil {
			return fmt.Errorf("variables: %w", err)
		}
		s.Variables = set(numbers)
		return nil
	})
	g.Go(func() error {
		databases, roles, err := o.Databases.List(ctx)
		if err != nil {
			return fmt.Errorf("databases: %w", err)
		}
		s.Databases, s.Roles = set(databases), set(roles)
		return nil
	})
	return g.Wait()
}

// busy returns the numbers to plan nothing for.
func (r *run) busy() map[int]bool {
	busy := maps.Clone(r.inFlight)
	now := time.Now()
	for n, t := range r.retries {
		if now.Before(t.at) {
			busy[n] = true
		}
	}
	return busy
}

func set(numbers []int) map[int]bool {
	m := make(map[int]bool, len(numbers))
	for _, n := range numbers {
		m[n] = true
	}
	return m
}

// unrecorded returns, in order, the numbers of parts that have no record.
func (s *Snapshot) unrecorded(records map[int]platform.Slice) []int {
	var numbers []int
	for n := range s.numbers() {
		if _, ok := records[n]; !ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}
