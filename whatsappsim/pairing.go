package whatsappsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"ipnoelp.io/platform"
)

// pairing is a page that waits to be linked.
type pairing struct {
	keys   [3]string        // base64: static key, identity key, secret
	linked chan link        // capacity 1
	notes  chan serverFrame // of what else happens; more than its capacity is dropped

	// World.mu guards the following fields.
	ref       string // in the QR code that is shown; "" for none
	expires   time.Time
	phone     string // that is to type the code
	code      string // to be typed; "" for none
	codeUntil time.Time
	challenge string // base64url: what a passkey is to sign; "" when none is asked for
	account   *account
}

// link is what a page gets when it was linked.
type link struct {
	credential string
	lid        string
	info       AccountInfo
}

func newPairing(keys [3]string) *pairing {
	return &pairing{keys: keys, linked: make(chan link, 1), notes: make(chan serverFrame, 8)}
}

func (p *pairing) tell(f serverFrame) {
	select {
	case p.notes <- f:
	default:
	}
}

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

// offer gives the page a new reference in place of the one that it has.
func (w *world) offer(p *pairing, lifetime time.Duration) (ref string) {
	ref = newReference()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairings, p.ref)
	p.ref, p.expires = ref, w.now().Add(lifetime)
	w.pairings[ref] = p
	return ref
}

func (w *world) withdraw(p *pairing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairings, p.ref)
	p.ref = ""
}

// leavePairing ends all that the page waits for.
func (w *world) leavePairing(p *pairing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endPairing(p)
}

// endPairing needs World.mu.
func (w *world) endPairing(p *pairing) {
	delete(w.pairings, p.ref)
	delete(w.codes, p.code)
	delete(w.passkeys, p)
	p.ref, p.code, p.challenge, p.account = "", "", "", nil
}

// linkCodeLetters are those of a real code: none looks like another.
const (
	linkCodeLetters = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
	linkCodeLength  = 8
)

// offerCode gives the page a code that this phone is to type.
func (w *world) offerCode(p *pairing, phone string, lifetime time.Duration) (code string) {
	var b [linkCodeLength]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = linkCodeLetters[int(b[i])%len(linkCodeLetters)]
	}
	code = string(b[:])
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.codes, p.code)
	p.phone, p.code, p.codeUntil = phone, code, w.now().Add(lifetime)
	w.codes[code] = p
	return code
}

func (w *world) withdrawCode(p *pairing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.codes, p.code)
	p.code = ""
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
		ref, keys, _ := strings.Cut(strings.TrimSpace(qr), ",")
		p, ok := w.pairings[ref]
		if !ok || strings.Join(p.keys[:], ",") != keys || w.now().After(p.expires) {
			return errNoCode
		}
		return w.admit(a, p)
	})
}

// typeCode links the page that waits for this code to be typed on the phone.
func (w *world) typeCode(phone, code string) error {
	return w.with(phone, func(a *account) error {
		if strings.TrimSpace(code) == "" {
			return platform.Invalid(platform.FieldError{Field: "code", Detail: "is required"})
		}
		code = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
		p, ok := w.codes[code]
		if ok && p.phone == phone && !w.now().After(p.codeUntil) {
			return w.admit(a, p)
		}
		// A wrong code spoils the attempt of the page that waits for this phone.
		for c, p := range w.codes {
			if p.phone == phone {
				delete(w.codes, c)
				p.code = ""
				p.tell(serverFrame{Type: "link_code_error"})
			}
		}
		return errNoCode
	})
}

// admit links the page, or asks it for a passkey first. World.mu must be held.
func (w *world) admit(a *account, p *pairing) error {
	if err := w.makeRoom(a); err != nil {
		return err
	}
	w.endPairing(p)
	if take(&a.LinkFaults) == FaultPasskeyRequired {
		p.challenge, p.account = newSecret(), a
		w.passkeys[p] = struct{}{}
		p.tell(serverFrame{Type: "passkey", Challenge: p.challenge})
		w.save(a)
		return nil
	}
	w.finish(a, p)
	return nil
}

// finish makes a device of the page. World.mu must be held.
func (w *world) finish(a *account, p *pairing) {
	now := w.now()
	credential := newSecret()
	a.LastDevice++
	d := &device{ID: a.LastDevice, CredentialHash: hashSecret(credential), LinkedAt: now, LastSeen: now}
	a.Devices[d.ID] = d
	w.devices[d.CredentialHash] = deviceRef{a, d.ID}
	p.linked <- link{credential, a.lid(), a.info()} // once per pairing: nothing leads to it now
	a.wake()
	w.save(a)
}

// passkey ends the waiting of the account's new devices for a passkey, as the
// owner's phone does: with one, or without.
func (w *world) passkey(phone string, pass bool) error {
	return w.with(phone, func(a *account) error {
		var waiting []*pairing
		for p := range w.passkeys {
			if p.account == a {
				waiting = append(waiting, p)
			}
		}
		if len(waiting) == 0 {
			return platform.Errorf(platform.ErrNotFound, "No device of this account waits for a passkey.")
		}
		for _, p := range waiting {
			w.endPairing(p)
			if pass {
				w.finish(a, p)
			} else {
				p.tell(serverFrame{Type: "passkey_failed"})
			}
		}
		return nil
	})
}

// answerPasskey takes the assertion of the page's own authenticator. Who signed
// it cannot be known here: that it answers this challenge must do.
func (w *world) answerPasskey(p *pairing, clientData string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.passkeys[p]; !ok {
		return
	}
	var in struct{ Type, Challenge string }
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(clientData, "="))
	ok := err == nil && json.Unmarshal(data, &in) == nil && in.Type == "webauthn.get" && in.Challenge == p.challenge
	a := p.account
	w.endPairing(p)
	if ok {
		w.finish(a, p)
	} else {
		p.tell(serverFrame{Type: "passkey_failed"})
	}
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
