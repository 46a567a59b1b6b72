package whatsapp

import "context"

// do runs a function of the agent in a session that is ready.
func (e *Engine) do(ctx context.Context, function string, args ...any) error {
	b, err := e.ready()
	if err != nil {
		return err
	}
	return b.call(ctx, sendTimeout, nil, function, args...)
}

// React sets the reaction to a message; "" takes it back.
func (e *Engine) React(ctx context.Context, messageID, emoji string) error {
	return e.do(ctx, "react", messageID, emoji)
}

// Edit gives a message of ours another text or caption. WhatsApp allows it for
// 15 minutes; then it is ErrRefused.
func (e *Engine) Edit(ctx context.Context, messageID, text string) error {
	return e.do(ctx, "edit", messageID, text)
}

// Delete deletes a message of ours for everyone. Deleting it again changes
// nothing.
func (e *Engine) Delete(ctx context.Context, messageID string) error {
	return e.do(ctx, "remove", messageID)
}

// SetTyping shows or ends that somebody writes here. WhatsApp shows it for about
// 25 s.
func (e *Engine) SetTyping(ctx context.Context, chatID string, typing bool) error {
	return e.do(ctx, "typing", chatID, typing)
}

// MarkRead tells the other side that its messages were read. Nothing else does.
func (e *Engine) MarkRead(ctx context.Context, chatID string) error {
	return e.do(ctx, "markRead", chatID)
}

// Profile returns what WhatsApp knows of a person, ErrNotFound when it knows
// nobody by this id.
func (e *Engine) Profile(ctx context.Context, id string) (Profile, error) {
	b, err := e.ready()
	if err != nil {
		return Profile{}, err
	}
	var p pageProfile
	if err := b.call(ctx, listTimeout, &p, "profile", id); err != nil {
		return Profile{}, err
	}
	p.ID = id // what was asked for: WhatsApp may answer with another of the person's ids
	return p.profile(), nil
}
