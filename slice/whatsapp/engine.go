package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Engine holds one WhatsApp session. All methods are safe for concurrent use.
type Engine struct {
	cfg Config
	log *slog.Logger

	viewers  atomic.Int64  // people who look at the status right now
	lastLook atomic.Int64  // Unix nanoseconds of the latest look
	looked   chan struct{} // has one entry when somebody came to look

	linkChanged chan struct{} // has one entry when the state is another one
	ended       atomic.Bool   // the link was ended, and copies of it may still be there

	mu       sync.Mutex // guards the following fields
	status   Status
	snapshot snapshot  // the latest, zero when no page is loaded
	browser  *browser  // nil when none runs
	linked   bool      // a phone was linked when the page last knew
	upSince  time.Time // when the page was first loaded; zero when it is not
	downAt   time.Time // when it was lost; zero when it is loaded or never was
	stats    Stats
	sink     func(Event)

	version string // Chromium's; belongs to Run

	refreshing sync.Mutex // one refresh of the QR code at a time
}

// New returns an engine that does nothing before Run.
func New(cfg Config) *Engine {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.probeEvery == 0 {
		cfg.probeEvery = defaultProbeEvery
	}
	if cfg.probeTimeout == 0 {
		cfg.probeTimeout = evalTimeout
	}
	if cfg.copyAfter == 0 {
		cfg.copyAfter = defaultCopyAfter
	}
	if cfg.loadTimeout == 0 {
		cfg.loadTimeout = defaultLoadTimeout
	}
	if cfg.memoryEvery == 0 {
		cfg.memoryEvery = memoryEvery
	}
	if cfg.memoryOf == nil {
		cfg.memoryOf = memoryOf
	}
	return &Engine{
		cfg:    cfg,
		log:    cfg.Logger,
		looked: make(chan struct{}, 1),

		linkChanged: make(chan struct{}, 1),

		status: Status{State: StateStarting, Since: time.Now().UTC()},
		stats: Stats{
			Entered:  map[State]uint64{StateStarting: 1},
			Restarts: make(map[string]uint64),
			Reloads:  make(map[string]uint64),
		},
	}
}

// Status returns the present status.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// maxOutage is how long a page that was loaded may be gone before the engine
// counts as unhealthy: a browser that is restarted is back in seconds, and
// whoever looks should meanwhile see the state and no error.
const maxOutage = time.Minute

// Healthy reports whether the page was loaded and, if it was lost since, has
// not been gone for long.
func (e *Engine) Healthy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.upSince.IsZero() {
		return true
	}
	return !e.downAt.IsZero() && time.Since(e.downAt) < maxOutage
}

// Run keeps a browser with the page running until ctx ends, and closes it
// gracefully then. Events go to sink, one at a time; sink must not wait.
// Run fails only when the profile cannot be used.
func (e *Engine) Run(ctx context.Context, sink func(Event)) error {
	unlock, err := lockProfile(e.cfg.ProfileDir)
	if err != nil {
		return err
	}
	defer unlock()
	e.mu.Lock()
	e.sink = sink
	e.mu.Unlock()

	var version sync.WaitGroup
	version.Go(func() { // while the database is asked
		e.version, _ = chromiumMajor(ctx, e.cfg.ChromiumPath) // asked again by session
	})
	e.restoreLogin(ctx)
	version.Wait()
	var keeper sync.WaitGroup
	keeper.Go(func() { e.keepLogin(ctx) }) // ends with ctx
	defer func() { keeper.Wait(); e.lastCopy(ctx) }()

	wait, failures := minRestartWait, 0
	for {
		started := time.Now()
		loaded, err := e.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if loaded {
			failures = 0
		}
		if time.Since(started) > healthyFor {
			wait = minRestartWait
		}
		failures++
		e.log.Error("whatsapp session ended; it is started again", "error", err, "wait", wait, "failures", failures)
		state := StateStarting
		if failures >= failedAfter {
			state = StateFailed
		}
		e.lost(state, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRestartWait)
	}
}

// Why a session ended.
var (
	errBrowserLost = errors.New("the browser is gone")
	errCrashed     = errors.New("the page crashed")
	errHangs       = errors.New("the page does not answer")
	errNeverReady  = errors.New("the page did not become ready")
	errMemory      = errors.New("the browser used too much memory")
)

// endings say why a session ended: to people, and to metrics.
var endings = []struct {
	err           error
	reason, cause string
}{
	{errBrowserLost, "The browser stopped and is started again.", "browser_lost"},
	{errCrashed, "WhatsApp Web crashed and is started again.", "page_crashed"},
	{errHangs, "WhatsApp Web stopped answering and is started again.", "page_hangs"},
	{errMemory, "WhatsApp Web used too much memory and is started again.", "memory"},
}

func endingOf(err error) (reason, cause string) {
	for _, e := range endings {
		if errors.Is(err, e.err) {
			return e.reason, e.cause
		}
	}
	return "WhatsApp Web could not be opened; it is tried again.", "not_ready"
}

// session runs one browser until it fails or ctx ends. It reports whether the
// page was ever loaded.
func (e *Engine) session(ctx context.Context) (loaded bool, err error) {
	if e.version == "" {
		if e.version, err = chromiumMajor(ctx, e.cfg.ChromiumPath); err != nil {
			return false, err
		}
	}
	b, err := launch(ctx, e.cfg, e.version)
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	e.browser = b
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.browser = nil
		e.mu.Unlock()
		if cerr := b.close(); cerr != nil {
			e.log.Warn("browser was not closed gracefully", "error", cerr)
		}
	}()
	if err := b.navigate(ctx, e.cfg.URL); err != nil {
		return false, err
	}
	s := &watch{engine: e, browser: b, navigated: time.Now()}
	err = s.run(ctx)
	return s.everReady, err
}

// lost records that there is no page, and why.
func (e *Engine) lost(state State, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	reason, cause := endingOf(err)
	e.stats.Restarts[cause]++
	e.snapshot = snapshot{}
	if !e.upSince.IsZero() {
		e.upSince, e.downAt = time.Time{}, time.Now()
	}
	e.setLocked(Status{State: state, Reason: reason})
}

// newDocument forgets what the previous document said. The status stays until
// the new one says otherwise.
func (e *Engine) newDocument() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot = snapshot{}
}

// apply takes in what the page says of itself.
func (e *Engine) apply(s snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.At < e.snapshot.At {
		return // overtaken: answers and events come on different ways
	}
	e.snapshot = s
	state, reason := s.state()
	if state != StateStarting && e.upSince.IsZero() {
		e.upSince, e.downAt = time.Now(), time.Time{}
	}
	if e.linked && s.Ready && !s.Authenticated && state != StateLoggedOut && state != StateStarting {
		// The page may show the next code at once: say what happened first.
		e.setLocked(Status{State: StateLoggedOut, Reason: reasonLoggedOut})
	}
	if state != StateStarting {
		e.linked = state.Linked()
	}
	next := Status{State: state, Reason: reason}
	switch {
	case state == StateQR:
		qr, err := e.qrLocked(s)
		if err != nil {
			e.log.Error("QR code cannot be drawn", "error", err)
			next = Status{State: StateFailed, Reason: "The QR code could not be drawn."}
			break
		}
		next.QR = qr
	case state == StatePairingCode:
		next.PairingCode = s.pairingCode()
	case state == StatePasskeyRequired:
		next.Passkey = s.Passkey.passkey()
	case state.Linked():
		next.Account = s.account()
	}
	e.setLocked(next)
}

// qrLocked draws the code, unless it is the one that is shown already.
func (e *Engine) qrLocked(s snapshot) (*QR, error) {
	expires := s.qrTime().Add(qrLifetime).UTC()
	if q := e.status.QR; q != nil && q.Text == s.QR {
		return q, nil
	}
	image, err := qrImage(s.QR)
	if err != nil {
		return nil, err
	}
	return &QR{Text: s.QR, Image: image, ExpiresAt: expires}, nil
}

// setLocked makes next the status and tells the sink if it differs.
func (e *Engine) setLocked(next Status) {
	old := e.status
	next.Since = old.Since
	if next.State != old.State {
		next.Since = time.Now().UTC()
		e.log.Info("whatsapp state", "state", next.State, "was", old.State, "reason", next.Reason)
	}
	if next.State == old.State && next.Reason == old.Reason && equalQR(next.QR, old.QR) && equalAccount(next.Account, old.Account) &&
		reflect.DeepEqual(next.PairingCode, old.PairingCode) && reflect.DeepEqual(next.Passkey, old.Passkey) {
		return
	}
	e.status = next
	if next.State == StateLoggedOut {
		e.ended.Store(true)
	}
	if next.State != old.State {
		e.stats.Entered[next.State]++
		e.changedLink()
	}
	if e.sink != nil {
		e.sink(StatusChanged{next})
	}
}

func equalQR(a, b *QR) bool { return a == b || a != nil && b != nil && a.Text == b.Text }

func equalAccount(a, b *Account) bool { return a == b || a != nil && b != nil && *a == *b }

// emit passes an event on.
func (e *Engine) emit(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sink(ev)
}

// active returns the browser and the latest snapshot.
func (e *Engine) active() (*browser, snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.browser == nil {
		return nil, snapshot{}, fmt.Errorf("%w: no browser runs", ErrNotReady)
	}
	return e.browser, e.snapshot, nil
}
