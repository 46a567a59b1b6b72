package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/crm/contacts"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
)

// adoptWindow is how far the time that WhatsApp gives an outgoing message may
// be from ours for the two to be the same message.
const adoptWindow = "10 minutes"

// change is what storing messages changed, for the clients to be told.
type change struct {
	messages []Message // new, or with new content
	acks     []Ack
	chat     *Chat // nil when it is as before
}

// source says how messages came.
type source int

const (
	live    source = iota // as they were written
	history               // as WhatsApp lists them
)

// SaveMessages stores what WhatsApp says of one chat and some of its messages,
// oldest first. Messages that are known are only brought up to date. A chat
// that is new and comes with its history takes over WhatsApp's count of unread
// messages; all other incoming messages are counted here.
func (s *Store) SaveMessages(ctx context.Context, chat whatsapp.Chat, messages []whatsapp.Message, src source) (change, error) {
	var ch change
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
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
			inserted, err := saveMessage(ctx, tx, m, &ch)
			if err != nil {
				return err
			}
			if !inserted {
				continue
			}
			changed = true
			// In a listing only what is newer than all that is known can be unread.
			counts := src == live || !fresh && (last == nil || !m.SentAt.Before(*last))
			if err := countMessage(ctx, tx, m, counts); err != nil {
				return err
			}
		}
		if changed || len(ch.messages)+len(ch.acks) > 0 {
			c, err := getChat(ctx, tx, chat.ID)
			if err != nil {
				return err
			}
			ch.chat = &c
		}
		return nil
	})
	if err != nil {
		return change{}, fmt.Errorf("save messages: %w", err)
	}
	return ch, nil
}

// saveChat writes a chat. A name or phone that WhatsApp does not know keeps
// what is there.
func saveChat(ctx context.Context, tx pgx.Tx, c whatsapp.Chat) (fresh, changed bool, err error) {
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
		UPDATE chats SET name = coalesce(nullif($2, ''), name), phone = coalesce(nullif($3, ''), phone)
		WHERE id = $1 AND ($2 NOT IN ('', name) OR $3 NOT IN ('', coalesce(phone, '')))`, c.ID, c.Name, c.Phone)
	if err != nil {
		return false, false, fmt.Errorf("update chat: %w", err)
	}
	return false, tag.RowsAffected() > 0, nil
}

// saveMessage writes one message and adds what changed to ch. It reports
// whether the message is new to the store.
func saveMessage(ctx context.Context, tx pgx.Tx, m whatsapp.Message, ch *change) (inserted bool, err error) {
	if m.FromMe {
		adopted, err := adopt(ctx, tx, m, ch)
		if err != nil || adopted {
			return false, err
		}
	}
	direction := In
	if m.FromMe {
		direction = Out
	}
	found, err := database.Collect(ctx, tx, scanMessage, `
		INSERT INTO messages AS m (wa_id, chat_id, direction, sender_id, sender_name, type, text, ack, sent_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (wa_id) DO NOTHING
		RETURNING `+messageColumns,
		m.ID, m.ChatID, direction, m.SenderID, m.SenderName, m.Type, m.Text, m.Ack, m.SentAt)
	if err != nil {
		return false, fmt.Errorf("insert message: %w", err)
	}
	if len(found) > 0 {
		ch.messages = append(ch.messages, found...)
		return true, nil
	}
	// A message may come as ciphertext first and with its content later.
	found, err = database.Collect(ctx, tx, scanMessage, `
		UPDATE messages m SET type = $2, text = $3, sender_name = coalesce(nullif($4, ''), sender_name)
		WHERE wa_id = $1 AND type = $5 AND $2 <> $5 RETURNING `+messageColumns,
		m.ID, m.Type, m.Text, m.SenderName, whatsapp.TypeCiphertext)
	if err != nil {
		return false, fmt.Errorf("update message: %w", err)
	}
	ch.messages = append(ch.messages, found...)
	acks, err := setAck(ctx, tx, []string{m.ID}, m.Ack)
	ch.acks = append(ch.acks, acks...)
	return false, err
}

// adopt gives a message that WhatsApp reports as sent by us its row, if the row
// was written before a crash or a timeout kept WhatsApp's id from it.
func adopt(ctx context.Context, tx pgx.Tx, m whatsapp.Message, ch *change) (bool, error) {
	found, err := database.Collect(ctx, tx, scanMessage, `
		UPDATE messages m SET wa_id = $1, ack = greatest($4, 0)
		WHERE id = (
			SELECT id FROM messages
			WHERE direction = 'out' AND wa_id IS NULL AND attempted_at IS NOT NULL
			  AND chat_id = $2 AND text = $3 AND sent_at BETWEEN $5::timestamptz - $6::interval AND $5::timestamptz + $6::interval
			  AND NOT EXISTS (SELECT FROM messages WHERE wa_id = $1)
			ORDER BY id LIMIT 1)
		RETURNING `+messageColumns, m.ID, m.ChatID, m.Text, m.Ack, m.SentAt, adoptWindow)
	if err != nil {
		return false, fmt.Errorf("adopt message: %w", err)
	}
	for _, m := range found {
		ch.acks = append(ch.acks, Ack{ID: m.ID, ChatID: m.ChatID, Ack: m.Ack})
	}
	return len(found) > 0, nil
}

// countMessage moves the chat's time and its unread count. What is answered,
// here or on the phone, has been read.
func countMessage(ctx context.Context, tx pgx.Tx, m whatsapp.Message, counts bool) error {
	_, err := tx.Exec(ctx, `
		UPDATE chats SET
			last_message_at = greatest(last_message_at, $2),
			unread = CASE WHEN NOT $4 THEN unread WHEN $3 THEN 0 ELSE unread + 1 END
		WHERE id = $1`, m.ChatID, m.SentAt, m.FromMe, counts)
	if err != nil {
		return fmt.Errorf("count message: %w", err)
	}
	return nil
}

// SetAck records how far messages got. An ack only ever rises, except that a
// pending message may fail.
func (s *Store) SetAck(ctx context.Context, waIDs []string, ack int) ([]Ack, error) {
	return setAck(ctx, s.pool, waIDs, ack)
}

func setAck(ctx context.Context, q database.Querier, waIDs []string, ack int) ([]Ack, error) {
	acks, err := database.Collect(ctx, q, scanAck, `
		UPDATE messages SET ack = $2
		WHERE wa_id = ANY($1) AND (ack < $2 OR ack = 0 AND $2 = -1)
		RETURNING id::text, chat_id, ack`, waIDs, ack)
	if err != nil {
		return nil, fmt.Errorf("set ack: %w", err)
	}
	return acks, nil
}

func scanAck(row pgx.CollectableRow) (Ack, error) {
	var a Ack
	var ack int
	err := row.Scan(&a.ID, &a.ChatID, &ack)
	a.Ack = ackName(ack)
	return a, err
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
