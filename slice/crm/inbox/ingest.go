package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/crm/contacts"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
)

// source says how messages came.
type source int

const (
	live    source = iota // as they were written
	history               // as WhatsApp lists them
)

// saveMessages stores what WhatsApp says of one chat and some of its messages,
// oldest first, and tells what changed. Messages that are known are only brought
// up to date. A chat that is new and comes with its history takes over
// WhatsApp's count of unread messages; all other incoming messages are counted
// here.
func (s *Service) saveMessages(ctx context.Context, chat whatsapp.Chat, messages []whatsapp.Message, src source) error {
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		var err error
		if messages, err = notErased(ctx, tx, chat.ID, messages); err != nil || messages == nil {
			return err
		}
		if src == live {
			chat.Unread = 0 // the message itself may be in WhatsApp's count already, or not
		}
		fresh, changed, err := saveChat(ctx, tx, chat)
		if err != nil {
			return err
		}
		var last *time.Time
		if err := tx.QueryRow(ctx, `SELECT last_message_at FROM chats WHERE id = $1`, chat.ID).Scan(&last); err != nil {
			return fmt.Errorf("get chat's time: %w", err)
		}
		for _, m := range messages {
			inserted, touched, err := saveMessage(ctx, tx, m)
			if err != nil {
				return err
			}
			changed = changed || touched
			if !inserted {
				continue
			}
			// In a listing only what is newer than all that is known can be unread.
			isNews := src == live || !fresh && (last == nil || !m.SentAt.Before(*last))
			if err := countMessage(ctx, tx, m, isNews); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		return emitChat(ctx, tx, chat.ID)
	})
	if err != nil {
		return fmt.Errorf("save messages: %w", err)
	}
	return nil
}

// notErased leaves out messages that were erased here and that WhatsApp still has;
// it returns nil when the whole chat is to be left out.
func notErased(ctx context.Context, tx database.Querier, chatID string, messages []whatsapp.Message) ([]whatsapp.Message, error) {
	var before time.Time
	err := tx.QueryRow(ctx, `SELECT before FROM erased_chats WHERE chat_id = $1`, chatID).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return append([]whatsapp.Message{}, messages...), nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an erased chat: %w", err)
	}
	var kept []whatsapp.Message
	for _, m := range messages {
		if m.SentAt.After(before) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func emitChat(ctx context.Context, tx *event.Tx, id string) error {
	c, err := getChat(ctx, tx, id)
	if err == nil {
		tx.Emit(EventChat, c)
	}
	return err
}

// saveChat writes a chat, and the contact behind it. A name or phone that
// WhatsApp does not know keeps what is there.
func saveChat(ctx context.Context, tx database.Querier, c whatsapp.Chat) (fresh, changed bool, err error) {
	var contact *int64 // none for groups
	if !c.IsGroup {
		id, err := contacts.Seen(ctx, tx, c.ID, c.Phone, c.Name)
		if err != nil {
			return false, false, err
		}
		contact = &id
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO chats (id, name, phone, is_group, unread, contact_id) VALUES ($1, $2, nullif($3, ''), $4, $5, $6)
		ON CONFLICT (id) DO NOTHING`, c.ID, c.Name, c.Phone, c.IsGroup, c.Unread, contact)
	if err != nil {
		return false, false, fmt.Errorf("insert chat: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return true, true, nil
	}
	tag, err = tx.Exec(ctx, `
		UPDATE chats SET name = coalesce(nullif($2, ''), name), phone = coalesce(nullif($3, ''), phone), contact_id = $4
		WHERE id = $1 AND ($2 NOT IN ('', name) OR $3 NOT IN ('', coalesce(phone, '')) OR contact_id IS DISTINCT FROM $4)`, c.ID, c.Name, c.Phone, contact)
	if err != nil {
		return false, false, fmt.Errorf("update chat: %w", err)
	}
	return false, tag.RowsAffected() > 0, nil
}

// saveMessage writes one message. It reports whether the message is new to the
// store, and whether anything changed.
func saveMessage(ctx context.Context, tx *event.Tx, m whatsapp.Message) (inserted, changed bool, err error) {
	direction := In
	if m.FromMe {
		direction = Out
		if err := adopt(ctx, tx, m); err != nil {
			return false, false, err
		}
	}
	if m.FromMe && m.Ack < 0 {
		// One that WhatsApp could not send is a row of ours that is tried again
		// under another id, or was never meant to be seen.
		acks, err := setAck(ctx, tx, []string{m.ID}, m.Ack)
		return false, len(acks) > 0, err
	}
	if m.Deleted {
		m.Text, m.Media = "", nil
	}
	found, err := database.Collect(ctx, tx, scanMessage, `
		INSERT INTO messages AS m (wa_id, chat_id, direction, sender_id, sender_name, type, text, ack, sent_at, quoted_wa_id, media, edited_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, ''), $11, CASE WHEN $12 THEN $9::timestamptz END, CASE WHEN $13 THEN $9::timestamptz END)
		ON CONFLICT (wa_id) DO NOTHING
		RETURNING `+messageColumns,
		m.ID, m.ChatID, direction, m.SenderID, m.SenderName, m.Type, m.Text, m.Ack, m.SentAt, m.QuotedID, m.Media, m.Edited, m.Deleted)
	if err != nil {
		return false, false, fmt.Errorf("insert message: %w", err)
	}
	if len(found) > 0 {
		tx.Emit(EventMessage, found[0])
		return true, true, nil
	}
	changed, err = refreshMessage(ctx, tx, m)
	if err != nil {
		return false, false, err
	}
	acks, err := setAck(ctx, tx, []string{m.ID}, m.Ack)
	return false, changed || len(acks) > 0, err
}

// refreshMessage brings a known message up to date: one may come as ciphertext
// first and with its content later, be edited, or be deleted for everyone.
func refreshMessage(ctx context.Context, tx *event.Tx, m whatsapp.Message) (changed bool, err error) {
	found, err := database.Collect(ctx, tx, scanMessage, `
		UPDATE messages m SET
			type = CASE WHEN type = $5 THEN $2 ELSE type END, text = $3, sender_name = coalesce(nullif($4, ''), sender_name),
			media = CASE WHEN $7 THEN NULL ELSE coalesce(media, $8) END,
			quoted_wa_id = coalesce(quoted_wa_id, nullif($9, '')),
			edited_at = CASE WHEN $6 AND text <> $3 THEN now() ELSE edited_at END,
			deleted_at = CASE WHEN $7 THEN coalesce(deleted_at, now()) ELSE deleted_at END
		WHERE wa_id = $1 AND deleted_at IS NULL
		  AND (type = $5 AND $2 <> $5 OR $6 AND text <> $3 OR $7)
		RETURNING `+messageColumns, m.ID, m.Type, m.Text, m.SenderName, whatsapp.TypeCiphertext, m.Edited, m.Deleted, m.Media, m.QuotedID)
	if err != nil {
		return false, fmt.Errorf("update message: %w", err)
	}
	for _, changed := range found {
		tx.Emit(EventChanged, changed)
	}
	return len(found) > 0, nil
}

// adopt finds the row of a message that was sent under another spelling of its
// id: WhatsApp may know a chat by its LID meanwhile, or add who sent it.
func adopt(ctx context.Context, tx database.Querier, m whatsapp.Message) error {
	_, err := tx.Exec(ctx, `
		UPDATE messages SET wa_id = $1
		WHERE outbox = 'sending' AND wa_id <> $1 AND split_part(wa_id, '_', 3) = split_part($1, '_', 3) AND chat_id = $2
		  AND NOT EXISTS (SELECT FROM messages WHERE wa_id = $1)`, m.ID, m.ChatID)
	if err != nil {
		return fmt.Errorf("adopt message: %w", err)
	}
	return nil
}

// countMessage moves the chat's times, its unread count and its status: what is
// answered, here or on the phone, has been read; who writes is heard again.
func countMessage(ctx context.Context, tx database.Querier, m whatsapp.Message, isNews bool) error {
	_, err := tx.Exec(ctx, `
		UPDATE chats SET
			last_message_at   = greatest(last_message_at, $2),
			last_in_at        = CASE WHEN $3 THEN last_in_at ELSE greatest(last_in_at, $2) END,
			last_out_at       = CASE WHEN $3 THEN greatest(last_out_at, $2) ELSE last_out_at END,
			unread            = CASE WHEN NOT $4 THEN unread WHEN $3 THEN 0 ELSE unread + 1 END,
			status            = CASE WHEN $5 AND status IN ('closed', 'snoozed', 'pending') THEN 'open' ELSE status END,
			status_changed_at = CASE WHEN $5 AND status IN ('closed', 'snoozed', 'pending') THEN now() ELSE status_changed_at END,
			snoozed_until     = CASE WHEN $5 THEN NULL ELSE snoozed_until END
		WHERE id = $1`, m.ChatID, m.SentAt, m.FromMe, isNews, isNews && !m.FromMe)
	if err != nil {
		return fmt.Errorf("count message: %w", err)
	}
	return nil
}

// setAck records how far messages got and tells it. An ack only ever rises,
// except that a pending message may fail. What has an ack has been sent.
func setAck(ctx context.Context, tx *event.Tx, waIDs []string, ack int) ([]Ack, error) {
	acks, err := database.Collect(ctx, tx, scanAck, `
		UPDATE messages SET ack = $2, outbox = CASE WHEN $2 > 0 THEN NULL ELSE outbox END, failure = CASE WHEN $2 > 0 THEN '' ELSE failure END
		WHERE wa_id = ANY($1) AND (ack < $2 OR ack = 0 AND $2 = -1 AND outbox IS NULL)
		RETURNING id::text, chat_id, ack, failure`, waIDs, ack)
	if err != nil {
		return nil, fmt.Errorf("set ack: %w", err)
	}
	for _, a := range acks {
		tx.Emit(EventAck, a)
	}
	return acks, nil
}

func (s *Service) saveAck(ctx context.Context, waIDs []string, ack int) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		_, err := setAck(ctx, tx, waIDs, ack)
		return err
	})
}

// saveEdit gives a message its new text.
func (s *Service) saveEdit(ctx context.Context, waID, text string) error {
	return s.saveChange(ctx, `UPDATE messages m SET text = $2, edited_at = now() WHERE wa_id = $1 AND text <> $2 AND deleted_at IS NULL RETURNING `+messageColumns, waID, text)
}

// saveDeletion removes the content of a message that was deleted for everyone.
func (s *Service) saveDeletion(ctx context.Context, waID string) error {
	_, err := s.store.pool.Exec(ctx, `
		DELETE FROM files f USING messages m WHERE m.wa_id = $1 AND m.deleted_at IS NULL AND f.id = m.file_id
		  AND (SELECT count(*) FROM messages WHERE file_id = f.id) = 1
		  AND NOT EXISTS (SELECT FROM quick_replies WHERE file_id = f.id)
		  AND NOT EXISTS (SELECT FROM scheduled_messages WHERE file_id = f.id)
		  AND NOT EXISTS (SELECT FROM broadcasts WHERE file_id = f.id)`, waID)
	if err != nil {
		return fmt.Errorf("delete the file of a message: %w", err)
	}
	return s.saveChange(ctx, `UPDATE messages m SET text = '', media = NULL, file_id = NULL, deleted_at = now() WHERE wa_id = $1 AND deleted_at IS NULL RETURNING `+messageColumns, waID)
}

// saveChange tells of the messages that an UPDATE returns.
func (s *Service) saveChange(ctx context.Context, sql string, args ...any) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		changed, err := database.Collect(ctx, tx, scanMessage, sql, args...)
		if err != nil {
			return fmt.Errorf("change message: %w", err)
		}
		for _, m := range changed {
			tx.Emit(EventChanged, m)
			if err := emitChat(ctx, tx, m.ChatID); err != nil {
				return err
			}
		}
		return nil
	})
}

// saveReaction records how somebody reacts to a message now.
func (s *Service) saveReaction(ctx context.Context, r whatsapp.ReactionSeen) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		var id int64
		ids, err := database.Collect(ctx, tx, scanID, `SELECT id FROM messages WHERE wa_id = $1 AND deleted_at IS NULL`, r.MessageID)
		if err != nil || len(ids) == 0 {
			return err
		}
		id = ids[0]
		sql, args := `DELETE FROM reactions WHERE message_id = $1 AND sender_id = $2`, []any{id, r.SenderID}
		if r.Emoji != "" {
			sql = `INSERT INTO reactions AS r (message_id, sender_id, emoji, reacted_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (message_id, sender_id) DO UPDATE SET emoji = $3, reacted_at = $4 WHERE r.emoji <> $3`
			args = append(args, r.Emoji, r.At)
		}
		tag, err := tx.Exec(ctx, sql, args...)
		if err != nil {
			return fmt.Errorf("save reaction: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		m, err := getMessage(ctx, tx, id)
		if err == nil {
			tx.Emit(EventReaction, m)
		}
		return err
	})
}

// whole returns t in whole seconds, as WhatsApp has them.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// knownOf is what the store has of some messages.
type knownOf struct {
	chatIsNew bool // the chat has no messages yet
	messages  int
}

func (s *Store) known(ctx context.Context, chatID string, messages []whatsapp.Message) (knownOf, error) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	var k knownOf
	err := s.pool.QueryRow(ctx, `
		SELECT NOT EXISTS (SELECT FROM messages WHERE chat_id = $1 AND wa_id IS NOT NULL),
		       (SELECT count(*) FROM messages WHERE wa_id = ANY($2))`, chatID, ids).Scan(&k.chatIsNew, &k.messages)
	if err != nil {
		return knownOf{}, fmt.Errorf("look for known messages: %w", err)
	}
	return k, nil
}
