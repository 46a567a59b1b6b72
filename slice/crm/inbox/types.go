package inbox

import (
	"time"

	"ipnoelp.io/platform/slice/whatsapp"
)

// Chat is a conversation as clients see it.
type Chat struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Phone         *string    `json:"phone"`
	IsGroup       bool       `json:"is_group"`
	ContactID     *string    `json:"contact_id"` // nil for groups
	Unread        int        `json:"unread"`
	Status        string     `json:"status"`
	SnoozedUntil  *time.Time `json:"snoozed_until"`
	Labels        []Label    `json:"labels"`
	LastMessage   *Message   `json:"last_message"`
	LastMessageAt *time.Time `json:"last_message_at"`
	WaitingSince  *time.Time `json:"waiting_since"` // of the latest incoming message, when nothing was sent after it
}

// Label is a label on a chat.
type Label struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Color string `json:"color"`
}

// Statuses of a conversation.
const (
	StatusOpen    = "open"
	StatusPending = "pending" // waits for the customer
	StatusClosed  = "closed"
	StatusSnoozed = "snoozed" // open again at a time, or when the customer writes
)

// Message is one message as clients see it. Its ID is the slice's own and never
// changes; WhatsApp's id is not shown.
type Message struct {
	ID         string     `json:"id"`
	ChatID     string     `json:"chat_id"`
	Direction  string     `json:"direction"`
	SenderID   string     `json:"sender_id"`
	SenderName string     `json:"sender_name"`
	Type       string     `json:"type"`
	Text       string     `json:"text"`
	Media      *Media     `json:"media"`
	Quoted     *Quote     `json:"quoted"`
	Reactions  []Reaction `json:"reactions"`
	Ack        string     `json:"ack"`
	Failure    string     `json:"failure"` // why it was not sent; ""
	Source     string     `json:"source"`  // SourceUser for incoming ones, too
	ClientID   *string    `json:"client_id"`
	SentAt     time.Time  `json:"sent_at"`
	EditedAt   *time.Time `json:"edited_at"`
	DeletedAt  *time.Time `json:"deleted_at"`
}

// Media describes a message's file.
type Media struct {
	whatsapp.Media
	FileID *string `json:"file_id"` // nil until the file is here
}

// Quote is the message that another one answers.
type Quote struct {
	ID         string `json:"id"`
	Direction  string `json:"direction"`
	SenderName string `json:"sender_name"`
	Type       string `json:"type"`
	Text       string `json:"text"` // the beginning
}

// Reaction is somebody's reaction to a message.
type Reaction struct {
	SenderID string `json:"sender_id"`
	Emoji    string `json:"emoji"`
}

// Directions of a message.
const (
	In  = "in"
	Out = "out"
)

// Ack is the event that says how far a message got.
type Ack struct {
	ID      string `json:"id"`
	ChatID  string `json:"chat_id"`
	Ack     string `json:"ack"`
	Failure string `json:"failure"`
}

// ackNames in the order of WhatsApp's numbers, which begin at -1.
var ackNames = [...]string{"failed", "pending", "sent", "delivered", "read", "played"}

const (
	ackFailed  = -1
	ackPending = 0
	ackSent    = 1
)

func ackName(ack int) string { return ackNames[min(max(ack, ackFailed), len(ackNames)-2)+1] }

// ChatPage is one page of the list of chats.
type ChatPage struct {
	Chats      []Chat  `json:"chats"`
	NextCursor *string `json:"next_cursor"`
}

// MessagePage is one page of a chat, oldest message first.
type MessagePage struct {
	Messages   []Message `json:"messages"`
	NextCursor *string   `json:"next_cursor"`
}

// Typing is the event that says that somebody writes, or stopped.
type Typing struct {
	ChatID   string `json:"chat_id"`
	SenderID string `json:"sender_id"`
	Typing   bool   `json:"typing"`
}

// Names of the events.
const (
	EventState    = "whatsapp:state"   // whatsapp.Status
	EventMessage  = "message:new"      // Message
	EventChanged  = "message:updated"  // Message: edited, deleted, or with its text at last
	EventReaction = "message:reaction" // Message
	EventAck      = "message:ack"      // Ack
	EventChat     = "chat:updated"     // Chat
	EventTyping   = "chat:typing"      // Typing
)
