package inbox

import "time"

// Chat is a conversation as clients see it.
type Chat struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Phone         *string    `json:"phone"`
	IsGroup       bool       `json:"is_group"`
	Unread        int        `json:"unread"`
	LastMessage   *Message   `json:"last_message"`
	LastMessageAt *time.Time `json:"last_message_at"`
}

// Message is one message as clients see it. Its ID is the slice's own and never
// changes; WhatsApp's id is not shown.
type Message struct {
	ID         string    `json:"id"`
	ChatID     string    `json:"chat_id"`
	Direction  string    `json:"direction"`
	SenderID   string    `json:"sender_id"`
	SenderName string    `json:"sender_name"`
	Type       string    `json:"type"`
	Text       string    `json:"text"`
	Ack        string    `json:"ack"`
	ClientID   *string   `json:"client_id"`
	SentAt     time.Time `json:"sent_at"`
}

// Directions of a message.
const (
	In  = "in"
	Out = "out"
)

// Ack is the event that says how far a message got.
type Ack struct {
	ID     string `json:"id"`
	ChatID string `json:"chat_id"`
	Ack    string `json:"ack"`
}

// ackNames in the order of WhatsApp's numbers, which begin at -1.
var ackNames = [...]string{"failed", "pending", "sent", "delivered", "read", "played"}

const (
	ackFailed  = -1
	ackPending = 0
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

// Names of the events that a Publisher is given.
const (
	EventState   = "whatsapp:state" // whatsapp.Status
	EventMessage = "message:new"    // Message
	EventAck     = "message:ack"    // Ack
	EventChat    = "chat:updated"   // Chat
)
