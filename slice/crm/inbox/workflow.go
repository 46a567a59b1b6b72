package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
)

// Workflow is what a person changes of a conversation; nil fields stay.
type Workflow struct {
	Status       *string
	SnoozedUntil *time.Time // with StatusSnoozed only
	Unread       *bool      // true marks a chat as unread that was read
}

// SetWorkflow changes a conversation and returns it; errNoChat.
func (s *Service) setWorkflow(ctx context.Context, chatID string, w Workflow) (Chat, error) {
	var c Chat
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE chats SET
				status            = coalesce($2, status),
				status_changed_at = CASE WHEN $2 <> status THEN now() ELSE status_changed_at END,
				snoozed_until     = CASE WHEN $2 IS NULL THEN snoozed_until WHEN $2 = 'snoozed' THEN $3::timestamptz END,
				unread            = CASE WHEN $4 AND unread = 0 THEN 1 WHEN NOT $4 THEN 0 ELSE unread END
			WHERE id = $1`, chatID, w.Status, w.SnoozedUntil, w.Unread)
		if err != nil {
			return fmt.Errorf("change chat: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return errNoChat
		}
		if c, err = getChat(ctx, tx, chatID); err != nil {
			return err
		}
		tx.Emit(EventChat, c)
		tx.AfterCommit(s.snoozes.Wake)
		return nil
	})
	return c, err
}

// wakeSnoozed opens chats whose time has come, and returns when the next is.
func (s *Service) wakeSnoozed(ctx context.Context) (next time.Time, err error) {
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		ids, err := database.Collect(ctx, tx, pgx.RowTo[string], `
			UPDATE chats SET status = 'open', status_changed_at = now(), snoozed_until = NULL
			WHERE status = 'snoozed' AND snoozed_until <= now() RETURNING id`)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := emitChat(ctx, tx, id); err != nil {
				return err
			}
		}
		var at *time.Time
		if err := tx.QueryRow(ctx, `SELECT min(snoozed_until) FROM chats WHERE status = 'snoozed'`).Scan(&at); err != nil {
			return err
		}
		if at != nil {
			next = *at
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("open snoozed chats: %w", err)
	}
	return next, nil
}

// setLabel puts a label on a chat or takes it off; errNoChat or errNoLabel.
func (s *Service) setLabel(ctx context.Context, chatID string, labelID int64, on bool) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		if _, err := getChat(ctx, tx, chatID); err != nil {
			return err
		}
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM labels WHERE id = $1)`, labelID).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			return errNoLabel
		}
		sql := `DELETE FROM chat_labels WHERE chat_id = $1 AND label_id = $2`
		if on {
			sql = `INSERT INTO chat_labels (chat_id, label_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`
		}
		tag, err := tx.Exec(ctx, sql, chatID, labelID)
		if err != nil {
			return fmt.Errorf("label chat: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return emitChat(ctx, tx, chatID)
	})
}

var errNoLabel = errors.New("no such label")

// OpenChat returns the chat of a contact, and makes it where there is none:
// ErrNotFound for an unknown contact or one without a WhatsApp id and phone.
func (s *Service) OpenChat(ctx context.Context, tx *event.Tx, contactID int64) (chatID string, err error) {
	err = tx.QueryRow(ctx, `
		SELECT id FROM chats WHERE contact_id = $1 ORDER BY last_message_at DESC NULLS LAST, id LIMIT 1`, contactID).Scan(&chatID)
	if !errors.Is(err, pgx.ErrNoRows) {
		return chatID, err
	}
	var phone, name string
	err = tx.QueryRow(ctx, `
		SELECT coalesce((SELECT i.wa_id FROM contact_ids i WHERE i.contact_id = c.id ORDER BY i.wa_id LIKE '%@lid', i.wa_id LIMIT 1),
		                substr(c.phone, 2) || '@c.us', ''), coalesce(c.phone, ''), coalesce(nullif(c.name, ''), c.wa_name)
		FROM contacts c WHERE c.id = $1`, contactID).Scan(&chatID, &phone, &name)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", public(errNoContact)
	case err != nil:
		return "", fmt.Errorf("open chat: %w", err)
	case chatID == "":
		return "", public(errNoAddress)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO contact_ids (wa_id, contact_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, chatID, contactID)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO chats (id, name, phone, contact_id) VALUES ($1, $2, nullif($3, ''), $4) ON CONFLICT (id) DO NOTHING`, chatID, name, phone, contactID)
	}
	if err != nil {
		return "", fmt.Errorf("open chat: %w", err)
	}
	return chatID, emitChat(ctx, tx, chatID)
}

var (
	errNoContact = errors.New("no such contact")
	errNoAddress = errors.New("the contact has no WhatsApp id and no phone number")
)
