package whatsappsim

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"ipnoelp.io/platform"
)

// Population says how many chats and messages an account is to get that looks
// as if it had been in use for a year. The same seed gives the same people,
// ids and texts; times are counted back from now.
type Population struct {
	Chats    int    `json:"chats"`
	Messages int    `json:"messages"` // in all chats together
	Seed     uint64 `json:"seed"`
}

// Populated is what an account got.
type Populated struct {
	Chats    int `json:"chats"`
	Groups   int `json:"groups"`    // of the chats
	LIDChats int `json:"lid_chats"` // of the chats
	Messages int `json:"messages"`
	Files    int `json:"files"` // of the messages
}

func (p Population) fault() error {
	var f faults
	if p.Chats < 1 || p.Chats > maxChatsPerAccount {
		f.check("chats", fmt.Sprintf("must be 1 to %d", maxChatsPerAccount))
	}
	if p.Messages < p.Chats || p.Messages > maxMessagesPerAccount {
		f.check("messages", fmt.Sprintf("must be %d, the number of chats, to %d", p.Chats, maxMessagesPerAccount))
	}
	return f.err()
}

// populate gives an account a past.
func (w *world) populate(phone string, p Population, files *fileStore) (Populated, error) {
	if err := p.fault(); err != nil {
		return Populated{}, err
	}
	if err := w.with(phone, func(*account) error { return nil }); err != nil {
		return Populated{}, err
	}
	stock, err := makeStock(files)
	if err != nil {
		return Populated{}, err
	}
	past := newPast(phone, p, stock, w.now().Truncate(time.Second)) // or rounding would change the order
	for i := range p.Chats {
		past.addChat(i)
	}
	past.order()
	err = w.with(phone, func(a *account) error { return past.into(a, w) })
	return past.made, err
}

// into adds the past to the account. World.mu must be held.
func (p *past) into(a *account, w *world) error {
	if len(a.Chats)+len(p.chats) > maxChatsPerAccount {
		return platform.Errorf(platform.ErrTooMany, "This account has %d chats; it can have %d.", len(a.Chats), maxChatsPerAccount)
	}
	if _, ok := a.byID[p.messages[0].ID]; ok {
		return platform.Errorf(platform.ErrConflict, "The account has been populated with this seed already.")
	}
	if len(a.Messages)+len(p.messages) > maxMessagesPerAccount {
		return platform.Errorf(platform.ErrTooMany, "This account has %d messages; it can have %d.", len(a.Messages), maxMessagesPerAccount)
	}
	now := w.now()
	a.Keep = max(a.Keep, len(a.Messages)+len(p.messages)+defaultMessagesPerAccount)
	for _, id := range slices.Sorted(maps.Keys(p.contacts)) {
		if a.Contacts[id] == nil {
			a.Contacts[id] = p.contacts[id]
			a.touchContact(p.contacts[id], now)
		}
	}
	for _, c := range p.chats {
		if a.Chats[c.ID] == nil {
			a.Chats[c.ID] = c
			a.touchChat(c, now)
		}
	}
	a.Messages = append(slices.Grow(p.messages, len(a.Messages)), a.Messages...)
	for _, m := range p.messages {
		a.byID[m.ID] = m
		if m.Media != nil {
			a.files[m.Media.Hash] = true
		}
		a.touch(m, now)
	}
	slices.SortStableFunc(a.Messages, func(x, y *message) int { return cmp.Compare(x.Order, y.Order) })
	a.wake()
	w.save(a)
	return nil
}

// past is being made up.
type past struct {
	Population
	rand     *rand.Rand
	now      time.Time
	self     string // the account's LID
	stock    []media
	share    []int // messages of each chat
	chats    []*chat
	contacts map[string]*contact
	messages []*message
	made     Populated
}

// A few chats have most of the messages, as in reality.
const skew = 0.8

func newPast(phone string, p Population, stock []media, now time.Time) *past {
	made := &past{Population: p, rand: rand.New(rand.NewPCG(p.Seed, 0)), now: now, self: lidOf(phone), stock: stock, //nolint:gosec // made-up data
		contacts: make(map[string]*contact), messages: make([]*message, 0, p.Messages), share: make([]int, p.Chats)}
	sum := 0.0
	for i := range p.Chats {
		sum += math.Pow(float64(i+1), -skew)
	}
	left := p.Messages - p.Chats // each has one at least
	for i := range p.Chats {
		made.share[i] = 1 + int(float64(p.Messages-p.Chats)*math.Pow(float64(i+1), -skew)/sum)
		left -= made.share[i] - 1
	}
	made.share[0] += left
	return made
}

func (p *past) chance(percent int) bool { return p.rand.IntN(100) < percent }

func pick[T any](p *past, from []T) T { return from[p.rand.IntN(len(from))] }

// person makes somebody up who speaks a language.
func (p *past) person(l *language) *contact {
	phone := l.code
	for len(phone) < 12 {
		phone += string(rune('0' + p.rand.IntN(10)))
	}
	k := &contact{ID: chatID(phone), Phone: phone, LID: lidOf(phone), Name: pick(p, l.first) + " " + pick(p, l.last),
		Picture: p.chance(40), Business: p.chance(8)}
	if p.chance(30) {
		k.Saved = k.Name
	}
	switch n := p.rand.IntN(100); {
	case n < 8: // they hide their number
		k.ID, k.Phone = k.LID, ""
	case n < 16: // the chat moved to the LID, the number is known
		k.ID = k.LID
	}
	p.contacts[k.ID] = k
	return k
}

// Of twenty chats one is a group.
const groupEvery = 20

func (p *past) addChat(i int) {
	l := &languages[p.rand.IntN(len(languages))]
	people := []*contact{p.person(l)}
	c := &chat{ID: people[0].ID, Name: people[0].Name, History: true}
	if i%groupEvery == groupEvery-1 {
		c.ID = fmt.Sprintf("120363%012d@g.us", p.rand.Int64N(1e12))
		c.Name = pick(p, l.groups)
		for range 2 + p.rand.IntN(9) {
			people = append(people, p.person(l))
		}
		c.Group = &group{Subject: c.Name, Owner: p.self, CreatedAt: p.now.AddDate(-1, 0, 0).Unix()}
		for _, k := range people {
			c.Group.Members = append(c.Group.Members, member{ID: k.ID, Admin: p.chance(10)})
		}
		p.made.Groups++
	} else if people[0].ID == people[0].LID {
		p.made.LIDChats++
	}
	p.chats = append(p.chats, c)
	p.made.Chats++
	p.converse(c, l, people, p.share[i])
}

// converse writes n messages, the latest first.
func (p *past) converse(c *chat, l *language, people []*contact, n int) {
	const year = 365 * 24 * time.Hour
	at := p.now.Add(-time.Duration(p.rand.ExpFloat64() * float64(30*24*time.Hour))).Add(-time.Minute)
	oldest := p.now.Add(-year)
	if at.Before(oldest) {
		at = oldest
	}
	c.Time = at.Unix()
	first := len(p.messages)
	unread := 0
	if p.chance(12) {
		unread = 1 + p.rand.IntN(min(n, 9))
	}
	mean := float64(at.Sub(oldest)) / float64(n)
	for i := range n {
		k := pick(p, people)
		fromMe := i >= unread && p.chance(45)
		m := p.message(c, l, k, fromMe)
		m.Time = at.Unix()
		if !fromMe && i < unread {
			m.Ack, c.Unread = ackDelivered, c.Unread+1
		}
		p.messages = append(p.messages, m)
		gap := p.rand.ExpFloat64() * mean
		if p.chance(70) { // within one conversation
			gap = math.Min(gap, float64(time.Duration(10+p.rand.IntN(600))*time.Second))
		}
		at = at.Add(-time.Duration(gap) - time.Second)
	}
	written := p.messages[first:]
	slices.Reverse(written)
	for i, m := range written {
		if i > 0 && m.Type != typeRevoked && p.chance(7) {
			if q := written[max(0, i-1-p.rand.IntN(6))]; q.Type != typeRevoked {
				m.Quoted = q.ID
			}
		}
	}
}

func (p *past) message(c *chat, l *language, k *contact, fromMe bool) *message {
	key := fmt.Sprintf("3A%016X%02X", p.rand.Uint64(), p.rand.IntN(256))
	author := k.ID
	m := &message{Chat: c.ID, FromMe: fromMe, Ack: ackRead, History: true}
	if fromMe {
		key, author = "3EB0"+key[2:], p.self
	}
	m.ID = messageID(fromMe, c.ID, key, author)
	if c.Group != nil {
		m.Author = author
		if !fromMe {
			m.AuthorName = k.Name
		}
	}
	switch n := p.rand.IntN(1000); {
	case n < 80:
		file := pick(p, p.stock)
		m.Media, m.Type = &file, fileKind(file)
		if m.Type != typeVoice && p.chance(40) {
			m.Text = pick(p, l.sentences)
		}
		p.made.Files++
	case n < 88:
		m.revoke("3A" + key[len(key)-18:])
	default:
		m.Text = p.text(l)
		if n < 100 {
			m.EditKey, m.EditedAt = "3A"+key[len(key)-18:], p.now.UnixMilli()
		}
	}
	if m.Type != typeRevoked && p.chance(3) {
		m.Reactions = []reaction{{Sender: k.ID, Text: pick(p, emojis), Time: p.now.Add(-time.Hour).UnixMilli(), Key: "3A" + key[len(key)-18:]}}
	}
	return m
}

// text is as long as people's messages are: mostly short, sometimes very long.
func (p *past) text(l *language) string {
	sentences := 1
	switch n := p.rand.IntN(100); {
	case n < 3:
		sentences = 10 + p.rand.IntN(20)
	case n < 12:
		sentences = 4 + p.rand.IntN(5)
	case n < 40:
		sentences = 2 + p.rand.IntN(2)
	}
	text := ""
	for i := range sentences {
		if i > 0 {
			text += pick(p, []string{" ", " ", " ", "\n"})
		}
		text += pick(p, l.sentences)
		if p.chance(8) {
			text += fmt.Sprintf(" #%d", 1000+p.rand.IntN(90000))
		}
	}
	if p.chance(20) {
		text += " " + pick(p, emojis)
	}
	return text
}

// order brings the messages of all chats into the order in which they were
// written. Sequence numbers follow the clock, so do these.
func (p *past) order() {
	slices.SortStableFunc(p.messages, func(x, y *message) int { return cmp.Compare(x.Time, y.Time) })
	last := int64(0)
	for _, m := range p.messages {
		last = max(last+1, m.Time*1000)
		m.Order = last
	}
	p.made.Messages = len(p.messages)
}
