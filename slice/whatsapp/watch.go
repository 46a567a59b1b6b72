package whatsapp

import (
	"context"
	"errors"
	"time"
)

// watch follows one page: it installs the agent after each load, passes on what
// the page says, and notices when the page is gone, hangs or never gets ready.
type watch struct {
	engine  *Engine
	browser *browser

	navigated    time.Time // when the present document was asked for
	installed    bool      // the agent is in the present document
	ready        bool      // WPP is ready in the present document
	everReady    bool      // in any document of this browser
	failedProbes int
	conflictAt   time.Time // when the session was found open elsewhere; zero when it is not
	memory       memoryWatch
	memoryRead   time.Time // when it was read last
}

func (w *watch) run(ctx context.Context) error {
	probe := time.NewTicker(w.engine.cfg.probeEvery)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.browser.ctx.Done():
			return errBrowserLost
		case <-w.browser.queue.wake:
			if err := w.handle(ctx, w.browser.queue.take()); err != nil {
				return err
			}
		case <-w.engine.looked:
		case <-probe.C:
			if err := w.probe(ctx); err != nil {
				return err
			}
		}
		w.keepQRFresh(ctx)
	}
}

func (w *watch) handle(ctx context.Context, t taken) error {
	if t.crashed {
		return errCrashed
	}
	// What was said before a load belongs to the previous document, and what a
	// fresh agent says comes only after install.
	for _, raw := range t.calls {
		s, ev, err := decode(raw)
		if err != nil {
			w.engine.log.Warn("page sent what cannot be used", "error", err)
			continue
		}
		if ev != nil {
			w.browser.touch()
			w.engine.emit(ev)
		}
		if s != nil {
			w.apply(*s)
		}
	}
	if t.lost {
		w.engine.log.Warn("page said more than could be taken in")
		w.engine.emit(EventsLost{})
	}
	if t.loaded {
		w.installed, w.ready = false, false
		w.navigated = time.Now()
		w.engine.newDocument()
		w.install(ctx)
	}
	return nil
}

// install is tried again with the next probe when it fails: a page that
// navigates meanwhile destroys what is being evaluated.
func (w *watch) install(ctx context.Context) {
	if err := w.browser.install(ctx, w.engine.cfg.BundlePath); err != nil {
		w.engine.log.Warn("page could not be prepared", "error", err)
		return
	}
	w.installed = true
}

func (w *watch) apply(s snapshot) {
	if s.Ready {
		if w.everReady && !w.ready {
			// Another document: messages may have come between the two.
			w.engine.emit(EventsLost{})
		}
		w.ready, w.everReady = true, true
	}
	if s.Mode != "CONFLICT" {
		w.conflictAt = time.Time{}
	} else if w.conflictAt.IsZero() {
		w.conflictAt = time.Now()
	}
	w.engine.apply(s)
}

// probe asks a page that may have nothing to say whether it is alive.
func (w *watch) probe(ctx context.Context) error {
	if !w.ready && time.Since(w.navigated) > w.engine.cfg.loadTimeout {
		return errNeverReady
	}
	if !w.conflictAt.IsZero() && time.Since(w.conflictAt) > conflictRetry {
		w.conflictAt = time.Time{}
		return w.reload(ctx, "conflict")
	}
	switch relief, err := w.checkMemory(time.Now()); {
	case err != nil:
		w.engine.log.Warn("memory cannot be read", "error", err)
	case relief == restartBrowser:
		return errMemory
	case relief == reloadPage:
		w.engine.log.Info("the page is reloaded: it uses much memory, and nobody uses it")
		return w.reload(ctx, "memory")
	}
	if !w.installed {
		w.install(ctx)
		return nil
	}
	var s snapshot
	err := w.browser.call(ctx, w.engine.cfg.probeTimeout, &s, "snapshot")
	switch {
	case err == nil:
		w.failedProbes = 0
		w.apply(s)
	case w.browser.ctx.Err() != nil:
		return errBrowserLost
	case errors.Is(err, errCrashed):
		return err
	case errors.Is(err, errNoAgent):
		w.installed = false
	default:
		w.failedProbes++
		w.engine.log.Warn("page does not answer", "error", err, "failures", w.failedProbes)
		if w.failedProbes >= maxFailedProbes {
			return errHangs
		}
	}
	return nil
}

// keepQRFresh replaces a code that went stale while somebody looks at it.
func (w *watch) keepQRFresh(ctx context.Context) {
	if !w.ready || !w.engine.watched() {
		return
	}
	if _, s, err := w.engine.active(); err != nil || !s.stale(time.Now()) {
		return
	}
	if err := w.engine.refreshQR(ctx, evalTimeout); err != nil {
		w.engine.log.Warn("QR code could not be refreshed", "error", err)
	}
}

// reload opens the page anew. A page that does not even do that is replaced.
func (w *watch) reload(ctx context.Context, cause string) error {
	w.engine.countReload(cause)
	return w.browser.reload(ctx)
}
