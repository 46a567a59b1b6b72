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
	devices  map[string]deviceRef // by the credential's hash
	pairings map[string]*pairing  // by the reference that is shown now
	sessions int                  // open ones

	now     func() time.Time
	changed func()                 // something that is saved has changed; does not block
	sent    func(phone, id string) // a device has sent a message; does not block
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
		now:      time.Now,
	}
}

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
	w.changed()
	return a.info(), true, nil
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

// customerWrites stores a message from a customer and returns its id.
func (w *world) customerWrites(phone, from, fromName, text string) (id string, err error) {
	fromName = strings.TrimSpace(fromName)
	var f faults
	f.check("from", phoneFault(from))
	f.check("from_name", nameFault(fromName))
	f.check("text", textFault(text))
	if from == phone && len(f) == 0 {
		f.check("from", "must not be the account's own number")
	}
	err = w.with(phone, func(a *account) error {
		if err := f.err(); err != nil {
			return err
		}
		fault, cid := a.takeFault(), chatID(from)
		if fault == FaultLIDContact {
			cid = from + "@lid"
		}
		now := w.now()
		c, err := a.chat(cid)
		if err != nil {
			return err
		}
		// The phone itself is always online, so the message is delivered.
		m := &message{ID: messageID(false, cid, newMessageKey()), Chat: cid, Text: text, Ack: ackDelivered, Fault: fault}
		a.add(m, now)
		c.Name, c.Time, c.Unread = fromName, m.Time, max(c.Unread, 0)+1
		c.Seq = a.nextSeq(now)
		id = m.ID
		a.wake()
		w.changed()
		return nil
	})
	return id, err
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
			return platform.Errorf(platform.ErrNotFound, "This account has no such chat.")
		}
		w.raise(a, chat, true, ackRead)
		return nil
	})
}

// raise gives messages of a chat an ack. World.mu must be held.
func (w *world) raise(a *account, chat string, fromMe bool, ack int) {
	now, changed := w.now(), false
	for _, m := range a.Messages {
		if m.Chat == chat && m.FromMe == fromMe && a.ack(m, ack, now) {
			changed = true
		}
	}
	if changed {
		a.wake()
		w.changed()
	}
}

// MessageInfo is a message as the control API shows it.
type MessageInfo struct {
	ID        string `json:"id"`
	ChatID    string `json:"chat_id"`
	FromMe    bool   `json:"from_me"`
	Text      string `json:"text"`
	Ack       int    `json:"ack"`
	Timestamp int64  `json:"timestamp"` // Unix seconds
}

// messages returns a chat's messages in order; of all chats when chat is "".
func (w *world) messages(phone, chat string) (ms []MessageInfo, err error) {
	ms = []MessageInfo{}
	err = w.with(phone, func(a *account) error {
		if chat != "" {
			if d := chatFault(chat); d != "" {
				return platform.Invalid(platform.FieldError{Field: "chat", Detail: d})
			}
		}
		for _, m := range a.Messages {
			if chat == "" || m.Chat == chat {
				ms = append(ms, MessageInfo{m.ID, m.Chat, m.FromMe, m.Text, m.Ack, m.Time})
			}
		}
		return nil
	})
	return ms, err
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
	w.changed()
}
