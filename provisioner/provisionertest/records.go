package provisionertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// Records are records in memory. It is safe for concurrent use.
type Records struct {
	Watchers
	Faults

	mu          sync.Mutex // guards the following fields
	generations []string   // fingerprints; the ID is the index + 1
	current     int64
	slices      map[int]*record
	last        int // the highest number that was ever drawn
	queued      int
	target      int
}

type record struct {
	platform.Slice
	wasWarm bool
}

var _ provisioner.Records = (*Records)(nil)

// NewRecords returns no records; the first number will be first.
func NewRecords(first int) *Records {
	return &Records{slices: make(map[int]*record), last: first - 1}
}

func (r *Records) UseGeneration(_ context.Context, fingerprint string) (int64, error) {
	if err := r.fault("use-generation", 0); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.generations, fingerprint)
	if i < 0 {
		i = len(r.generations)
		r.generations = append(r.generations, fingerprint)
	}
	r.current = int64(i + 1)
	return r.current, nil
}

func (r *Records) Pool(_ context.Context, generation int64, gone []int) (provisioner.Pool, error) {
	if err := r.fault("pool", 0); err != nil {
		return provisioner.Pool{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := provisioner.Pool{Now: time.Now(), Queued: r.queued, Target: r.target}
	lastWarm := 0
	for n, s := range r.slices {
		if s.Generation == generation && s.wasWarm {
			lastWarm = max(lastWarm, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(r.slices)) {
		s := r.slices[n]
		if s.State != platform.SliceGone || slices.Contains(gone, n) {
			p.Slices = append(p.Slices, s.Slice)
		}
		if s.Generation == generation && s.Failure != "" && !s.wasWarm && n > lastWarm {
			p.Failures++
			if s.StateChangedAt.After(p.LastFailure) {
				p.LastFailure = s.StateChangedAt
			}
		}
	}
	return p, nil
}

// SetTarget says how many slices an admin wants warm.
func (r *Records) SetTarget(n int) {
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	r.target = n
}

func (r *Records) Request(_ context.Context, generation int64, taken []int) (int, error) {
	if err := r.fault("request", 0); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	r.last++
	for slices.Contains(taken, r.last) {
		r.last++
	}
	now := time.Now()
	r.slices[r.last] = &record{Slice: platform.Slice{Number: r.last, State: platform.SliceRequested,
		Generation: generation, RequestedAt: now, StateChangedAt: now}}
	return r.last, nil
}

func (r *Records) Transition(_ context.Context, number int, from, to platform.SliceState, failure string) (bool, error) {
	if err := r.fault("transition", number); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	s := r.slices[number]
	if s == nil || s.State != from {
		return false, nil
	}
	s.State, s.StateChangedAt = to, time.Now()
	s.wasWarm = s.wasWarm || to == platform.SliceWarm
	if failure != "" {
		s.Failure = failure
	}
	return true, nil
}

// Claim gives the first warm slice of the current generation to a user, or
// queues them and returns 0.
func (r *Records) Claim(user string) int {
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(r.slices)) {
		if s := r.slices[n]; s.State == platform.SliceWarm && s.Generation == r.current {
			s.State, s.UserID, s.StateChangedAt = platform.SliceAssigned, user, time.Now()
			return n
		}
	}
	r.queued++
	return 0
}

// ServeQueue gives warm slices to those who wait, as a gateway does.
func (r *Records) ServeQueue() {
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(r.slices)) {
		if s := r.slices[n]; r.queued > 0 && s.State == platform.SliceWarm && s.Generation == r.current {
			s.State, s.UserID, s.StateChangedAt = platform.SliceAssigned, fmt.Sprint("queued-", n), time.Now()
			r.queued--
		}
	}
}

// Slice returns one record, zero if there is none.
func (r *Records) Slice(number int) platform.Slice {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slices[number]; s != nil {
		return s.Slice
	}
	return platform.Slice{}
}

// Put adds or changes a record, whatever it was.
func (r *Records) Put(s platform.Slice) {
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	r.slices[s.Number] = &record{Slice: s, wasWarm: s.State == platform.SliceWarm || s.UserID != ""}
	r.last = max(r.last, s.Number)
}

// Forget loses a record, as an older backup would, and the numbers after it.
func (r *Records) Forget(number int) {
	r.mu.Lock()
	defer r.notify()
	defer r.mu.Unlock()
	delete(r.slices, number)
	r.last = number - 1
}

// In returns the numbers in a state, in order.
func (r *Records) In(state platform.SliceState) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var numbers []int
	for n, s := range r.slices {
		if s.State == state {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}
