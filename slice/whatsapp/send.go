package whatsapp

import (
	"context"
	"fmt"
)

// outgoing is a message as the agent takes it.
type outgoing struct {
	ID     string `json:"id"`
	ChatID string `json:"chat_id"`
	Text   string `json:"text"`
	Quoted string `json:"quoted"`
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
// Message tells by its id. Without an id WhatsApp gives it one.
func (e *Engine) Send(ctx context.Context, o Outgoing) (Sent, error) {
	b, err := e.ready()
	if err != nil {
		return Sent{}, err
	}
	if o.Type != "text" {
		return Sent{}, fmt.Errorf("%w: messages of type %q cannot be sent", ErrRefused, o.Type)
	}
	var r struct {
		ID  string  `json:"id"`
		Ack float64 `json:"ack"`
	}
	if err := b.call(ctx, sendTimeout, &r, "sendText", outgoing{o.ID, o.ChatID, o.Text, o.QuotedID}); err != nil {
		return Sent{}, err
	}
	if !validMessageID(r.ID) {
		return Sent{}, fmt.Errorf("call sendText: the answer has no message id")
	}
	return Sent{ID: r.ID, Ack: clampAck(r.Ack)}, nil
}
