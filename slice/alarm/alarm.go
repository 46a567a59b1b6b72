// Package alarm does work when it is due, without asking the database when that
// is: an idle slice asks nothing. What is due is kept in the database, the time
// of the next in memory, found anew at each start.
package alarm

import (
	"context"
	"log/slog"
	"time"
)

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	farAway    = 24 * time.Hour // timers do not see a clock that is set
)

// Alarm calls Work at the start, when the time that Work returned has come, and
// after Wake. Make it with New.
type Alarm struct {
	name string
	work func(ctx context.Context) (next time.Time, err error)
	log  *slog.Logger
	wake chan struct{}
}

// New returns an alarm that does nothing before Run. Work does all that is due
// and returns when the next is, the zero time for never. It is called again,
// with back-off, after an error.
func New(name string, log *slog.Logger, work func(ctx context.Context) (next time.Time, err error)) *Alarm {
	return &Alarm{name: name, work: work, log: log, wake: make(chan struct{}, 1)}
}

// Wake has Work called soon: something became due, or due earlier.
func (a *Alarm) Wake() {
	select {
	case a.wake <- struct{}{}:
	default: // called soon anyway
	}
}

// Run works until ctx ends.
func (a *Alarm) Run(ctx context.Context) {
	retry := firstRetry
	for ctx.Err() == nil {
		next, err := a.work(ctx)
		never, wait := false, farAway
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.Error("what was due could not be done; it is tried again", "what", a.name, "error", err, "wait", retry)
			wait = retry
			retry = min(2*retry, lastRetry)
		case !next.IsZero():
			wait, retry = min(max(time.Until(next), 0), farAway), firstRetry
		default:
			never, retry = true, firstRetry
		}
		timer := time.NewTimer(wait)
		if never {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}
