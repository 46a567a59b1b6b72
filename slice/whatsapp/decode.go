package whatsapp

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxPayloadBytes bounds one call from the page. A message of WhatsApp's own
// limit of 65,536 characters fits several times.
const maxPayloadBytes = 1 << 20

// payload is one call of the page's binding.
type payload struct {
	Type      string       `json:"type"`
	Snapshot  *snapshot    `json:"snapshot"`
	Message   *pageMessage `json:"message"`
	Chat      *pageChat    `json:"chat"`
	IDs       []string     `json:"ids"`
	Ack       int          `json:"ack"`
	ChatID    string       `json:"chat_id"`
	MessageID string       `json:"message_id"`
	SenderID  string       `json:"sender_id"`
	Text      string       `json:"text"`
	T         float64      `json:"t"` // Unix seconds
	Typing    bool         `json:"typing"`
}

// decode checks a call of the binding. It returns a snapshot or an event, or
// neither for what is of no interest.
func decode(raw string) (*snapshot, Event, error) {
	if len(raw) > maxPayloadBytes {
		return nil, nil, fmt.Errorf("payload of %d bytes", len(raw))
	}
	var p payload
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		return nil, nil, fmt.Errorf("payload is not what the agent sends: %w", err)
	}
	if p.Type == "snapshot" {
		if p.Snapshot == nil {
			return nil, nil, fmt.Errorf("snapshot is missing")
		}
		return p.Snapshot, nil, nil
	}
	ev, err := p.event()
	return nil, ev, err
}

// event returns what is told, nil for what is of no interest.
func (p payload) event() (Event, error) {
	switch p.Type {
	case "message":
		if p.Message == nil || p.Chat == nil {
			return nil, fmt.Errorf("message or chat is missing")
		}
		m, ok := p.Message.message()
		c, known := p.Chat.chat()
		if !ok || !known || c.ID != m.ChatID {
			return nil, nil
		}
		return MessageSeen{Chat: c, Message: m}, nil
	case "ack":
		ids := p.IDs[:0]
		for _, id := range p.IDs {
			if validMessageID(id) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil, nil
		}
		return AckChanged{IDs: ids, Ack: clampAck(float64(p.Ack))}, nil
	case "read":
		if !ValidChatID(p.ChatID) {
			return nil, nil
		}
		return ChatRead{ChatID: p.ChatID}, nil
	case "edited":
		if !validMessageID(p.MessageID) {
			return nil, nil
		}
		return MessageEdited{ID: p.MessageID, Text: messageText(p.Text)}, nil
	case "revoked":
		if !validMessageID(p.MessageID) {
			return nil, nil
		}
		return MessageRevoked{ID: p.MessageID}, nil
	case "reaction":
		sender := userID(p.SenderID)
		if !validMessageID(p.MessageID) || !ValidChatID(sender) || p.T <= 0 || p.T > maxUnixSeconds {
			return nil, nil
		}
		return ReactionSeen{MessageID: p.MessageID, SenderID: sender, Emoji: emoji(p.Text), At: pageTime(p.T * 1000)}, nil
	case "typing":
		sender := userID(p.SenderID)
		if !ValidChatID(p.ChatID) || !ValidChatID(sender) {
			return nil, nil
		}
		return TypingSeen{ChatID: p.ChatID, SenderID: sender, Typing: p.Typing}, nil
	case "lost":
		return EventsLost{}, nil
	}
	return nil, fmt.Errorf("unknown type of payload")
}

// maxEmojiRunes is above what the longest emoji has, a family of four with skin
// tones.
const maxEmojiRunes = 32

// emoji shortens what is said to be one.
func emoji(s string) string {
	s = cleanName(s)
	if r := []rune(s); len(r) > maxEmojiRunes {
		s = string(r[:maxEmojiRunes])
	}
	return s
}

// pageTime returns a time of the page in Unix milliseconds, one that JSON can say.
func pageTime(ms float64) time.Time {
	return time.UnixMilli(int64(min(max(ms, 0), maxUnixSeconds*1000))).UTC()
}
