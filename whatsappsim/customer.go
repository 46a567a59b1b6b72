package whatsappsim

import (
	"slices"
	"strings"

	"ipnoelp.io/platform"
)

// CustomerMessage is what a customer writes to an account.
type CustomerMessage struct {
	From     string `json:"from"`                 // their phone number
	FromName string `json:"from_name"`            // as they call themselves
	Text     string `json:"text"`                 // of a file: its caption, or ""
	Group    string `json:"group,omitempty"`      // "…@g.us": into this group, of which they are a member
	Quoted   string `json:"quoted,omitempty"`     // id of the message that is answered
	LID      bool   `json:"lid,omitempty"`        // the chat has the customer's LID for an id; their number can be looked up
	Business bool   `json:"business,omitempty"`   // the customer is a business
	Picture  bool   `json:"picture,omitempty"`    // the customer has a profile picture
	SavedAs  string `json:"saved_name,omitempty"` // name in the account's address book
}

// customerWrites stores a message from a customer and returns its id.
func (w *world) customerWrites(phone, from, fromName, text string) (id string, err error) {
	return w.customerSends(phone, CustomerMessage{From: from, FromName: fromName, Text: text}, "", nil)
}

// customerSends stores what a customer sends; file is nil for a text.
func (w *world) customerSends(phone string, in CustomerMessage, kind string, file *media) (id string, err error) {
	in.FromName, in.SavedAs = strings.TrimSpace(in.FromName), strings.TrimSpace(in.SavedAs)
	var f faults
	f.check("from", phoneFault(in.From))
	f.check("from_name", nameFault(in.FromName))
	if file == nil || in.Text != "" {
		f.check("text", textFault(in.Text))
	}
	if in.SavedAs != "" {
		f.check("saved_name", nameFault(in.SavedAs))
	}
	if in.Group != "" && !isGroup(in.Group) {
		f.check("group", "must be a group such as 120363000000000000@g.us")
	}
	if in.From == phone && len(f) == 0 {
		f.check("from", "must not be the account's own number")
	}
	err = w.with(phone, func(a *account) error {
		if err := f.err(); err != nil {
			return err
		}
		author := chatID(in.From)
		if in.LID {
			author = lidOf(in.From)
		}
		if in.Group != "" {
			g, ok := a.Chats[in.Group]
			if !ok || g.Group == nil {
				return platform.Errorf(platform.ErrNotFound, "This account has no such group.")
			}
			if !g.Group.has(author) {
				return platform.Invalid(platform.FieldError{Field: "from", Detail: "must be a member of the group"})
			}
		}
		if in.Quoted != "" {
			if _, err := a.message("quoted", in.Quoted); err != nil {
				return err
			}
		}
		fault, cid, known := take(&a.Faults), author, in.From
		switch {
		case in.Group != "":
			cid = in.Group
		case fault == FaultLIDContact:
			cid, author, known = in.From+"@lid", in.From+"@lid", ""
		}
		now := w.now()
		c, err := a.chat(cid)
		if err != nil {
			return err
		}
		k := a.meet(author, known)
		before := *k
		k.Name, k.Business, k.Picture = in.FromName, k.Business || in.Business, k.Picture || in.Picture
		if in.SavedAs != "" {
			k.Saved = in.SavedAs
		}
		if *k != before || k.Seq == 0 {
			a.touchContact(k, now)
		}
		// The phone itself is always online, so the message is delivered.
		m := &message{ID: messageID(false, cid, newMessageKey(), author), Chat: cid, Type: kind, Text: in.Text, Media: file,
			Quoted: in.Quoted, Ack: ackDelivered, Fault: fault, Time: now.Unix()}
		if in.Group != "" {
			m.Author, m.AuthorName = author, in.FromName
		} else {
			c.Name = in.FromName
		}
		id = m.ID
		if fault == FaultOutOfOrder {
			w.hold(a, m)
			return nil
		}
		w.arrive(a, c, m)
		w.release(a)
		return nil
	})
	return id, err
}

// arrive brings a message to the account's phone and devices. World.mu must be
// held.
func (w *world) arrive(a *account, c *chat, m *message) {
	now := w.now()
	a.add(m, now)
	c.Time, c.Unread = max(c.Time, m.Time), max(c.Unread, 0)+1
	a.touchChat(c, now)
	a.wake()
	w.save(a)
}

// hold keeps a message back until the next one has overtaken it, or for a
// moment. World.mu must be held.
func (w *world) hold(a *account, m *message) {
	m.Order = a.nextSeq(w.now())
	a.held = append(a.held, m)
	a.byID[m.ID] = m
	w.later(heldFor, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.release(a)
	})
}

func (w *world) release(a *account) {
	held := a.held
	a.held = nil
	for _, m := range held {
		if c, err := a.chat(m.Chat); err == nil {
			w.arrive(a, c, m)
		}
	}
}

// message returns the message with this id; field names the input that it
// came from.
func (a *account) message(field, id string) (*message, error) {
	if id == "" {
		return nil, platform.Invalid(platform.FieldError{Field: field, Detail: "is required"})
	}
	m, ok := a.byID[id]
	if !ok {
		return nil, platform.Errorf(platform.ErrNotFound, "This account has no such message.")
	}
	return m, nil
}

// customersMessage returns a message that a customer may change: their own, as
// long as it is there.
func (a *account) customersMessage(id string) (*message, error) {
	m, err := a.message("message", id)
	switch {
	case err != nil:
		return nil, err
	case m.FromMe:
		return nil, platform.Invalid(platform.FieldError{Field: "message", Detail: "was written by the account, not by a customer"})
	case m.kind() == typeRevoked:
		return nil, platform.Errorf(platform.ErrConflict, "This message was deleted.")
	}
	return m, nil
}

// customerEdits gives a customer's message another text or caption.
func (w *world) customerEdits(phone, id, text string) error {
	return w.with(phone, func(a *account) error {
		m, err := a.customersMessage(id)
		if err != nil {
			return err
		}
		if d := textFault(text); d != "" {
			return platform.Invalid(platform.FieldError{Field: "text", Detail: d})
		}
		now := w.now()
		m.edit(text, newMessageKey(), now)
		w.touched(a, m)
		return nil
	})
}

// customerDeletes takes back a customer's message for everyone.
func (w *world) customerDeletes(phone, id string) error {
	return w.with(phone, func(a *account) error {
		m, err := a.customersMessage(id)
		if err != nil {
			return err
		}
		m.revoke(newMessageKey())
		w.touched(a, m)
		return nil
	})
}

// customerReacts shows a customer's reaction to a message; "" takes it back.
func (w *world) customerReacts(phone, id, from, emoji string) error {
	var f faults
	f.check("from", phoneFault(from))
	f.check("emoji", emojiFault(emoji))
	return w.with(phone, func(a *account) error {
		if err := f.err(); err != nil {
			return err
		}
		m, err := a.message("message", id)
		if err != nil {
			return err
		}
		sender := a.senderIn(m.Chat, from)
		if sender == "" {
			return platform.Invalid(platform.FieldError{Field: "from", Detail: "must be in the message's chat"})
		}
		if m.kind() == typeRevoked {
			return platform.Errorf(platform.ErrConflict, "This message was deleted.")
		}
		m.react(sender, false, emoji, w.now())
		w.touched(a, m)
		return nil
	})
}

// senderIn is the id that the customer with this number has in a chat; "" for
// one who is not in it.
func (a *account) senderIn(cid, from string) string {
	ids := []string{chatID(from), lidOf(from), from + "@lid"}
	if c := a.Chats[cid]; c != nil && c.Group != nil {
		for _, id := range ids {
			if c.Group.has(id) {
				return id
			}
		}
		return ""
	}
	if slices.Contains(ids, cid) {
		return cid
	}
	return ""
}

// customerTypes shows that a customer is typing, or has stopped.
func (w *world) customerTypes(phone, cid, from string, typing bool) error {
	return w.with(phone, func(a *account) error {
		var f faults
		f.check("chat", chatFault(cid))
		f.check("from", phoneFault(from))
		if err := f.err(); err != nil {
			return err
		}
		if _, ok := a.Chats[cid]; !ok {
			return errNoChat
		}
		sender := a.senderIn(cid, from)
		if sender == "" {
			return platform.Invalid(platform.FieldError{Field: "from", Detail: "must be in the chat"})
		}
		state := "available"
		if typing {
			state = "composing"
		}
		a.tell(serverFrame{Type: "presence", Chat: cid, Sender: sender, State: state})
		return nil
	})
}

// customerPlays says that a voice message or video of the account was played.
func (w *world) customerPlays(phone, id string) error {
	return w.with(phone, func(a *account) error {
		m, err := a.message("message", id)
		if err != nil {
			return err
		}
		if !m.FromMe || m.kind() != typeVoice && m.kind() != typeAudio && m.kind() != typeVideo {
			return platform.Invalid(platform.FieldError{Field: "message", Detail: "must be a voice message, audio or video of the account"})
		}
		if a.ack(m, ackPlayed, w.now()) {
			w.acked(a, m)
		}
		return nil
	})
}

// touched makes a changed message known. World.mu must be held.
func (w *world) touched(a *account, m *message) {
	a.touch(m, w.now())
	a.wake()
	w.save(a)
}
