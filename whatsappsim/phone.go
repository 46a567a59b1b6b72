package whatsappsim

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"ipnoelp.io/platform"
)

// What the account's owner does on the phone itself, and not on a linked
// device.

// phoneWrites sends a message from the phone; devices learn of it.
func (w *world) phoneWrites(phone, cid, text string) (id string, err error) {
	err = w.with(phone, func(a *account) error {
		var f faults
		f.check("chat", chatFault(cid))
		f.check("text", textFault(text))
		if err := f.err(); err != nil {
			return err
		}
		c, ok := a.Chats[cid]
		if !ok {
			return errNoChat
		}
		m := &message{ID: messageID(true, cid, newMessageKey(), a.lid()), Chat: cid, FromMe: true, Text: text, Ack: ackSent}
		if c.Group != nil {
			m.Author = a.lid()
		}
		id = m.ID
		now := w.now()
		a.add(m, now)
		c.Time, c.Unread = m.Time, 0 // who answers has read
		a.touchChat(c, now)
		a.wake()
		w.save(a)
		w.sent(a.Phone, m.ID)
		return nil
	})
	return id, err
}

// phoneReads marks a chat as read on the phone.
func (w *world) phoneReads(phone, cid string) error {
	return w.with(phone, func(a *account) error {
		if d := chatFault(cid); d != "" {
			return platform.Invalid(platform.FieldError{Field: "chat", Detail: d})
		}
		c, ok := a.Chats[cid]
		if !ok {
			return errNoChat
		}
		w.setUnread(a, c, 0)
		w.raise(a, cid, false, ackRead)
		return nil
	})
}

// GroupMember is a customer in a group.
type GroupMember struct {
	Phone string `json:"phone"`
	Name  string `json:"name"`
}

// createGroup makes a group of the account and these customers.
func (w *world) createGroup(phone, name string, members []GroupMember) (id string, err error) {
	name = strings.TrimSpace(name)
	var f faults
	f.check("name", nameFault(name))
	if len(members) == 0 || len(members) > maxGroupMembers {
		f.check("members", fmt.Sprintf("must be 1 to %d customers", maxGroupMembers))
	}
	seen := map[string]bool{phone: true}
	for i, m := range members {
		field := fmt.Sprintf("members[%d]", i)
		f.check(field+".phone", phoneFault(m.Phone))
		f.check(field+".name", nameFault(m.Name))
		if seen[m.Phone] {
			f.check(field+".phone", "is in the group already")
		}
		seen[m.Phone] = true
	}
	err = w.with(phone, func(a *account) error {
		if err := f.err(); err != nil {
			return err
		}
		now := w.now()
		id = fmt.Sprintf("120363%012d@g.us", rand.Int64N(1e12)) //nolint:gosec // an id, no secret
		c, err := a.chat(id)
		if err != nil {
			return err
		}
		g := &group{Subject: name, Owner: a.lid(), CreatedAt: now.Unix()}
		for _, m := range members {
			k := a.meet(chatID(m.Phone), m.Phone)
			if k.Name == "" {
				k.Name = strings.TrimSpace(m.Name)
				a.touchContact(k, now)
			}
			g.Members = append(g.Members, member{ID: k.ID})
		}
		c.Name, c.Group, c.Time = name, g, now.Unix()
		a.touchChat(c, now)
		a.wake()
		w.save(a)
		return nil
	})
	return id, err
}
