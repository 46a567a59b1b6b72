package whatsappsim

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// account is one phone with WhatsApp on it. World.mu guards all of it.
type account struct {
	Phone      string              `json:"phone"`
	Name       string              `json:"name"`
	CreatedAt  time.Time           `json:"created_at"`
	Seq        int64               `json:"seq"` // of the latest change
	Chats      map[string]*chat    `json:"chats"`
	Contacts   map[string]*contact `json:"contacts,omitempty"`
	Messages   []*message          `json:"messages"`       // in the order in which they were written
	Keep       int                 `json:"keep,omitempty"` // so many messages, when it is more than usual
	Devices    map[int]*device     `json:"devices"`
	LastDevice int                 `json:"last_device"`
	Faults     []string            `json:"faults,omitempty"`      // for the next incoming messages
	SendFaults []string            `json:"send_faults,omitempty"` // for the next outgoing messages
	LinkFaults []string            `json:"link_faults,omitempty"` // for the next devices to be linked
	FileFaults []string            `json:"file_faults,omitempty"` // for the next downloads

	byID     map[string]*message
	changes  []change        // ascending; one whose item has changed again is stale
	files    map[string]bool // hashes that its devices may fetch
	held     []*message      // written, but delivered after the next one
	sessions map[*session]struct{}
	unsaved  bool
	saved    []byte // as it is in the state file
}

// chat is a conversation with one customer or a group.
type chat struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Group     *group    `json:"group,omitempty"` // not changed once it is made
	Unread    int       `json:"unread"`          // -1: marked as unread by hand
	Time      int64     `json:"t"`               // of the latest message, in Unix seconds
	Composing bool      `json:"composing,omitempty"`
	History   bool      `json:"history,omitempty"` // from before: devices do not announce it
	Seq       int64     `json:"seq"`
	composing time.Time // until when
}

// device is a linked device. The credential itself is only on the device.
type device struct {
	ID             int       `json:"id"`
	CredentialHash string    `json:"credential_hash"`
	LinkedAt       time.Time `json:"linked_at"`
	LastSeen       time.Time `json:"last_seen"`
}

// change is an item under the sequence number that it had.
type change struct {
	seq     int64
	chat    *chat
	contact *contact
	message *message
}

func (ch change) stale() bool {
	switch {
	case ch.chat != nil:
		return ch.chat.Seq != ch.seq
	case ch.contact != nil:
		return ch.contact.Seq != ch.seq
	}
	return ch.message.Seq != ch.seq
}

func newAccount(phone, name string, now time.Time) *account {
	a := &account{Phone: phone, Name: name, CreatedAt: now}
	a.init()
	return a
}

// init makes what is not stored.
func (a *account) init() {
	if a.Chats == nil {
		a.Chats = make(map[string]*chat)
	}
	if a.Contacts == nil {
		a.Contacts = make(map[string]*contact)
	}
	if a.Devices == nil {
		a.Devices = make(map[int]*device)
	}
	a.unsaved = true
	a.sessions = make(map[*session]struct{})
	a.files = make(map[string]bool)
	a.byID = make(map[string]*message, len(a.Messages))
	for _, c := range a.Chats {
		a.changes = append(a.changes, change{seq: c.Seq, chat: c})
		if c.Group == nil && a.Contacts[c.ID] == nil { // a state from before there were contacts
			phone, _ := strings.CutSuffix(c.ID, "@c.us")
			k := a.meet(c.ID, phone)
			k.Name, k.Seq = c.Name, c.Seq
		}
	}
	for _, c := range a.Contacts {
		a.changes = append(a.changes, change{seq: c.Seq, contact: c})
	}
	for _, m := range a.Messages {
		a.byID[m.ID] = m
		a.changes = append(a.changes, change{seq: m.Seq, message: m})
		if m.Media != nil {
			a.files[m.Media.Hash] = true
		}
	}
	slices.SortStableFunc(a.changes, func(x, y change) int { return cmp.Compare(x.seq, y.seq) })
}

// nextSeq never repeats a number, even if the latest changes were lost in a
// crash before they were saved: it follows the clock.
func (a *account) nextSeq(now time.Time) int64 {
	a.Seq = max(a.Seq+1, now.UnixMilli())
	return a.Seq
}

func (a *account) touchChat(c *chat, now time.Time) {
	c.Seq = a.nextSeq(now)
	a.changed(change{seq: c.Seq, chat: c})
}

func (a *account) touchContact(c *contact, now time.Time) {
	c.Seq = a.nextSeq(now)
	a.changed(change{seq: c.Seq, contact: c})
}

func (a *account) touch(m *message, now time.Time) {
	m.Seq = a.nextSeq(now)
	a.changed(change{seq: m.Seq, message: m})
}

// staleRoom is how many stale changes are kept before they are swept out.
const staleRoom = 1000

func (a *account) changed(ch change) {
	a.unsaved = true
	a.changes = append(a.changes, ch)
	if len(a.changes) > 2*(len(a.Chats)+len(a.Contacts)+len(a.Messages))+staleRoom {
		a.changes = slices.DeleteFunc(a.changes, change.stale)
	}
}

// add appends a message and forgets the oldest one above the limit.
func (a *account) add(m *message, now time.Time) {
	if m.Time == 0 {
		m.Time = now.Unix()
	}
	a.Messages = append(a.Messages, m)
	a.byID[m.ID] = m
	if m.Media != nil {
		a.files[m.Media.Hash] = true
	}
	a.touch(m, now)
	if m.Order == 0 {
		m.Order = m.Seq
	}
	for len(a.Messages) > max(a.Keep, defaultMessagesPerAccount) {
		old := a.Messages[0]
		delete(a.byID, old.ID)
		old.Seq = 0 // its changes are stale
		a.Messages[0], a.Messages = nil, a.Messages[1:]
	}
}

// ack raises a message's ack; it never falls.
func (a *account) ack(m *message, ack int, now time.Time) bool {
	if m.Ack >= ack || m.Ack < ackPending {
		return false
	}
	m.Ack = ack
	a.touch(m, now)
	return true
}

// update is what a device or a phone page has not seen yet.
type update struct {
	Cursor   int64     `json:"cursor"`
	Contacts []contact `json:"contacts,omitempty"`
	Chats    []chat    `json:"chats"`
	Messages []message `json:"messages"`
	more     bool      // there is more after the cursor
}

func (u update) empty() bool { return len(u.Chats)+len(u.Messages)+len(u.Contacts) == 0 }

// since returns copies of what changed after cursor, oldest change first and
// at most one update's worth.
func (a *account) since(cursor int64, now time.Time) update {
	u := update{Cursor: cursor}
	first, _ := slices.BinarySearchFunc(a.changes, cursor+1, func(ch change, seq int64) int { return cmp.Compare(ch.seq, seq) })
	items, size := 0, 0
	for _, ch := range a.changes[first:] {
		if ch.stale() {
			continue
		}
		if items > 0 && (items >= maxUpdateItems || size >= maxUpdateBytes) {
			u.more = true
			return u
		}
		u.Cursor = ch.seq
		items++
		switch {
		case ch.chat != nil:
			c := *ch.chat
			c.Composing = c.composing.After(now)
			u.Chats = append(u.Chats, c)
		case ch.contact != nil:
			u.Contacts = append(u.Contacts, *ch.contact)
		default:
			u.Messages = append(u.Messages, *ch.message)
			size += len(ch.message.Text)
		}
	}
	u.Cursor = max(u.Cursor, a.Seq)
	return u
}

// wake tells everybody who is watching the account to look at it again.
func (a *account) wake() {
	for s := range a.sessions {
		s.wakeUp()
	}
}

// tell sends a frame to every device that is connected.
func (a *account) tell(f serverFrame) {
	for s := range a.sessions {
		if s.device != 0 {
			s.tell(f)
		}
	}
}

// take removes and returns the first of a list of faults; "" when it is empty.
func take(faults *[]string) string {
	if len(*faults) == 0 {
		return ""
	}
	f := (*faults)[0]
	*faults = (*faults)[1:]
	return f
}
