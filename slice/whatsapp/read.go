package whatsapp

import (
	"context"
	"fmt"
)

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

// Message returns a message by its id, ErrNotFound when WhatsApp has none.
func (e *Engine) Message(ctx context.Context, id string) (Message, error) {
	b, err := e.ready()
	if err != nil {
		return Message{}, err
	}
	var m pageMessage
	if err := b.call(ctx, listTimeout, &m, "message", id); err != nil {
		return Message{}, err
	}
	message, ok := m.message()
	if !ok || message.ID != id {
		return Message{}, fmt.Errorf("%w: message %.100q", ErrNotFound, id)
	}
	return message, nil
}
