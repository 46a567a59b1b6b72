package whatsapp

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

const (
	// pairingLifetime is how long WhatsApp accepts a pairing code.
	pairingLifetime = 195 * time.Second

	pairingTimeout = 30 * time.Second // for a code to come from WhatsApp

	reasonPairingExpired = "The pairing code expired. Ask for another one, or scan the QR code."
	reasonPairingFailed  = "WhatsApp ended the pairing by code. Check the phone number, try again later, or scan the QR code."
)

var pairingCode = regexp.MustCompile(`^[A-Z0-9-]{4,16}$`)

func (s snapshot) pairingCode() *PairingCode {
	if !pairingCode.MatchString(s.LinkCode) {
		return nil
	}
	return &PairingCode{Code: s.LinkCode, ExpiresAt: pageTime(s.LinkAt).Add(pairingLifetime)}
}

// linkReason says why there is no pairing code any more, "" when none was asked
// for.
func (s snapshot) linkReason() string {
	switch s.LinkError {
	case "":
		return ""
	case "expired":
		return reasonPairingExpired
	}
	return reasonPairingFailed
}

// RequestPairingCode asks WhatsApp for a code that links the phone of a number,
// in digits with the country's code. The same number gives the same code while
// that lives. ErrNotReady while there is no page, ErrRefused when a phone is
// linked already.
func (e *Engine) RequestPairingCode(ctx context.Context, phone string) (Status, error) {
	return e.link(ctx, "requestPairingCode", phone)
}

// CancelPairingCode ends what RequestPairingCode began; a QR code follows.
func (e *Engine) CancelPairingCode(ctx context.Context) (Status, error) {
	return e.link(ctx, "cancelPairingCode")
}

// link runs a function of the agent for a session that no phone is linked to.
func (e *Engine) link(ctx context.Context, function string, args ...any) (Status, error) {
	e.refreshing.Lock()
	defer e.refreshing.Unlock()
	b, err := e.unlinked()
	if err != nil {
		return Status{}, err
	}
	var fresh snapshot
	if err := b.call(ctx, pairingTimeout, &fresh, function, args...); err != nil {
		return Status{}, err
	}
	e.apply(fresh)
	return e.Status(), nil
}

// unlinked returns the browser when its page waits to be linked.
func (e *Engine) unlinked() (*browser, error) {
	b, s, err := e.active()
	switch {
	case err != nil:
		return nil, err
	case !s.Ready:
		return nil, fmt.Errorf("%w: the page is not loaded", ErrNotReady)
	case s.Authenticated:
		return nil, fmt.Errorf("%w: a phone is linked", ErrRefused)
	}
	return b, nil
}
