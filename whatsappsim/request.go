package whatsappsim

import (
	"fmt"
	"time"
)

// request does what a linked device asks for. A request can be repeated: after
// a lost connection the device cannot know whether it was done. An error is
// one of the protocol and ends the connection.
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
		w.deviceSends(a, f, &out)
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
			if f.State == "composing" {
				c.composing = now.Add(composingFor)
			}
			c.Seq = a.nextSeq(now)
			a.wake()
		}
	case "exists":
		exists := chatFault(f.Chat) == ""
		out.Exists = &exists
	case "logout":
		w.unlink(a, s.device)
	default:
		return out, fmt.Errorf("%w: unknown request %q", errProtocol, f.Type)
	}
	return out, nil
}

// deviceSends stores what a device sends and acknowledges it as sent.
func (w *world) deviceSends(a *account, f deviceFrame, out *serverFrame) {
	id := messageID(true, f.Chat, f.Key)
	m, ok := a.byID[id]
	if !ok {
		switch {
		case chatFault(f.Chat) != "" || f.Chat == chatID(a.Phone):
			out.Error = "invalid_chat"
		case !keyPattern.MatchString(f.Key):
			out.Error = "invalid_key"
		case textFault(f.Text) != "":
			out.Error = "invalid_text"
		}
		if out.Error != "" {
			return
		}
		c, err := a.chat(f.Chat)
		if err != nil {
			out.Error = "too_many_chats"
			return
		}
		now := w.now()
		m = &message{ID: id, Chat: c.ID, FromMe: true, Text: f.Text, Ack: ackSent}
		a.add(m, now)
		c.Time, c.composing = m.Time, time.Time{}
		c.Seq = a.nextSeq(now)
		a.wake()
		w.changed()
		w.sent(a.Phone, m.ID)
	}
	copied := *m
	out.Message = &copied
}

// setUnread needs World.mu.
func (w *world) setUnread(a *account, c *chat, n int) {
	if c.Unread == n {
		return
	}
	c.Unread = n
	c.Seq = a.nextSeq(w.now())
	a.wake()
	w.changed()
}
