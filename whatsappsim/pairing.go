package whatsappsim

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"ipnoelp.io/platform"
)

// newReference has the form of the first part of a real code.
func newReference() string {
	var b [66]byte
	rand.Read(b[:]) // never fails
	return "2@" + base64.StdEncoding.EncodeToString(b[:])
}

// keysValid reports whether these can be a device's public keys and secret.
func keysValid(keys []string) bool {
	if len(keys) != 3 {
		return false
	}
	for _, k := range keys {
		if b, err := base64.StdEncoding.Strict().DecodeString(k); err != nil || len(b) != 32 {
			return false
		}
	}
	return true
}

// offer replaces the reference old, which may be "", by a new one.
func (w *world) offer(old string, p *pairing, lifetime time.Duration) (ref string) {
	ref = newReference()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairings, old)
	p.expires = w.now().Add(lifetime)
	w.pairings[ref] = p
	return ref
}

func (w *world) withdraw(ref string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairings, ref)
}

// errNoCode does not say whether a code has ever existed.
var errNoCode = platform.Errorf(platform.ErrNotFound, "This code is unknown or has expired: use the one that is shown now.")

// scan links the page that shows the code to the account.
func (w *world) scan(phone, qr string) error {
	return w.with(phone, func(a *account) error {
		switch {
		case qr == "":
			return platform.Invalid(platform.FieldError{Field: "qr", Detail: "is required"})
		case len(qr) > maxQRBytes:
			return platform.Invalid(platform.FieldError{Field: "qr", Detail: "must have at most 512 bytes"})
		}
		now := w.now()
		ref, keys, _ := strings.Cut(strings.TrimSpace(qr), ",")
		p, ok := w.pairings[ref]
		if !ok || strings.Join(p.keys[:], ",") != keys || now.After(p.expires) {
			return errNoCode
		}
		if err := w.makeRoom(a); err != nil {
			return err
		}
		credential := newSecret()
		a.LastDevice++
		d := &device{ID: a.LastDevice, CredentialHash: hashSecret(credential), LinkedAt: now, LastSeen: now}
		a.Devices[d.ID] = d
		w.devices[d.CredentialHash] = deviceRef{a, d.ID}
		delete(w.pairings, ref)
		p.linked <- link{credential, a.info()} // once per pairing: its reference is gone now
		a.wake()
		w.changed()
		return nil
	})
}

// makeRoom drops the device that has been offline longest where an account has
// as many as it may have. WhatsApp drops those unused for 14 days.
func (w *world) makeRoom(a *account) error {
	if len(a.Devices) < maxDevicesPerAccount {
		return nil
	}
	var oldest *device
	for _, d := range a.Devices {
		if !a.connected(d.ID) && (oldest == nil || d.LastSeen.Before(oldest.LastSeen)) {
			oldest = d
		}
	}
	if oldest == nil {
		return platform.Errorf(platform.ErrConflict, "This account has %d linked devices online; log them out first.", maxDevicesPerAccount)
	}
	w.unlink(a, oldest.ID)
	return nil
}

// forget removes a device whose credential never reached it.
func (w *world) forget(credential string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ref, ok := w.devices[hashSecret(credential)]; ok {
		w.unlink(ref.account, ref.id)
	}
}
