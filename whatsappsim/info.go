package whatsappsim

import "ipnoelp.io/platform"

// MessageInfo is a message as the control API shows it.
type MessageInfo struct {
	ID        string         `json:"id"`
	ChatID    string         `json:"chat_id"`
	FromMe    bool           `json:"from_me"`
	Text      string         `json:"text"` // or a file's caption
	Ack       int            `json:"ack"`
	Timestamp int64          `json:"timestamp"`        // Unix seconds
	Type      string         `json:"type"`             // "chat", "image", "ptt", "revoked", …
	Author    string         `json:"author,omitempty"` // in a group
	QuotedID  string         `json:"quoted_id,omitempty"`
	Edited    bool           `json:"edited,omitempty"`
	File      *FileInfo      `json:"file,omitempty"`
	Reactions []ReactionInfo `json:"reactions,omitempty"`
}

// FileInfo describes the file of a message.
type FileInfo struct {
	MIMEType string `json:"mime_type"`
	Name     string `json:"name,omitempty"`
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"` // hex
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
	Seconds  int    `json:"seconds,omitempty"`
}

// ReactionInfo is what somebody thinks of a message.
type ReactionInfo struct {
	Sender string `json:"sender"`
	FromMe bool   `json:"from_me"`
	Emoji  string `json:"emoji"`
}

func (m *message) info() MessageInfo {
	info := MessageInfo{ID: m.ID, ChatID: m.Chat, FromMe: m.FromMe, Text: m.Text, Ack: m.Ack, Timestamp: m.Time,
		Type: m.kind(), Author: m.Author, QuotedID: m.Quoted, Edited: m.EditKey != ""}
	if f := m.Media; f != nil {
		info.File = &FileInfo{f.MIMEType, f.Name, f.Size, f.Hash, f.Width, f.Height, f.Seconds}
	}
	for _, r := range m.Reactions {
		if r.Text != "" {
			info.Reactions = append(info.Reactions, ReactionInfo{r.Sender, r.FromMe, r.Text})
		}
	}
	return info
}

// messages returns a chat's messages in order; of all chats when chat is "".
func (w *world) messages(phone, chat string) (ms []MessageInfo, err error) {
	ms = []MessageInfo{}
	err = w.with(phone, func(a *account) error {
		if chat != "" {
			if d := chatFault(chat); d != "" {
				return platform.Invalid(platform.FieldError{Field: "chat", Detail: d})
			}
		}
		for _, m := range a.Messages {
			if chat == "" || m.Chat == chat {
				ms = append(ms, m.info())
			}
		}
		return nil
	})
	return ms, err
}
