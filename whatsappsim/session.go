package whatsappsim

import (
	"ipnoelp.io/platform"
)

// session is one connected watcher of an account: a linked device, or the
// phone page. It is woken when there is something to look at, and looks then;
// only what is gone when it is not read is queued for it, and little of that.
type session struct {
	woken chan struct{} // capacity 1

	// World.mu guards the following fields.
	account *account
	device  int      // 0 for the phone page
	faults  []string // to be played on this device
	notes   []serverFrame
}

func newSession() *session { return &session{woken: make(chan struct{}, 1)} }

func (s *session) wakeUp() {
	select {
	case s.woken <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// maxNotes bounds what waits for a device that does not read: typing and the
// like, which does not matter later.
const maxNotes = 1000

// tell sends a frame of which nothing is kept. World.mu must be held.
func (s *session) tell(f serverFrame) {
	if len(s.notes) < maxNotes {
		s.notes = append(s.notes, f)
	}
	s.wakeUp()
}

var errBusy = platform.Errorf(platform.ErrUnavailable, "There are too many connections; try again later.")

// enter counts a connection in, leave counts it out.
func (w *world) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessions >= maxSessions {
		return errBusy
	}
	w.sessions++
	return nil
}

func (w *world) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions--
}

// attachPhone makes s watch an account as the phone page does.
func (w *world) attachPhone(s *session, phone string) error {
	return w.with(phone, func(a *account) error {
		w.attach(s, a, 0)
		return nil
	})
}

// attachDevice makes s the session of the device with this credential, and
// reports false where there is no such device.
func (w *world) attachDevice(s *session, credential string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ref, ok := w.devices[hashSecret(credential)]
	if ok {
		w.attach(s, ref.account, ref.id)
	}
	return ok
}

// attach needs World.mu.
func (w *world) attach(s *session, a *account, device int) {
	s.account, s.device = a, device
	a.sessions[s] = struct{}{}
	if d := a.Devices[device]; d != nil {
		d.LastSeen = w.now()
	}
	s.wakeUp()
}

// detach ends what attach began; without that it does nothing.
func (w *world) detach(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.account == nil {
		return
	}
	delete(s.account.sessions, s)
	if d := s.account.Devices[s.device]; d != nil {
		d.LastSeen = w.now()
		w.save(s.account)
	}
}

// view is what a session finds when it looks.
type view struct {
	update
	info      AccountInfo
	loggedOut bool     // the device is not linked any more
	faults    []string // to be played now
	notes     []serverFrame
	lid       string
}

func (w *world) look(s *session, cursor int64) view {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.device != 0 && s.account.Devices[s.device] == nil {
		return view{loggedOut: true}
	}
	v := view{update: s.account.since(cursor, w.now()), info: s.account.info(), lid: s.account.lid(), faults: s.faults, notes: s.notes}
	s.faults, s.notes = nil, nil
	return v
}

// connected reports whether a device of the account has a session.
func (a *account) connected(device int) bool {
	for s := range a.sessions {
		if s.device == device {
			return true
		}
	}
	return false
}
