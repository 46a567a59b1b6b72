package whatsapp

import "time"

// State is where the WhatsApp session stands, as a user sees it.
type State string

const (
	StateStarting        State = "starting"         // browser or page are not ready
	StateQR              State = "qr"               // a QR code waits to be scanned
	StatePairingCode     State = "pairing_code"     // a code waits to be typed on the phone
	StatePasskeyRequired State = "passkey_required" // WhatsApp wants a passkey before it links
	StateSyncing         State = "syncing"          // linked, history is being loaded
	StateReady           State = "ready"            // linked, sends and receives
	StateOffline         State = "offline"          // linked, no connection to WhatsApp
	StateConflict        State = "conflict"         // the session is open somewhere else
	StateLoggedOut       State = "logged_out"       // the link was ended; a new QR code follows
	StateFailed          State = "failed"           // Reason says why
)

// States are all of them.
var States = []State{
	StateStarting, StateQR, StatePairingCode, StatePasskeyRequired, StateSyncing,
	StateReady, StateOffline, StateConflict, StateLoggedOut, StateFailed,
}

// Linked reports whether a phone is linked in this state.
func (s State) Linked() bool {
	switch s {
	case StateSyncing, StateReady, StateOffline, StateConflict:
		return true
	}
	return false
}

// Status is the state of the session with what belongs to it.
type Status struct {
	State       State        `json:"state"`
	QR          *QR          `json:"qr"`           // only in StateQR
	PairingCode *PairingCode `json:"pairing_code"` // only in StatePairingCode
	Passkey     *Passkey     `json:"passkey"`      // only in StatePasskeyRequired
	Account     *Account     `json:"account"`      // only when linked
	Reason      string       `json:"reason"`       // for a person; why failed, offline, conflict
	Since       time.Time    `json:"since"`        // when the state was entered
}

// QR is the code that links a phone.
type QR struct {
	Text      string    `json:"text"`
	Image     string    `json:"image"` // a PNG as data URI
	ExpiresAt time.Time `json:"expires_at"`
}

// PairingCode is typed on the phone to link it.
type PairingCode struct {
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"` // another one follows, five times
}

// Passkey is what WhatsApp asks of a passkey (WebAuthn's request options).
// Binary values are base64url.
type Passkey struct {
	RPID             string    `json:"rp_id"`
	Challenge        string    `json:"challenge"`
	AllowCredentials []string  `json:"allow_credentials"`
	UserVerification string    `json:"user_verification"`
	ExpiresAt        time.Time `json:"expires_at"`
}

// Account is the linked WhatsApp account.
type Account struct {
	ID    string `json:"id"`    // 4915112345678@c.us
	Phone string `json:"phone"` // +4915112345678; "" when WhatsApp does not say
	Name  string `json:"name"`
}

// Chat is a conversation as WhatsApp lists it.
type Chat struct {
	ID       string
	Name     string
	Phone    string // "" for groups and contacts known by LID only
	IsGroup  bool
	ReadOnly bool // a group that was left, or where only admins write
	Unread   int
}

// TypeCiphertext is the type of a message that is not decrypted yet; the same
// message follows again with its text.
const TypeCiphertext = "ciphertext"

// Message is one message of a chat.
type Message struct {
	ID         string // WhatsApp's id
	ChatID     string
	FromMe     bool
	SenderID   string
	SenderName string
	Type       string // "text", "image", …; see messageTypes
	Text       string
	Ack        int // -1 failed, 0 pending, 1 sent, 2 delivered, 3 read, 4 played
	SentAt     time.Time
	QuotedID   string // the message that this one answers; "" without
	Media      *Media // nil for what has no file
	Edited     bool   // Text is not what was sent first
	Deleted    bool   // for everyone; there is no content any more
}

// Media describes the file of a message; the file itself is fetched on demand.
type Media struct {
	MIMEType string `json:"mime_type"` // as the sender says; the file itself is checked when it is served
	Name     string `json:"name"`      // of a document; ""
	Size     int64  `json:"size"`      // bytes; 0 when unknown
	Width    int    `json:"width"`     // pixels; 0 when unknown
	Height   int    `json:"height"`
	Seconds  int    `json:"seconds"` // of audio and video; 0 when unknown
}

// Outgoing is a message to be sent.
type Outgoing struct {
	ID       string // the id that it is to have, from NewMessageID: known before it is sent
	ChatID   string
	Type     string // "text", "image", "video", "audio", "voice", "document", "sticker"
	Text     string // the text, or a file's caption
	QuotedID string // WhatsApp id of the message that is answered; "" without
	File     *File  // nil for a text
}

// File is a file with its content.
type File struct {
	Name     string
	MIMEType string
	Data     []byte
}

// Profile is what WhatsApp knows of a person.
type Profile struct {
	ID         string
	Phone      string // "" when known by LID only
	Name       string // as the phone's address book or the business itself has it
	PushName   string // as the person calls themselves
	IsBusiness bool
}

// Sent is WhatsApp's answer to a message that was handed over.
type Sent struct {
	ID  string
	Ack int
}

// Event is something that happened in WhatsApp: one of the types below.
type Event interface{ event() }

// StatusChanged carries the new status.
type StatusChanged struct{ Status Status }

// MessageSeen is a message, incoming or outgoing, possibly seen before.
type MessageSeen struct {
	Chat    Chat
	Message Message
}

// AckChanged says how far messages got.
type AckChanged struct {
	IDs []string
	Ack int
}

// ChatRead says that a chat was read on the phone.
type ChatRead struct{ ChatID string }

// MessageEdited says that a message has another text now.
type MessageEdited struct {
	ID, Text string
}

// MessageRevoked says that a message was deleted for everyone.
type MessageRevoked struct{ ID string }

// ReactionSeen says how somebody reacts to a message now.
type ReactionSeen struct {
	MessageID string
	SenderID  string
	Emoji     string // "" when the reaction was taken back
	At        time.Time
}

// TypingSeen says that somebody writes in a chat, or stopped.
type TypingSeen struct {
	ChatID, SenderID string
	Typing           bool
}

// EventsLost says that events were dropped or may have been missed: what is
// known must be compared with WhatsApp.
type EventsLost struct{}

func (StatusChanged) event()  {}
func (MessageSeen) event()    {}
func (AckChanged) event()     {}
func (ChatRead) event()       {}
func (MessageEdited) event()  {}
func (MessageRevoked) event() {}
func (ReactionSeen) event()   {}
func (TypingSeen) event()     {}
func (EventsLost) event()     {}
