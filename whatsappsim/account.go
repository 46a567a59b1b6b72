package whatsappsim

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// account is one phone with WhatsApp on it. World.mu guards all of it.
type account struct {
	Phone      string           `json:"phone"`
	Name       string           `json:"name"`
	CreatedAt  time.Time        `json:"created_at"`
	Seq        int64            `json:"seq"` // of the latest change
	Chats      map[string]*chat `json:"chats"`
	Messages   []*message       `json:"messages"` // in the order in which they were written
	Devices    map[int]*device  `json:"devices"`
	LastDevice int              `json:"last_device"`
	Faults     []string         `json:"faults,omitempty"` // for the next incoming messages
	byID       map[string]*message
	sessions   map[*session]struct{}
}

// chat is a conversation with one customer.
type chat struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Unread    int       `json:"unread"` // -1: marked as unread by hand
	Time      int64     `json:"t"`      // of the latest message, in Unix seconds
	Composing bool      `json:"composing,omitempty"`
	Seq       int64     `json:"seq"`
	composing time.Time // until when
}

// Acks as WhatsApp counts them.
const (
	ackPending   = 0
	ackSent      = 1
	ackDelivered = 2
	ackRead      = 3
)

type message struct {
	ID     string `json:"id"` // "true_4917012345@c.us_3EB0…": from me, chat, key
	Chat   string `json:"chat"`
	FromMe bool   `json:"from_me"`
	Text   string `json:"text"`
	Ack    int    `json:"ack"`
	Time   int64  `json:"t"`               // Unix seconds
	Order  int64  `json:"order"`           // the sequence number that it was written under
	Seq    int64  `json:"seq"`             // of its latest change
	Fault  string `json:"fault,omitempty"` // how devices are to treat its arrival
}

// device is a linked device. The credential itself is only on the device.
type device struct {
	ID             int       `json:"id"`
	CredentialHash string    `json:"credential_hash"`
	LinkedAt       time.Time `json:"linked_at"`
	LastSeen       time.Time `json:"last_seen"`
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
	if a.Devices == nil {
		a.Devices = make(map[int]*device)
	}
	a.sessions = make(map[*session]struct{})
	a.byID = make(map[string]*message, len(a.Messages))
	for _, m := range a.Messages {
		a.byID[m.ID] = m
	}
}

// nextSeq never repeats a number, even if the latest changes were lost in a
// crash before they were saved: it follows the clock.
func (a *account) nextSeq(now time.Time) int64 {
	a.Seq = max(a.Seq+1, now.UnixMilli())
	return a.Seq
}

// add appends a message and forgets the oldest one above the limit.
func (a *account) add(m *message, now time.Time) {
	m.Time = now.Unix()
	m.Seq = a.nextSeq(now)
	m.Order = m.Seq
	a.Messages = append(a.Messages, m)
	a.byID[m.ID] = m
	if over := len(a.Messages) - maxMessagesPerAccount; over > 0 {
		for _, old := range a.Messages[:over] {
			delete(a.byID, old.ID)
		}
		a.Messages = slices.Clone(a.Messages[over:])
	}
}

// ack raises a message's ack; it never falls.
func (a *account) ack(m *message, ack int, now time.Time) bool {
	if m.Ack >= ack {
		return false
	}
	m.Ack = ack
	m.Seq = a.nextSeq(now)
	return true
}

// update is what a device or a phone page has not seen yet.
type update struct {
	Cursor   int64     `json:"cursor"`
	Chats    []chat    `json:"chats"`
	Messages []message `json:"messages"`
	more     bool      // there is more after the cursor
}

func (u update) empty() bool { return len(u.Chats) == 0 && len(u.Messages) == 0 }

// since returns copies of what changed after cursor, oldest change first and
// at most one update's worth.
func (a *account) since(cursor int64, now time.Time) update {
	u := update{Cursor: cursor}
	if a.Seq <= cursor {
		return u
	}
	type change struct {
		seq int64
		c   *chat
		m   *message
	}
	var changes []change
	for _, c := range a.Chats {
		if c.Seq > cursor {
			changes = append(changes, change{seq: c.Seq, c: c})
		}
	}
	for _, m := range a.Messages {
		if m.Seq > cursor {
			changes = append(changes, change{seq: m.Seq, m: m})
		}
	}
	slices.SortFunc(changes, func(x, y change) int { return cmp.Compare(x.seq, y.seq) })
	size := 0
	for i, ch := range changes {
		if i > 0 && (i >= maxUpdateItems || size >= maxUpdateBytes) {
			u.more = true
			return u
		}
		u.Cursor = ch.seq
		if ch.c != nil {
			c := *ch.c
			c.Composing = c.composing.After(now)
			u.Chats = append(u.Chats, c)
		} else {
			u.Messages = append(u.Messages, *ch.m)
			size += len(ch.m.Text)
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

// takeFault removes and returns the next fault that waits for a message.
func (a *account) takeFault() string {
	if len(a.Faults) == 0 {
		return ""
	}
	f := a.Faults[0]
	a.Faults = a.Faults[1:]
	return f
}

func chatID(phone string) string { return phone + "@c.us" }

// messageID is the serialized key of a message.
func messageID(fromMe bool, chat, key string) string {
	if fromMe {
		return "true_" + chat + "_" + key
	}
	return "false_" + chat + "_" + key
}

// newMessageKey has the form of a key that a phone makes.
func newMessageKey() string {
	var b [10]byte
	rand.Read(b[:]) // never fails
	return "3A" + strings.ToUpper(hex.EncodeToString(b[:]))
}

// newSecret returns 256 random bits as text.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashSecret(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}
