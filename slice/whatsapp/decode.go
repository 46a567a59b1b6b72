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
	Type     string       `json:"type"`
	Snapshot *snapshot    `json:"snapshot"`
	Message  *pageMessage `json:"message"`
	Chat     *pageChat    `json:"chat"`
	IDs      []string     `json:"ids"`
	Ack      int          `json:"ack"`
	ChatID   string       `json:"chat_id"`
}

type pageChat struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Phone   string  `json:"phone"` // an id such as 4915112345678@c.us
	IsGroup bool    `json:"is_group"`
	Unread  float64 `json:"unread"`
}

type pageMessage struct {
	ID         string  `json:"id"`
	ChatID     string  `json:"chat_id"`
	FromMe     bool    `json:"from_me"`
	SenderID   string  `json:"sender_id"`
	SenderName string  `json:"sender_name"`
	Type       string  `json:"type"`
	Text       string  `json:"text"`
	Ack        float64 `json:"ack"`
	T          float64 `json:"t"` // Unix seconds
}

// messageTypes maps WhatsApp's types to ours. What is not here is no message
// of a person: notifications, protocol messages, calls.
var messageTypes = map[string]string{
	"chat":                  "text",
	"image":                 "image",
	"video":                 "video",
	"gif":                   "video",
	"ptv":                   "video",
	"audio":                 "audio",
	"ptt":                   "voice",
	"document":              "document",
	"sticker":               "sticker",
	"location":              "location",
	"vcard":                 "contact",
	"multi_vcard":           "contact",
	"poll_creation":         "poll",
	"list":                  "list",
	"list_response":         "text",
	"buttons_response":      "text",
	"interactive":           "interactive",
	"order":                 "order",
	"product":               "product",
	TypeCiphertext:          TypeCiphertext,
	"groups_v4_invite":      "invite",
	"event_creation":        "event",
	"template_button_reply": "text",
}

// maxMessageRunes is above WhatsApp's own limit; the page is not trusted with it.
const maxMessageRunes = 1 << 17

// chat checks what the page says of a chat; false for what is no chat here.
func (c pageChat) chat() (Chat, bool) {
	if !ValidChatID(c.ID) {
		return Chat{}, false
	}
	phone := phoneOf(c.ID)
	if phone == "" {
		phone = phoneOf(userID(c.Phone))
	}
	return Chat{
		ID:      c.ID,
		Name:    cleanName(c.Name),
		Phone:   phone,
		IsGroup: len(c.ID) > 5 && c.ID[len(c.ID)-5:] == "@g.us",
		Unread:  int(min(max(c.Unread, 0), maxUnread)),
	}, true
}

// maxUnread bounds a count that the page gives.
const maxUnread = 1_000_000

// message checks what the page says of a message; false for what is no message
// of a person.
func (m pageMessage) message() (Message, bool) {
	kind, ok := messageTypes[m.Type]
	if !ok || !ValidChatID(m.ChatID) || !validMessageID(m.ID) || m.T <= 0 || m.T > maxUnixSeconds {
		return Message{}, false
	}
	sender := userID(m.SenderID)
	if !ValidChatID(sender) {
		sender = ""
		if !m.FromMe {
			sender = m.ChatID
		}
	}
	text := cleanText(m.Text)
	if len(text) > maxMessageRunes {
		if r := []rune(text); len(r) > maxMessageRunes {
			text = string(r[:maxMessageRunes])
		}
	}
	return Message{
		ID:         m.ID,
		ChatID:     m.ChatID,
		FromMe:     m.FromMe,
		SenderID:   sender,
		SenderName: cleanName(m.SenderName),
		Type:       kind,
		Text:       text,
		Ack:        clampAck(m.Ack),
		SentAt:     time.Unix(int64(m.T), 0).UTC(),
	}, true
}

// maxUnixSeconds is in the year 5138: later times are nonsense.
const maxUnixSeconds = 100_000_000_000

func clampAck(ack float64) int { return int(min(max(ack, -1), 4)) }

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
	switch p.Type {
	case "snapshot":
		if p.Snapshot == nil {
			return nil, nil, fmt.Errorf("snapshot is missing")
		}
		return p.Snapshot, nil, nil
	case "message":
		if p.Message == nil || p.Chat == nil {
			return nil, nil, fmt.Errorf("message or chat is missing")
		}
		m, ok := p.Message.message()
		c, known := p.Chat.chat()
		if !ok || !known || c.ID != m.ChatID {
			return nil, nil, nil
		}
		return nil, MessageSeen{Chat: c, Message: m}, nil
	case "ack":
		ids := p.IDs[:0]
		for _, id := range p.IDs {
			if validMessageID(id) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil, nil, nil
		}
		return nil, AckChanged{IDs: ids, Ack: clampAck(float64(p.Ack))}, nil
	case "read":
		if !ValidChatID(p.ChatID) {
			return nil, nil, nil
		}
		return nil, ChatRead{ChatID: p.ChatID}, nil
	case "lost":
		return nil, EventsLost{}, nil
	}
	return nil, nil, fmt.Errorf("unknown type of payload")
}
