package whatsappsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// Acks as WhatsApp counts them.
const (
	ackPending   = 0
	ackSent      = 1
	ackDelivered = 2
	ackRead      = 3
	ackPlayed    = 4
)

// Types of messages, as WhatsApp names them.
const (
	typeText     = "chat"
	typeImage    = "image"
	typeVideo    = "video"
	typeAudio    = "audio"
	typeVoice    = "ptt" // "push to talk": a recorded voice message
	typeDocument = "document"
	typeSticker  = "sticker"
	typeRevoked  = "revoked"
)

var fileTypes = []string{typeImage, typeVideo, typeAudio, typeVoice, typeDocument, typeSticker}

type message struct {
	ID         string     `json:"id"` // "true_4917012345@c.us_3EB0…": from me, chat, key; in groups the author follows
	Chat       string     `json:"chat"`
	FromMe     bool       `json:"from_me"`
	Type       string     `json:"type,omitempty"` // "" is typeText
	Author     string     `json:"author,omitempty"`
	AuthorName string     `json:"author_name,omitempty"`
	Text       string     `json:"text"` // or a file's caption
	Media      *media     `json:"media,omitempty"`
	Quoted     string     `json:"quoted,omitempty"` // id of the message that this one answers
	EditKey    string     `json:"edit_key,omitempty"`
	EditedAt   int64      `json:"edited_at,omitempty"` // Unix milliseconds
	RevokeKey  string     `json:"revoke_key,omitempty"`
	Reactions  []reaction `json:"reactions,omitempty"` // replaced, never changed in place
	Ack        int        `json:"ack"`
	Time       int64      `json:"t"`                 // Unix seconds
	Order      int64      `json:"order"`             // the sequence number that it was written under
	Seq        int64      `json:"seq"`               // of its latest change
	Fault      string     `json:"fault,omitempty"`   // how devices are to treat its arrival
	History    bool       `json:"history,omitempty"` // from before: devices do not announce it

	waiting []waiter // devices that wait for a delayed ack
}

// media describes a message's file. It is not changed once it is made.
type media struct {
	Hash     string `json:"hash"` // of the content, which the file store keeps
	MIMEType string `json:"mimetype"`
	Name     string `json:"filename,omitempty"`
	Size     int64  `json:"size"`
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
	Seconds  int    `json:"seconds,omitempty"`
	GIF      bool   `json:"gif,omitempty"`
	ViewOnce bool   `json:"view_once,omitempty"`
}

type reaction struct {
	Sender string `json:"sender"`
	FromMe bool   `json:"from_me,omitempty"`
	Text   string `json:"text"` // "" was taken back
	Time   int64  `json:"t"`    // Unix milliseconds
	Key    string `json:"key"`
}

// waiter is a request that is answered later.
type waiter struct {
	session *session
	n       int64
}

func (m *message) kind() string {
	if m.Type == "" {
		return typeText
	}
	return m.Type
}

// react sets what sender thinks of the message; "" takes it back.
func (m *message) react(sender string, fromMe bool, text string, now time.Time) {
	all := make([]reaction, 0, len(m.Reactions)+1)
	for _, r := range m.Reactions {
		if r.Sender != sender {
			all = append(all, r)
		}
	}
	m.Reactions = append(all, reaction{Sender: sender, FromMe: fromMe, Text: text, Time: now.UnixMilli(), Key: newMessageKey()})
}

func (m *message) edit(text, key string, now time.Time) {
	m.Text, m.EditKey, m.EditedAt = text, key, now.UnixMilli()
}

// revoke leaves only that there was a message.
func (m *message) revoke(key string) {
	m.Type, m.Text, m.Media, m.Quoted, m.Reactions, m.RevokeKey = typeRevoked, "", nil, "", nil, key
}

func chatID(phone string) string { return phone + "@c.us" }

func isGroup(chat string) bool { return strings.HasSuffix(chat, "@g.us") }

// messageID is the serialized key of a message; only groups need the author.
func messageID(fromMe bool, chat, key, author string) string {
	id := "false_"
	if fromMe {
		id = "true_"
	}
	id += chat + "_" + key
	if isGroup(chat) {
		id += "_" + author
	}
	return id
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
