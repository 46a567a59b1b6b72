package provisioner

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"ipnoelp.io/platform"
)

// After a slice failed, the next one is tried later, and alone: whatever is
// wrong is likely wrong for all of them.
const (
	backoffBase   = 5 * time.Second // after the first failure; doubles with each
	backoffMax    = 5 * time.Minute // how late a repaired image may be noticed
	backoffJitter = 0.1             // of the delay, either way
)

// A refill lets a burst of sign-ups pass: a slice that starts keeps a core busy
// for a second, and as long as the pool is not empty nobody waits for it. An
// empty pool is refilled at once.
const (
	burstGap = 250 * time.Millisecond // without a claim, and the burst is over; within one they are tens of milliseconds apart
	burstMax = 2 * time.Second        // after a claim its refill starts, whatever goes on
)

// Plan says what to do about a Snapshot, most urgent first. It has no other
// input and no effect, and gives the same answer every time.
//
// Nothing is ever removed but what belongs to a record in state failed,
// retiring or gone, states that no slice leaves to serve a user. Parts whose
// number has no record are reported and left alone: after an older backup of
// the records was restored they are some customer's data.
func Plan(s Snapshot) []Action {
	p := planner{s: &s, records: make(map[int]platform.Slice, len(s.Slices))}
	for _, sl := range s.Slices {
		p.records[sl.Number] = sl
	}
	for _, sl := range s.Slices {
		p.slice(sl)
	}
	p.retireOlder()
	p.refill()
	p.orphans()
	slices.SortStableFunc(p.actions, func(a, b Action) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Number, b.Number))
	})
	return p.actions
}

type planner struct {
	s       *Snapshot
	records map[int]platform.Slice
	actions []Action

	// Of the current generation, not counting what this plan takes out of it.
	warm, coming int
	failing      int
	older        []platform.Slice // warm slices of another generation
}

func (p *planner) add(kind ActionKind, sl platform.Slice, reason string) {
	p.actions = append(p.actions, Action{Kind: kind, Number: sl.Number, From: sl.State, Reason: reason})
}

func (p *planner) transition(sl platform.Slice, to platform.SliceState, reason string) {
	p.actions = append(p.actions, Action{Kind: Transition, Number: sl.Number, From: sl.State, To: to, Reason: reason})
}

func (p *planner) slice(sl platform.Slice) {
	if p.s.Busy[sl.Number] {
		p.count(sl)
		return
	}
	job, hasJob := p.s.Jobs[sl.Number]
	switch sl.State {
	case platform.SliceRequested, platform.SliceProvisioning:
		p.starting(sl)
	case platform.SliceWarm:
		switch {
		case !hasJob:
			p.transition(sl, platform.SliceRetiring, "its job was purged")
		case job.Stopped:
			p.transition(sl, platform.SliceHeld, "its job was stopped")
		default:
			p.count(sl)
		}
	case platform.SliceAssigned:
		switch {
		case !hasJob:
			p.restore(sl)
		case job.Stopped:
			p.transition(sl, platform.SliceHeld, "its job was stopped")
		}
	case platform.SliceHeld:
		switch {
		case !hasJob && sl.UserID == "":
			p.transition(sl, platform.SliceRetiring, "its job was purged")
		case !hasJob:
			p.restore(sl)
		case !job.Stopped && sl.UserID == "":
			p.transition(sl, platform.SliceWarm, "its job was started again")
			if sl.Generation == p.s.Generation {
				p.warm++
			}
		case !job.Stopped:
			p.transition(sl, platform.SliceAssigned, "its job was started again")
		}
	case platform.SliceFailed, platform.SliceRetiring:
		p.add(Remove, sl, "")
	case platform.SliceGone:
		if parts := p.s.parts(sl.Number); parts != nil {
			p.add(Remove, sl, "left over: "+strings.Join(parts, ", "))
		}
	case platform.SliceSuspended: // stopped by the platform; nothing to keep up
	}
}

// starting brings a slice that is being made one step on, or gives it up.
func (p *planner) starting(sl platform.Slice) {
	job, hasJob := p.s.Jobs[sl.Number]
	made := sl.State == platform.SliceProvisioning && hasJob
	switch {
	case sl.Generation != p.s.Generation:
		p.transition(sl, platform.SliceRetiring, "a newer generation is current")
	case made && job.Stopped:
		p.fail(sl, "its job was stopped before it was warm")
	case made && p.s.Passing[sl.Number]:
		p.transition(sl, platform.SliceWarm, "passing")
		p.warm++
	case p.s.Now.Sub(sl.StateChangedAt) >= p.s.Timeout:
		p.fail(sl, "not passing after "+p.s.Timeout.String()+" as "+string(sl.State))
	default:
		p.coming++
		if !made {
			p.add(Make, sl, "")
		}
	}
}

func (p *planner) fail(sl platform.Slice, reason string) {
	p.transition(sl, platform.SliceFailed, reason)
	p.failing++
}

// restore makes the job of a slice with a user anew. Without its database
// there is nothing to restore: an empty one would hide the loss.
func (p *planner) restore(sl platform.Slice) {
	if !p.s.Databases[sl.Number] {
		p.add(Report, sl, "its job and its database are gone, and it has a user: restore the database")
		return
	}
	p.add(Restore, sl, "its job was purged")
}

func (p *planner) count(sl platform.Slice) {
	current := sl.Generation == p.s.Generation
	switch sl.State {
	case platform.SliceRequested, platform.SliceProvisioning:
		if current {
			p.coming++
		}
	case platform.SliceWarm:
		if current {
			p.warm++
		} else if !p.s.Busy[sl.Number] {
			p.older = append(p.older, sl)
		}
	}
}

// retireOlder ends warm slices that nobody can claim any more, once the pool
// is full without them: until then a step back to their generation is quick.
func (p *planner) retireOlder() {
	if p.warm < p.s.warmTarget() {
		return
	}
	for _, sl := range p.older {
		p.transition(sl, platform.SliceRetiring, "a newer generation is warm")
	}
}

// refill requests what is missing of the current generation.
func (p *planner) refill() {
	if p.failing > 0 {
		return // the next snapshot counts these failures
	}
	missing := p.s.want() - p.warm - p.coming
	if p.warm > 0 && p.s.Queued == 0 && p.s.inBurst(missing) {
		return
	}
	room := p.s.MaxStarting - p.coming
	if p.s.Failures > 0 {
		if p.s.Now.Before(p.s.backoffUntil()) {
			return
		}
		room = 1 - p.coming
	}
	for range min(missing, room) {
		p.actions = append(p.actions, Action{Kind: Request})
	}
}

// orphans reports parts whose number has no record.
func (p *planner) orphans() {
	for n := range p.s.numbers() {
		if _, ok := p.records[n]; !ok {
			p.add(Report, platform.Slice{Number: n}, "there is no record of its "+strings.Join(p.s.parts(n), ", ")+": left alone")
		}
	}
}

// inBurst says that the missing slices were claimed just now and that more
// claims are likely to follow at once.
func (s *Snapshot) inBurst(missing int) bool {
	var claims []time.Time
	for _, sl := range s.Slices {
		if sl.State == platform.SliceAssigned {
			claims = append(claims, sl.StateChangedAt)
		}
	}
	if missing < 1 || missing > len(claims) {
		return false // slices are missing for another reason
	}
	slices.SortFunc(claims, func(a, b time.Time) int { return b.Compare(a) })
	latest, first := claims[0], claims[missing-1]
	return s.Now.Before(latest.Add(burstGap)) && s.Now.Before(first.Add(burstMax))
}

// backoffUntil is when the next slice may be requested; only after failures.
func (s *Snapshot) backoffUntil() time.Time {
	return s.LastFailure.Add(backoff(s.Failures, s.LastFailure))
}

// backoff spreads by a jitter that depends on its arguments only, which keeps
// Plan the function that it is.
func backoff(failures int, last time.Time) time.Duration {
	d := backoffMax
	if shift := failures - 1; shift < 16 { // 5 s << 16 is days
		d = min(backoffBase<<shift, backoffMax)
	}
	h := fnv.New32a()
	h.Write(strconv.AppendInt(nil, last.UnixNano(), 10))
	spread := float64(h.Sum32())/float64(1<<32)*2 - 1 // [-1, 1)
	return d + time.Duration(spread*backoffJitter*float64(d))
}

// NextDeadline is when Plan would say something else about the same Snapshot
// because of the time alone; false if never.
func NextDeadline(s Snapshot) (time.Time, bool) {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(s.Now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, sl := range s.Slices {
		if sl.State == platform.SliceRequested || sl.State == platform.SliceProvisioning {
			consider(sl.StateChangedAt.Add(s.Timeout))
		}
		if sl.State == platform.SliceAssigned {
			consider(sl.StateChangedAt.Add(burstGap))
			consider(sl.StateChangedAt.Add(burstMax))
		}
	}
	if s.Failures > 0 {
		consider(s.backoffUntil())
	}
	return next, !next.IsZero()
}
