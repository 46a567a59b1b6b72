package whatsappsim

import (
	"fmt"
	"slices"
	"time"
)

// editableFor is how long a message can be edited, revocableFor how long it
// can be deleted for everyone, as in WhatsApp.
const (
	editableFor  = 15 * time.Minute
	revocableFor = 60 * time.Hour
)

// request does what a linked device asks for. A request can be repeated: after
// a lost connection the device cannot know whether it was done. An error is
// one of the protocol and ends the connection. A result without a type comes
// later.
func (w *world) request(s *session, f deviceFrame) (serverFrame, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, out := s.account, serverFrame{Type: "result", N: f.N}
	if a.Devices[s.device] == nil {
		out.Error = "logged_out"
		return out, nil
	}
	switch f.Type {
	case "send":
		w.deviceSends(s, f, &out)
	case "edit", "revoke", "react":
		w.deviceChanges(a, f, &out)
	case "read":
		if c, ok := a.Chats[f.Chat]; ok {
			w.setUnread(a, c, 0)
			w.raise(a, c.ID, false, ackRead)
		}
	case "unread":
		if c, ok := a.Chats[f.Chat]; ok && c.Unread == 0 {
			w.setUnread(a, c, -1)
		}
	case "presence":
		if c, ok := a.Chats[f.Chat]; ok {
			now := w.now()
			c.composing = time.Time{}
			if f.State == "composing" || f.State == "recording" {
				c.composing = now.Add(composingFor)
			}
			a.touchChat(c, now)
			a.wake()
		}
	case "exists":
		exists := chatFault(f.Chat) == "" && !isGroup(f.Chat)
		out.Exists = &exists
		if k := a.Contacts[f.Chat]; k != nil {
			copied := *k
			out.Contact = &copied
		} else if phone, ok := cutPhone(f.Chat); ok && exists {
			out.Contact = &contact{ID: f.Chat, Phone: phone, LID: lidOf(phone)}
		}
	case "logout":
		w.unlink(a, s.device)
	default:
		return out, fmt.Errorf("%w: unknown request %q", errProtocol, f.Type)
	}
	return out, nil
}

// deviceSends stores what a device sends and acknowledges it as sent.
func (w *world) deviceSends(s *session, f deviceFrame, out *serverFrame) {
	a := s.account
	id := messageID(true, f.Chat, f.Key, a.lid())
	m, ok := a.byID[id]
	if !ok {
		if out.Error = a.sendFault(f); out.Error != "" {
			return
		}
		fault := take(&a.SendFaults)
		if fault == FaultSendFailure {
			out.Error = "refused"
			w.save(a)
			return
		}
		c, err := a.chat(f.Chat)
		if err != nil {
			out.Error = "too_many_chats"
			return
		}
		now := w.now()
		m = &message{ID: id, Chat: c.ID, FromMe: true, Type: f.Kind, Text: f.Text, Media: f.Media, Quoted: f.Quoted, Ack: ackSent, Fault: fault}
		if m.Type == typeText {
			m.Type = ""
		}
		if c.Group != nil {
			m.Author = a.lid()
		} else if phone, ok := cutPhone(c.ID); ok && a.Contacts[c.ID] == nil {
			a.touchContact(a.meet(c.ID, phone), now)
		}
		if fault == FaultDelayedAck {
			m.Ack = ackPending
			w.later(w.ackDelay, func() { w.acknowledge(a, m) })
		}
		a.add(m, now)
		c.Time, c.composing = m.Time, time.Time{}
		a.touchChat(c, now)
		a.wake()
		w.save(a)
		if m.Ack == ackSent {
			w.sent(a.Phone, m.ID)
		}
	}
	if m.Ack == ackPending {
		m.waiting = append(m.waiting, waiter{s, f.N})
		out.Type = ""
		return
	}
	copied := *m
	out.Message = &copied
}

// sendFault names what is wrong with a message that a device wants to send.
func (a *account) sendFault(f deviceFrame) string {
	text := f.Kind == "" || f.Kind == typeText
	group := isGroup(f.Chat)
	switch {
	case chatFault(f.Chat) != "" || f.Chat == chatID(a.Phone), group && (a.Chats[f.Chat] == nil || a.Chats[f.Chat].Group == nil):
		return "invalid_chat"
	case !keyPattern.MatchString(f.Key):
		return "invalid_key"
	case !text && !slices.Contains(fileTypes, f.Kind):
		return "invalid_type"
	case text && f.Media != nil, !text && (f.Media == nil || !a.files[f.Media.Hash] || mediaFault(*f.Media) != ""):
		return "invalid_file"
	case (text || f.Text != "") && textFault(f.Text) != "":
		return "invalid_text"
	case f.Quoted != "" && a.byID[f.Quoted] == nil:
		return "invalid_quote"
	}
	return ""
}

// acknowledge ends a delayed ack.
func (w *world) acknowledge(a *account, m *message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !a.ack(m, ackSent, w.now()) {
		return
	}
	for _, waiting := range m.waiting {
		copied := *m
		waiting.session.tell(serverFrame{Type: "result", N: waiting.n, Message: &copied})
	}
	m.waiting = nil
	a.wake()
	w.save(a)
	w.sent(a.Phone, m.ID)
}

// deviceChanges edits, takes back or reacts to a message.
func (w *world) deviceChanges(a *account, f deviceFrame, out *serverFrame) {
	m, ok := a.byID[f.ID]
	now := w.now()
	age := now.Sub(time.Unix(cmpTime(m), 0))
	switch {
	case !ok:
		out.Error = "no_such_message"
	case f.Type != "react" && !m.FromMe, m.kind() == typeRevoked && f.Type != "revoke":
		out.Error = "not_allowed"
	case f.Type != "react" && !keyPattern.MatchString(f.Key):
		out.Error = "invalid_key"
	case f.Type == "edit" && age > editableFor, f.Type == "revoke" && age > revocableFor:
		out.Error = "too_late"
	case f.Type == "edit" && textFault(f.Text) != "":
		out.Error = "invalid_text"
	case f.Type == "react" && emojiFault(f.Text) != "":
		out.Error = "invalid_reaction"
	}
	if out.Error != "" {
		return
	}
	switch {
	case f.Type == "edit" && m.EditKey != f.Key:
		m.edit(f.Text, f.Key, now)
		w.touched(a, m)
	case f.Type == "revoke" && m.kind() != typeRevoked:
		m.revoke(f.Key)
		w.touched(a, m)
	case f.Type == "react":
		m.react(a.lid(), true, f.Text, now)
		w.touched(a, m)
	}
	copied := *m
	out.Message = &copied
}

func cmpTime(m *message) int64 {
	if m == nil {
		return 0
	}
	return m.Time
}

// setUnread needs World.mu.
func (w *world) setUnread(a *account, c *chat, n int) {
	if c.Unread == n {
		return
	}
	c.Unread = n
	a.touchChat(c, w.now())
	a.wake()
	w.save(a)
}
