package whatsapp

import (
	"context"
	"time"
)

// Login keeps copies of what the link to the phone needs, for a slice whose disk
// is lost. Its methods are called one at a time.
type Login interface {
	// Fresh reports whether a profile has no login of its own.
	Fresh(profile string) bool
	// Restore puts the latest copy into a profile before a browser runs on it, and
	// reports whether there was one.
	Restore(ctx context.Context, profile string) (bool, error)
	// Save copies the login of a profile, unless it is as it was.
	Save(ctx context.Context, profile string) (bool, error)
	// Forget removes all copies.
	Forget(ctx context.Context) error
}

const (
	// defaultCopyAfter is how long after the link a login is copied first: by then
	// the browser has written it.
	defaultCopyAfter = 15 * time.Second

	// copyEvery is how often a login is copied that changes, as it does with each
	// message. What WhatsApp needs to resume is hours old at the earliest.
	copyEvery = 30 * time.Minute

	copyRetry      = time.Minute
	copyTimeout    = 2 * time.Minute
	restoreTimeout = 30 * time.Second // the database may start after the slice
	lastCopyGrace  = 3 * time.Second  // of a stop
)

// restoreLogin fills an empty profile. Without a copy the phone is linked anew.
func (e *Engine) restoreLogin(ctx context.Context) {
	if e.cfg.Login == nil || !e.cfg.Login.Fresh(e.cfg.ProfileDir) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	restored, err := e.cfg.Login.Restore(ctx, e.cfg.ProfileDir)
	switch {
	case err != nil && ctx.Err() == nil:
		e.log.Error("the login cannot be restored; the phone has to be linked again", "error", err)
	case err != nil:
		e.log.Error("the login could not be looked for in time", "error", err)
	case restored:
		e.log.Info("the login is restored from its copy")
	}
}

// keepLogin copies the login some time after it was made and while it changes,
// and forgets it when the link is ended, until ctx ends.
func (e *Engine) keepLogin(ctx context.Context) {
	if e.cfg.Login == nil {
		return
	}
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.linkChanged:
			switch e.Status().State {
			case StateReady:
				if !waiting {
					waiting = true
					timer.Reset(e.cfg.copyAfter)
				}
			case StateQR, StateLoggedOut:
				waiting = false
				timer.Stop()
			}
			if e.ended.Swap(false) && !e.forget(ctx) {
				e.ended.Store(true)
				timer.Reset(copyRetry)
			}
		case <-timer.C:
			if e.ended.Load() {
				e.changedLink()
				continue
			}
			timer.Reset(e.copyLogin(ctx, copyTimeout))
		}
	}
}

// copyLogin returns when the next copy is due.
func (e *Engine) copyLogin(ctx context.Context, timeout time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	saved, err := e.cfg.Login.Save(ctx, e.cfg.ProfileDir)
	if err != nil {
		e.log.Error("the login could not be copied", "error", err)
		return copyRetry
	}
	if saved {
		e.log.Info("the login is copied")
	}
	return copyEvery
}

func (e *Engine) forget(ctx context.Context) bool {
	err := e.cfg.Login.Forget(ctx)
	if err != nil && ctx.Err() == nil {
		e.log.Error("the copies of the login could not be removed; it is tried again", "error", err)
	}
	return err == nil
}

// lastCopy is made when the browser is closed: all is on the disk then.
func (e *Engine) lastCopy(ctx context.Context) {
	e.mu.Lock()
	linked := e.linked
	e.mu.Unlock()
	if e.cfg.Login == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCopyGrace)
	defer cancel()
	switch {
	case e.ended.Load():
		e.forget(ctx)
	case linked:
		e.copyLogin(ctx, lastCopyGrace)
	}
}

// changedLink wakes keepLogin.
func (e *Engine) changedLink() {
	select {
	case e.linkChanged <- struct{}{}:
	default:
	}
}
