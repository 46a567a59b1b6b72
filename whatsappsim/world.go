package whatsappsim

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"ipnoelp.io/platform"
)

// world is everything that the stand-in knows: phones, linked devices, pages
// that wait to be linked.
type world struct {
	mu       sync.Mutex // guards the following fields and all they lead to
	accounts map[string]*account
	devices  map[string]deviceRef  // by the credential's hash
	pairings map[string]*pairing   // by the reference that is shown now
	codes    map[string]*pairing   // by the code that is to be typed
	passkeys map[*pairing]struct{} // those that wait for a passkey
	sessions int                   // open ones

	pageFaults []string // for the next pages to be loaded

	now      func() time.Time
	changed  func()                      // something that is saved has changed; does not block
	sent     func(phone, id string)      // a device has sent a message; does not block
	later    func(time.Duration, func()) // calls back after a while, unless the server ends
	ackDelay time.Duration               // of FaultDelayedAck
}

// save says that an account has changed. World.mu must be held.
func (w *world) save(a *account) {
	a.unsaved = true
	w.changed()
}

type deviceRef struct {
	account *account
	id      int
}

func newWorld() *world {
	return &world{
		accounts: make(map[string]*account),
		devices:  make(map[string]deviceRef),
		pairings: make(map[string]*pairing),
		codes:    make(map[string]*pairing),
		passkeys: make(map[*pairing]struct{}),
		now:      time.Now,
	}
}

var errNoChat = platform.Errorf(platform.ErrNotFound, "This account has no such chat.")

var errNoAccount = platform.Errorf(platform.ErrNotFound, "There is no account with this number.")

// AccountInfo is an account as the control API shows it.
type AccountInfo struct {
	Phone  string `json:"phone"`
	Name   string `json:"name"`
	Linked bool   `json:"linked"`
}

func (a *account) info() AccountInfo {
	return AccountInfo{Phone: a.Phone, Name: a.Name, Linked: len(a.Devices) > 0}
}

// createAccount returns the account with this number and whether it is new.
func (w *world) createAccount(phone, name string) (AccountInfo, bool, error) {
	name = strings.TrimSpace(name)
	var f faults
	f.check("phone", phoneFault(phone))
	f.check("name", nameFault(name))
	if err := f.err(); err != nil {
		return AccountInfo{}, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := w.accounts[phone]; ok {
		return a.info(), false, nil
	}
	if len(w.accounts) >= maxAccounts {
		return AccountInfo{}, false, platform.Errorf(platform.ErrTooMany, "There are %d accounts already.", maxAccounts)
	}
	a := newAccount(phone, name, w.now())
	w.accounts[phone] = a
	w.save(a)
	return a.info(), true, nil
}

// hasFile reports whether a message refers to the file with this hash.
func (w *world) hasFile(hash string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.accounts {
		if a.files[hash] {
			return true
		}
	}
	return false
}

func (w *world) listAccounts() []AccountInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	infos := make([]AccountInfo, 0, len(w.accounts))
	for _, a := range w.accounts {
		infos = append(infos, a.info())
	}
	slices.SortFunc(infos, func(x, y AccountInfo) int { return cmp.Compare(x.Phone, y.Phone) })
	return infos
}

// with runs f on the account with this number, under the lock.
func (w *world) with(phone string, f func(*account) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.accounts[phone]
	if !ok {
		return errNoAccount
	}
	return f(a)
}

// chat returns the chat with this id; it makes one where there is none.
func (a *account) chat(id string) (*chat, error) {
	c, ok := a.Chats[id]
	if !ok {
		if len(a.Chats) >= maxChatsPerAccount {
			return nil, platform.Errorf(platform.ErrTooMany, "This account has %d chats already.", maxChatsPerAccount)
		}
		c = &chat{ID: id}
		a.Chats[id] = c
	}
	return c, nil
}

// customerReads raises the ack of everything that the account wrote to the
// chat to "read".
func (w *world) customerReads(phone, chat string) error {
	return w.with(phone, func(a *account) error {
		if d := chatFault(chat); d != "" {
			return platform.Invalid(platform.FieldError{Field: "chat", Detail: d})
		}
		if _, ok := a.Chats[chat]; !ok {
			return errNoChat
		}
		w.raise(a, chat, true, ackRead)
		return nil
	})
}

// raise gives messages of a chat an ack. World.mu must be held.
func (w *world) raise(a *account, chat string, fromMe bool, ack int) {
	now, changed := w.now(), false
	for _, m := range a.Messages {
		if m.Chat == chat && m.FromMe == fromMe && m.Ack >= ackSent && a.ack(m, ack, now) {
			changed = true
			if m.Fault == FaultDuplicateAck {
				a.tell(serverFrame{Type: "ack", Message: &message{ID: m.ID, Ack: m.Ack}})
			}
		}
	}
	if changed {
		a.wake()
		w.save(a)
	}
}

// logout unlinks all devices of an account.
func (w *world) logout(phone string) error {
	return w.with(phone, func(a *account) error {
		for id := range a.Devices {
			w.unlink(a, id)
		}
		return nil
	})
}

// unlink removes one device; its session notices. World.mu must be held.
func (w *world) unlink(a *account, id int) {
	d, ok := a.Devices[id]
	if !ok {
		return
	}
	delete(w.devices, d.CredentialHash)
	delete(a.Devices, id)
	a.wake()
	w.save(a)
}
