package whatsapp

import (
	"context"
	"fmt"
	"strings"
)

// outgoing is a message as the agent takes it.
type outgoing struct {
	ID       string `json:"id"`
	ChatID   string `json:"chat_id"`
	Type     string `json:"type"`
	Text     string `json:"text"`
	Quoted   string `json:"quoted"`
	Name     string `json:"name"`
	MIMEType string `json:"mime_type"`
}

// fileTypes are the types of messages with a file, and how the MIME type of
// their file begins.
var fileTypes = map[string]string{
	"image": "image/", "video": "video/", "audio": "audio/", "voice": "audio/", "sticker": "image/", "document": "",
}

// newOutgoing checks a message that is to be sent.
func newOutgoing(o Outgoing) (outgoing, error) {
	m := outgoing{ID: o.ID, ChatID: o.ChatID, Type: o.Type, Text: o.Text, Quoted: o.QuotedID}
	prefix, withFile := fileTypes[o.Type]
	switch {
	case o.Type == "text" && o.File == nil:
		return m, nil
	case !withFile || o.File == nil:
		return m, fmt.Errorf("%w: a message of type %.20q, with a file: %t", ErrRefused, o.Type, o.File != nil)
	case len(o.File.Data) == 0:
		return m, fmt.Errorf("%w: the file is empty", ErrRefused)
	case len(o.File.Data) > MaxFileBytes:
		return m, fmt.Errorf("%w: a file of %d bytes", ErrRefused, len(o.File.Data))
	}
	// Parameters stay: a voice message is audio/ogg; codecs=opus.
	m.MIMEType, m.Name = o.File.MIMEType, fileName(o.File.Name)
	if mimeType(m.MIMEType) == "" {
		m.MIMEType = "application/octet-stream"
	}
	if !strings.HasPrefix(m.MIMEType, prefix) {
		return m, fmt.Errorf("%w: a file of type %.60q as %s", ErrRefused, m.MIMEType, o.Type)
	}
	if m.Name == "" {
		m.Name = o.Type
	}
	return m, nil
}

// NewMessageID returns an id for a message that is to be sent to a chat. Who
// knows it beforehand can look afterwards whether the message was sent.
func (e *Engine) NewMessageID(ctx context.Context, chatID string) (string, error) {
	b, err := e.ready()
	if err != nil {
		return "", err
	}
	var id string
	if err := b.call(ctx, evalTimeout, &id, "newMessageID", chatID); err != nil {
		return "", err
	}
	if !validMessageID(id) {
		return "", fmt.Errorf("call newMessageID: the answer is no message id")
	}
	return id, nil
}

// Send hands a message to WhatsApp. After ErrNotReady, ErrNotFound and
// ErrRefused it was not sent; after any other error it may have been, and
// Message tells by its id. Without an id WhatsApp gives it one. A file may take
// up to two minutes.
func (e *Engine) Send(ctx context.Context, o Outgoing) (Sent, error) {
	m, err := newOutgoing(o)
	if err != nil {
		return Sent{}, err
	}
	b, err := e.ready()
	if err != nil {
		return Sent{}, err
	}
	var r struct {
		ID  string  `json:"id"`
		Ack float64 `json:"ack"`
	}
	if o.File == nil {
		err = b.call(ctx, sendTimeout, &r, "sendText", m)
	} else {
		var key string
		if key, err = b.upload(ctx, o.File.Data); err != nil {
			// Nothing was sent yet, whatever it was that failed.
			return Sent{}, fmt.Errorf("%w: hand over a file: %w", ErrNotReady, err)
		}
		if err = b.call(ctx, fileTimeout, &r, "sendFile", m, key); err != nil {
			b.closeFile(ctx, key)
		}
	}
	if err != nil {
		return Sent{}, err
	}
	if !validMessageID(r.ID) {
		return Sent{}, fmt.Errorf("send: the answer has no message id")
	}
	return Sent{ID: r.ID, Ack: clampAck(r.Ack)}, nil
}
