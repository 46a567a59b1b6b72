package whatsapp

import (
	"context"
	"sync"
	"time"
)

// Look returns the status for somebody who is about to see it: a QR code that
// went stale is replaced first, which takes less than a second. For a while
// after a look codes are kept fresh.
func (e *Engine) Look(ctx context.Context) Status {
	e.lastLook.Store(time.Now().UnixNano())
	if _, s, err := e.active(); err == nil && s.stale(time.Now()) {
		if err := e.refreshQR(ctx, lookTimeout); err != nil {
			e.log.Debug("QR code could not be refreshed in time", "error", err)
		}
	}
	return e.Status()
}

// AddViewer says that somebody looks at the status until the returned function
// is called: codes are kept fresh meanwhile.
func (e *Engine) AddViewer() (leave func()) {
	e.viewers.Add(1)
	select {
	case e.looked <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { e.viewers.Add(-1) })
}

// watched reports whether somebody looks at the status, or just did.
func (e *Engine) watched() bool {
	return e.viewers.Load() > 0 || time.Since(time.Unix(0, e.lastLook.Load())) < recentLook
}

// minRefresh is the least time between two codes that are asked for.
const minRefresh = 2 * time.Second

// Refresh replaces the QR code, however fresh it is, and ends the pairing by
// code. In every other state it changes nothing.
func (e *Engine) Refresh(ctx context.Context) (Status, error) {
	e.lastLook.Store(time.Now().UnixNano())
	status := e.Status()
	if status.State == StatePairingCode {
		var err error
		if status, err = e.CancelPairingCode(ctx); err != nil {
			return Status{}, err
		}
	}
	_, s, err := e.active()
	if err != nil {
		return Status{}, err
	}
	fresh := s.QR != "" && !s.QRIdle && time.Since(s.qrTime()) < minRefresh
	if fresh || status.State != StateQR && !s.stale(time.Now()) {
		return status, nil
	}
	return e.link(ctx, "refreshQR")
}

// refreshQR asks WhatsApp for a new code, unless another call just did.
func (e *Engine) refreshQR(ctx context.Context, timeout time.Duration) error {
	e.refreshing.Lock()
	defer e.refreshing.Unlock()
	b, s, err := e.active()
	if err != nil {
		return err
	}
	if !s.stale(time.Now()) {
		return nil
	}
	var fresh snapshot
	if err := b.call(ctx, timeout, &fresh, "refreshQR"); err != nil {
		return err
	}
	e.apply(fresh)
	return nil
}
