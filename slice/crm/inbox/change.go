package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/whatsapp"
)

// target is a message that a person changes at WhatsApp.
type target struct {
	waID, direction string
	kind            string
	deleted         bool
}

// target returns the message; one that WhatsApp does not have yet cannot be
// changed there.
func (s *Service) target(ctx context.Context, id int64) (t target, err error) {
	var waID *string
	err = s.store.pool.QueryRow(ctx, `SELECT wa_id, direction, type, deleted_at IS NOT NULL FROM messages WHERE id = $1 AND outbox IS NULL`, id).
		Scan(&waID, &t.direction, &t.kind, &t.deleted)
	if errors.Is(err, pgx.ErrNoRows) {
		m, err := getMessage(ctx, s.store.pool, id)
		if err != nil {
			return t, err
		}
		return t, platform.Errorf(platform.ErrConflict, "The message is still %s. Try again when it is sent.", m.Ack)
	}
	if err != nil {
		return t, fmt.Errorf("get message: %w", err)
	}
	switch {
	case waID == nil:
		return t, platform.Errorf(platform.ErrConflict, "The message was never sent.")
	case t.deleted:
		return t, platform.Errorf(platform.ErrConflict, "The message is deleted.")
	}
	t.waID = *waID
	return t, nil
}

// ours is a target that this account has sent.
func (s *Service) ours(ctx context.Context, id int64) (target, error) {
	t, err := s.target(ctx, id)
	if err == nil && t.direction != Out {
		err = platform.Errorf(platform.ErrForbidden, "Only your own messages can be edited or deleted for everyone.")
	}
	return t, err
}

// React sets our reaction to a message, "" takes it back, and returns the message.
func (s *Service) react(ctx context.Context, id int64, emoji string) (Message, error) {
	t, err := s.target(ctx, id)
	if err != nil {
		return Message{}, err
	}
	account := s.account.Load()
	if account == nil {
		return Message{}, errNotLinked
	}
	if err := s.wa.React(ctx, t.waID, emoji); err != nil {
		return Message{}, atWhatsApp(err, "WhatsApp did not take the reaction.")
	}
	// WhatsApp reports it as well; whoever comes second changes nothing.
	if err := s.saveReaction(ctx, whatsapp.ReactionSeen{MessageID: t.waID, SenderID: account.ID, Emoji: emoji, At: time.Now()}); err != nil {
		return Message{}, err
	}
	return getMessage(ctx, s.store.pool, id)
}

func (s *Service) edit(ctx context.Context, id int64, text string) (Message, error) {
	t, err := s.ours(ctx, id)
	if err != nil {
		return Message{}, err
	}
	if err := s.wa.Edit(ctx, t.waID, text); err != nil {
		return Message{}, atWhatsApp(err, "WhatsApp does not change this message any more.")
	}
	if err := s.saveEdit(ctx, t.waID, text); err != nil {
		return Message{}, err
	}
	return getMessage(ctx, s.store.pool, id)
}

func (s *Service) deleteForEveryone(ctx context.Context, id int64) (Message, error) {
	t, err := s.ours(ctx, id)
	if err != nil {
		return Message{}, err
	}
	if err := s.wa.Delete(ctx, t.waID); err != nil {
		return Message{}, atWhatsApp(err, "WhatsApp does not delete this message any more.")
	}
	if err := s.saveDeletion(ctx, t.waID); err != nil {
		return Message{}, err
	}
	return getMessage(ctx, s.store.pool, id)
}

func (s *Service) setTyping(ctx context.Context, chatID string, typing bool) error {
	if _, err := s.store.Chat(ctx, chatID); err != nil {
		return err
	}
	return atWhatsApp(s.wa.SetTyping(ctx, chatID, typing), "WhatsApp did not take it.")
}

// read marks a chat as read here; the customer is told only when that is asked
// for, by the request or the settings.
func (s *Service) read(ctx context.Context, chatID string, receipt *bool) error {
	if err := s.markRead(ctx, chatID); err != nil {
		return err
	}
	if receipt == nil {
		receipt = &s.settings.Load().ReadReceipts
	}
	if !*receipt {
		return nil
	}
	return atWhatsApp(s.wa.MarkRead(ctx, chatID), "WhatsApp did not take the read receipt.")
}

// markRead sets a chat's unread count to zero, or returns errNoChat.
func (s *Service) markRead(ctx context.Context, chatID string) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE chats SET unread = 0 WHERE id = $1 AND unread > 0`, chatID)
		if err != nil {
			return fmt.Errorf("mark chat read: %w", err)
		}
		if tag.RowsAffected() == 0 {
			_, err := getChat(ctx, tx, chatID)
			return err
		}
		return emitChat(ctx, tx, chatID)
	})
}

// atWhatsApp gives an error of WhatsApp the form in which clients may see it.
func atWhatsApp(err error, refused string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, whatsapp.ErrNotReady):
		return platform.Errorf(platform.ErrUnavailable, "WhatsApp is not ready. Try again in a moment.").WithCause(err)
	case errors.Is(err, whatsapp.ErrNotFound):
		return platform.Errorf(platform.ErrConflict, "WhatsApp does not have it any more.").WithCause(err)
	case errors.Is(err, whatsapp.ErrRefused):
		return platform.Errorf(platform.ErrConflict, "%s", refused).WithCause(err)
	}
	return platform.Errorf(platform.ErrBadGateway, "WhatsApp did not answer as expected. Try again.").WithCause(err)
}

// public gives an error the form in which clients may see it.
func public(err error) error {
	field := func(name, detail string) error {
		return platform.Invalid(platform.FieldError{Field: name, Detail: detail})
	}
	switch {
	case errors.Is(err, errNoChat):
		return platform.Errorf(platform.ErrNotFound, "There is no such chat.")
	case errors.Is(err, errNoMessage):
		return platform.Errorf(platform.ErrNotFound, "There is no such message.")
	case errors.Is(err, errNoLabel):
		return platform.Errorf(platform.ErrNotFound, "There is no such label.")
	case errors.Is(err, errNoContact):
		return platform.Errorf(platform.ErrNotFound, "There is no such contact.")
	case errors.Is(err, errNoAddress):
		return platform.Errorf(platform.ErrConflict, "This contact has neither a WhatsApp id nor a phone number.")
	case errors.Is(err, errNoQuoted):
		return field("quoted_id", "must be a message of this chat that was sent")
	case errors.Is(err, errNoFile):
		return field("file_id", "must be the id of a file")
	case errors.Is(err, errBadCursor):
		return field("before", "is not a cursor of this list")
	case errors.Is(err, errClientIDTaken):
		return platform.Errorf(platform.ErrConflict, "This client_id was used for another message.")
	case errors.Is(err, errTooManyWaiting):
		return platform.Errorf(platform.ErrTooMany, "Too many messages wait to be sent. Try again when some are.")
	case errors.Is(err, errNotLinked):
		return platform.Errorf(platform.ErrConflict, "No phone is linked, so nothing can be sent. Nothing was sent.")
	}
	return err
}
