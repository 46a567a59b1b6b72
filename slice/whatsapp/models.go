package whatsapp

import (
	"mime"
	"path"
	"strings"
	"time"
	"unicode"
)

type pageChat struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Phone    string  `json:"phone"` // an id such as 4915112345678@c.us
	IsGroup  bool    `json:"is_group"`
	ReadOnly bool    `json:"read_only"`
	Unread   float64 `json:"unread"`
}

type pageMessage struct {
	ID         string     `json:"id"`
	ChatID     string     `json:"chat_id"`
	FromMe     bool       `json:"from_me"`
	SenderID   string     `json:"sender_id"`
	SenderName string     `json:"sender_name"`
	Type       string     `json:"type"`
	Text       string     `json:"text"`
	Ack        float64    `json:"ack"`
	T          float64    `json:"t"` // Unix seconds
	Quoted     string     `json:"quoted"`
	Edited     bool       `json:"edited"`
	Media      *pageMedia `json:"media"`
}

type pageMedia struct {
	MIMEType string  `json:"mime_type"`
	Name     string  `json:"name"`
	Size     float64 `json:"size"`
	Width    float64 `json:"width"`
	Height   float64 `json:"height"`
	Seconds  float64 `json:"seconds"`
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
	typeRevoked:             "text",
	"groups_v4_invite":      "invite",
	"event_creation":        "event",
	"template_button_reply": "text",
}

// typeRevoked is the type of a message that was deleted for everyone. What it
// was before is not known any more.
const typeRevoked = "revoked"

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
		ID:       c.ID,
		Name:     cleanName(c.Name),
		Phone:    phone,
		IsGroup:  isGroup(c.ID),
		ReadOnly: c.ReadOnly && isGroup(c.ID),
		Unread:   int(min(max(c.Unread, 0), maxUnread)),
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
	message := Message{
		ID:         m.ID,
		ChatID:     m.ChatID,
		FromMe:     m.FromMe,
		SenderID:   sender,
		SenderName: cleanName(m.SenderName),
		Type:       kind,
		Text:       messageText(m.Text),
		Ack:        clampAck(m.Ack),
		SentAt:     time.Unix(int64(m.T), 0).UTC(),
		Edited:     m.Edited,
	}
	if validMessageID(m.Quoted) {
		message.QuotedID = m.Quoted
	}
	if m.Media != nil {
		media := m.Media.media()
		message.Media = &media
	}
	if m.Type == typeRevoked {
		message.Text, message.Media, message.Deleted = "", nil, true
	}
	return message, true
}

func messageText(s string) string {
	s = cleanText(s)
	if len(s) > maxMessageRunes {
		if r := []rune(s); len(r) > maxMessageRunes {
			s = string(r[:maxMessageRunes])
		}
	}
	return s
}

const (
	maxMediaSize    = 1 << 40 // bytes, pixels and seconds beyond are nonsense
	maxMediaPixels  = 1 << 20
	maxMediaSeconds = 1 << 20
)

func (m pageMedia) media() Media {
	return Media{
		MIMEType: mimeType(m.MIMEType),
		Name:     fileName(m.Name),
		Size:     int64(min(max(m.Size, 0), maxMediaSize)),
		Width:    int(min(max(m.Width, 0), maxMediaPixels)),
		Height:   int(min(max(m.Height, 0), maxMediaPixels)),
		Seconds:  int(min(max(m.Seconds, 0), maxMediaSeconds)),
	}
}

// mimeType returns s without parameters, and "" when it is no MIME type.
func mimeType(s string) string {
	base, _, err := mime.ParseMediaType(s)
	if err != nil || len(base) > maxMIMEType || !strings.Contains(base, "/") {
		return ""
	}
	return base
}

// maxMIMEType is what RFC 6838 allows: 127 characters on each side.
const maxMIMEType = 255

// fileName returns a name from outside without folders and control characters.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, cleanText(s))
	s = cleanName(path.Base("/" + s))
	if s == "/" || s == "." || s == ".." {
		return ""
	}
	return s
}

type pageProfile struct {
	ID         string `json:"id"`
	Phone      string `json:"phone"` // an id such as 4915112345678@c.us
	Name       string `json:"name"`
	PushName   string `json:"push_name"`
	IsBusiness bool   `json:"is_business"`
}

func (p pageProfile) profile() Profile {
	return Profile{
		ID:         p.ID,
		Phone:      phoneOf(userID(p.Phone)),
		Name:       cleanName(p.Name),
		PushName:   cleanName(p.PushName),
		IsBusiness: p.IsBusiness,
	}
}

// maxUnixSeconds is in the year 5138: later times are nonsense.
const maxUnixSeconds = 100_000_000_000

func clampAck(ack float64) int { return int(min(max(ack, -1), 4)) }
