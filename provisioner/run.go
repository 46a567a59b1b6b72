package provisioner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/tracing"
)

// run is one term as the leader. Its fields below wg belong to the goroutine
// of loop; the others talk to it through wake and done.
type run struct {
	*Provisioner
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // holds one: several wake-ups are one round
	done   chan outcome
	wg     sync.WaitGroup

	generation int64 // 0 until known
	inFlight   map[int]bool
	retries    map[int]retry
	watched    map[int]context.CancelFunc
	reported   map[Action]bool
	roundStart time.Time
	roundTook  time.Duration
}

// outcome is how an action on a slice's parts ended.
type outcome struct {
	number int
	err    error
}

// retry keeps a number whose action failed from being tried all the time.
type retry struct {
	failures int
	at       time.Time
	err      error
}

func newRun(ctx context.Context, p *Provisioner) *run {
	r := &run{
		Provisioner: p,
		wake:        make(chan struct{}, 1),
		done:        make(chan outcome, p.opts.Concurrency),
		inFlight:    make(map[int]bool),
		retries:     make(map[int]retry),
		watched:     make(map[int]context.CancelFunc),
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	for _, w := range p.opts.Wakers {
		r.wg.Go(func() {
			if err := w.Watch(r.ctx, r.wakeUp); err != nil && r.ctx.Err() == nil {
				p.log.Error("a watch ended", "error", err)
			}
		})
	}
	return r
}

// close ends everything that runs and waits for it.
func (r *run) close() {
	r.cancel()
	r.wg.Wait()
}

func (r *run) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *run) loop() {
	for r.ctx.Err() == nil {
		r.roundStart = time.Now()
		next, err := r.round()
		r.roundTook = time.Since(r.roundStart)
		r.metrics.roundSeconds.Observe(r.roundTook.Seconds())
		r.setLastErr(err)
		if err != nil && r.ctx.Err() == nil {
			r.log.Error("round failed", "error", err)
			r.metrics.rounds.WithLabelValues("error").Inc()
			r.pause(retryReadAfter)
			continue
		}
		r.metrics.rounds.WithLabelValues("ok").Inc()
		r.wait(next)
	}
}

// round gathers, plans and applies once, and returns when the next one is due
// unless something wakes it.
func (r *run) round() (next time.Duration, err error) {
	s, err := r.gather()
	if err != nil {
		return 0, err
	}
	actions := Plan(s)
	ctx, span := r.traceRound(actions)
	changed := r.apply(ctx, s, actions)
	span.End()
	r.watchStarting(s)
	r.metrics.observe(s, actions)
	if changed {
		return 0, nil
	}
	return r.nextRound(s), nil
}

func (r *run) nextRound(s Snapshot) time.Duration {
	next := resyncEvery
	if t, ok := NextDeadline(s); ok {
		next = min(next, t.Sub(s.Now))
	}
	for _, t := range r.retries {
		if d := time.Until(t.at); d > 0 {
			next = min(next, d)
		}
	}
	return next
}

// wait returns when a round is due. What ended while the last one was reading
// is taken note of only here, so that the next one reads what it left.
func (r *run) wait(d time.Duration) {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-r.ctx.Done():
		case <-r.wake:
		case o := <-r.done:
			r.ended(o)
		case <-timer.C:
		}
	}
	r.pause(time.Until(r.roundStart.Add(min(max(roundGap, 2*r.roundTook), roundGapMax))))
	for {
		select {
		case o := <-r.done:
			r.ended(o)
		default:
			return
		}
	}
}

func (r *run) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
	case <-timer.C:
	}
}

func (r *run) ended(o outcome) {
	delete(r.inFlight, o.number)
	r.result(o.number, o.err)
}

// result takes note of how an action ended.
func (r *run) result(number int, err error) {
	if err == nil {
		delete(r.retries, number)
		return
	}
	if r.ctx.Err() != nil {
		return // the end of the term is no failure
	}
	t := r.retries[number]
	t.failures++
	delay := min(retryMin<<min(t.failures-1, 16), retryMax)
	delay = delay/2 + rand.N(delay/2+1)
	t.at, t.err = time.Now().Add(delay), err
	r.retries[number] = t
	r.log.Warn("action failed", "slice", number, "error", err, "failures", t.failures, "retry_in", delay)
}

// apply does what only changes records at once, and starts the rest as far as
// there is room. It reports whether the next round should follow immediately.
func (r *run) apply(ctx context.Context, s Snapshot, actions []Action) (changed bool) {
	records := make(map[int]platform.Slice, len(s.Slices))
	for _, sl := range s.Slices {
		records[sl.Number] = sl
	}
	taken := s.unrecorded(records)
	reported := make(map[Action]bool)
	for _, a := range actions {
		if r.ctx.Err() != nil {
			return false
		}
		sl := records[a.Number]
		switch a.Kind {
		case Report:
			reported[a] = true
			if !r.reported[a] {
				r.log.Error("needs an operator", "slice", a.Number, "state", a.From, "what", a.Reason)
			}
		case Transition:
			changed = r.transition(ctx, s, sl, a) || changed
		case Request:
			changed = r.request(ctx, taken) || changed
		default:
			r.start(ctx, a, sl)
		}
	}
	r.reported = reported
	return changed
}

func (r *run) transition(ctx context.Context, s Snapshot, sl platform.Slice, a Action) bool {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	ctx, span := r.traceAction(ctx, a)
	failure := ""
	if a.To == platform.SliceFailed {
		failure = a.Reason
		if t, ok := r.retries[a.Number]; ok {
			failure += "; last error: " + t.err.Error()
		}
	}
	if a.From == platform.SliceProvisioning && a.To == platform.SliceWarm {
		r.opts.FaultPoint(BeforeMarkWarm)
	}
	ok, err := r.opts.Records.Transition(ctx, a.Number, a.From, a.To, failure)
	if err != nil {
		err = fmt.Errorf("%s: %w", a, err)
	}
	tracing.End(span, err)
	r.result(a.Number, err)
	if err != nil || !ok {
		return ok // not ok: somebody claimed it meanwhile, say; the notification of that wakes us
	}
	level := r.log.Info
	if a.To == platform.SliceFailed {
		level = r.log.Warn
		r.metrics.failures.Inc()
	}
	level("slice changed", "slice", a.Number, "from", a.From, "to", a.To, "reason", a.Reason, "failure", failure)
	if a.From == platform.SliceProvisioning && a.To == platform.SliceWarm {
		r.metrics.provisionSeconds.Observe(s.Now.Sub(sl.RequestedAt).Seconds())
	}
	return true
}

func (r *run) request(parent context.Context, taken []int) bool {
	ctx, cancel := context.WithTimeout(parent, actionTimeout)
	defer cancel()
	number, err := r.opts.Records.Request(ctx, r.generation, taken)
	if err != nil {
		if r.ctx.Err() == nil {
			r.log.Warn("request a slice", "error", err)
		}
		return false
	}
	r.opts.FaultPoint(AfterClaimNumber)
	r.log.Info("slice requested", "slice", number)
	sl := platform.Slice{Number: number, State: platform.SliceRequested, Generation: r.generation}
	r.start(parent, Action{Kind: Make, Number: number, From: sl.State}, sl)
	return true
}

// start runs an action on a slice's parts if there is room; the end of another
// one starts a round that plans it again.
func (r *run) start(ctx context.Context, a Action, sl platform.Slice) {
	if len(r.inFlight) >= r.opts.Concurrency {
		return
	}
	r.inFlight[a.Number] = true
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, actionTimeout)
		defer cancel()
		ctx, span := r.traceAction(ctx, a)
		var err error
		switch a.Kind {
		case Make, Restore:
			err = r.make(ctx, sl)
		case Remove:
			err = r.remove(ctx, sl)
		default:
			err = errors.New("no such action")
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", a, err)
		}
		tracing.End(span, err)
		r.done <- outcome{a.Number, err} // has room for every action in flight
	})
}

// watchStarting keeps a watch on each slice that only has to become healthy.
func (r *run) watchStarting(s Snapshot) {
	starting := make(map[int]bool)
	for _, sl := range s.Slices {
		if sl.State == platform.SliceProvisioning && s.running(sl.Number) && !s.Passing[sl.Number] {
			starting[sl.Number] = true
		}
	}
	for n, cancel := range r.watched {
		if !starting[n] {
			cancel()
			delete(r.watched, n)
		}
	}
	for n := range starting {
		if _, ok := r.watched[n]; ok || len(r.watched) >= maxWatched {
			continue
		}
		ctx, cancel := context.WithCancel(r.ctx)
		r.watched[n] = cancel
		r.wg.Go(func() {
			defer cancel()
			r.watch(ctx, n)
		})
	}
}

// watch wakes the loop when the slice is healthy.
func (r *run) watch(ctx context.Context, number int) {
	for ctx.Err() == nil {
		err := r.opts.Catalog.WaitPassing(ctx, number)
		if err == nil {
			r.wakeUp()
			return
		}
		if ctx.Err() == nil {
			r.log.Warn("watch health", "slice", number, "error", err)
		}
		timer := time.NewTimer(retryReadAfter)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
