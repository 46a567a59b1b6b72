package inbox

import (
	"context"
	"errors"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// Chats returns a page of chats, latest activity first.
func (s *Service) Chats(ctx context.Context, limit int, after string) (ChatPage, error) {
	c, err := request.ParseCursor("cursor", after)
	if err != nil {
		return ChatPage{}, err
	}
	page, err := s.store.Chats(ctx, limit, c)
	return page, public(err)
}

// Messages returns a page of a chat's messages, oldest first; ErrNotFound when
// there is no such chat.
func (s *Service) Messages(ctx context.Context, chatID string, limit int, before string) (MessagePage, error) {
	c, err := request.ParseCursor("before", before)
	if err != nil {
		return MessagePage{}, err
	}
	page, err := s.store.Messages(ctx, chatID, limit, c)
	return page, public(err)
}

// Send accepts a text for a chat. The message is returned as pending; how it
// fares is published. With the client id of an earlier message it returns that
// message and sends nothing. It returns ErrNotFound for an unknown chat and
// ErrConflict while WhatsApp cannot send.
func (s *Service) Send(ctx context.Context, chatID, text string, clientID *string) (Message, error) {
	if clientID != nil {
		known, err := byClientID(ctx, s.store.pool, clientID)
		if err != nil {
			return Message{}, err
		}
		if known != nil {
			if known.ChatID != chatID || known.Text != text {
				return Message{}, public(errClientIDTaken)
			}
			return *known, nil
		}
	}
	status := s.wa.Status()
	if status.State != whatsapp.StateReady || status.Account == nil {
		if _, err := s.store.Chat(ctx, chatID); err != nil {
			return Message{}, public(err)
		}
		return Message{}, platform.Errorf(platform.ErrConflict, "WhatsApp is not ready to send (its state is %q). Nothing was sent.", status.State)
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	m, chat, added, err := s.store.AddOutgoing(ctx, chatID, text, status.Account.ID, status.Account.Name, clientID, time.Now())
	if err != nil {
		return Message{}, public(err)
	}
	if added {
		s.pub.Publish(EventMessage, m)
		s.pub.Publish(EventChat, chat)
		s.dirty.Store(true)
		s.queue.ring()
	}
	return m, nil
}

// MarkRead sets a chat's unread count to zero; ErrNotFound when there is no
// such chat.
func (s *Service) MarkRead(ctx context.Context, chatID string) error {
	return public(s.markRead(ctx, chatID))
}

// public gives an error the form in which clients may see it.
func public(err error) error {
	switch {
	case errors.Is(err, errNoChat):
		return platform.Errorf(platform.ErrNotFound, "There is no such chat.")
	case errors.Is(err, errClientIDTaken):
		return platform.Errorf(platform.ErrConflict, "This client_id was used for another message.")
	case errors.Is(err, errTooManyWaiting):
		return platform.Errorf(platform.ErrTooMany, "Too many messages wait to be sent. Try again when some are.")
	case errors.Is(err, errBadCursor):
		return platform.Invalid(platform.FieldError{Field: "before", Detail: "is not a cursor of this list"})
	}
	return err
}
