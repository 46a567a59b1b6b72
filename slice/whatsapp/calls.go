package whatsapp

import (
	"context"
	"fmt"
)

// SendText hands a text to WhatsApp and returns the id that it gave it. When it
// fails the message may have been sent all the same: WhatsApp then reports it
// as a message like any other. ErrNotReady means that it was not sent.
func (e *Engine) SendText(ctx context.Context, chatID, text string) (Sent, error) {
	b, err := e.ready()
	if err != nil {
		return Sent{}, err
	}
	var r struct {
		ID  string  `json:"id"`
		Ack float64 `json:"ack"`
	}
	if err := b.call(ctx, sendTimeout, &r, "send", chatID, text); err != nil {
		return Sent{}, err
	}
	if !validMessageID(r.ID) {
		return Sent{}, fmt.Errorf("call send: the answer has no message id")
	}
	return Sent{ID: r.ID, Ack: clampAck(r.Ack)}, nil
}

// Chats returns the chats with the latest activity, at most count.
func (e *Engine) Chats(ctx context.Context, count int) ([]Chat, error) {
	b, err := e.ready()
	if err != nil {
		return nil, err
	}
	var list []pageChat
	if err := b.call(ctx, listTimeout, &list, "chats", count); err != nil {
		return nil, err
	}
	chats := make([]Chat, 0, len(list))
	for _, c := range list {
		if chat, ok := c.chat(); ok {
			chats = append(chats, chat)
		}
	}
	return chats, nil
}

// Messages returns the latest messages of a chat, oldest first and at most
// count: those before the message with the id before, unless it is "".
func (e *Engine) Messages(ctx context.Context, chatID string, count int, before string) ([]Message, error) {
	b, err := e.ready()
	if err != nil {
		return nil, err
	}
	var list []pageMessage
	if err := b.call(ctx, listTimeout, &list, "messages", chatID, count, before); err != nil {
		return nil, err
	}
	messages := make([]Message, 0, len(list))
	for _, m := range list {
		if message, ok := m.message(); ok && message.ChatID == chatID {
			messages = append(messages, message)
		}
	}
	return messages, nil
}

// Logout ends the link to the phone. Without a link it does nothing.
func (e *Engine) Logout(ctx context.Context) error {
	b, s, err := e.active()
	if err != nil {
		return err
	}
	if !s.Ready {
		return fmt.Errorf("%w: the page is not loaded", ErrNotReady)
	}
	if !s.Authenticated {
		return nil
	}
	return b.call(ctx, evalTimeout, nil, "logout")
}

// ready returns the browser when a phone is linked and the page can send.
func (e *Engine) ready() (*browser, error) {
	b, s, err := e.active()
	if err != nil {
		return nil, err
	}
	if state, _ := s.state(); state != StateReady {
		return nil, fmt.Errorf("%w: it is %s", ErrNotReady, state)
	}
	return b, nil
}
