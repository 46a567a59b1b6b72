package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

const (
	// maxWaiting messages may wait to be sent. More than that is no person who
	// types.
	maxWaiting = 200

	// maxWait is how old a message may get before it is sent: nobody expects
	// that what was written in the morning is sent in the afternoon.
	maxWait = 10 * time.Minute

	// maxAttempt is how long after an attempt without an answer a message still
	// counts as pending. It is above the longest that a send may take.
	maxAttempt = 2 * time.Minute
)

// Draft is a message that is to be sent.
type Draft struct {
	ChatID   string
	Type     string  // "text", "image", "video", "audio", "voice", "document", "sticker"
	Text     string  // the text, or the file's caption
	FileID   *int64  // nil for a text
	QuotedID *int64  // the message that is answered; nil without
	ClientID *string // idempotency key; nil without
	Source   string  // SourceUser, …
}

// Sources of an outgoing message. What a person writes is sent first.
const (
	SourceUser      = "user"
	SourceScheduled = "scheduled"
	SourceBroadcast = "broadcast"
)

var (
	errTooManyWaiting = errors.New("too many messages wait to be sent")
	errClientIDTaken  = errors.New("the client id was used for another message")
)

// outgoing is a message that waits to be sent.
type outgoing struct {
	id           int64
	chatID, text string
}

// AddOutgoing writes a message that is to be sent. With a client id that is
// known already it returns that message and false; errClientIDTaken if that is
// another text or chat. errNoChat and errTooManyWaiting change nothing.
func (s *Store) AddOutgoing(ctx context.Context, chatID, text, senderID, senderName string, clientID *string, now time.Time) (m Message, chat Chat, added bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		added = false
		// The chat's row also keeps two requests with one client id apart.
		tag, err := tx.Exec(ctx, `SELECT FROM chats WHERE id = $1 FOR UPDATE`, chatID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNoChat
		}
		if known, err := byClientID(ctx, tx, clientID); err != nil || known != nil {
			if err == nil {
				m = *known
				if m.ChatID != chatID || m.Text != text {
					return errClientIDTaken
				}
			}
			return err
		}
		var waiting int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM messages WHERE direction = 'out' AND wa_id IS NULL AND ack = 0`).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= maxWaiting {
			return errTooManyWaiting
		}
		// A key that another chat took meanwhile gives no row.
		rows, err := database.Collect(ctx, tx, scanMessage, `
			INSERT INTO messages AS m (chat_id, direction, sender_id, sender_name, type, text, ack, client_id, sent_at)
			VALUES ($1, 'out', $2, $3, 'text', $4, 0, $5, $6) ON CONFLICT (client_id) DO NOTHING RETURNING `+messageColumns,
			chatID, senderID, senderName, text, clientID, whole(now))
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return errClientIDTaken
		}
		m, added = rows[0], true
		if _, err := tx.Exec(ctx, `UPDATE chats SET last_message_at = greatest(last_message_at, $2), unread = 0 WHERE id = $1`, chatID, m.SentAt); err != nil {
			return err
		}
		chat, err = getChat(ctx, tx, chatID)
		return err
	})
	if err != nil {
		return Message{}, Chat{}, false, fmt.Errorf("add outgoing message: %w", err)
	}
	return m, chat, added, nil
}

func byClientID(ctx context.Context, q database.Querier, clientID *string) (*Message, error) {
	if clientID == nil {
		return nil, nil
	}
	rows, err := database.Collect(ctx, q, scanMessage, `SELECT `+messageColumns+` FROM messages m WHERE client_id = $1`, *clientID)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// NextOutgoing marks the message that waits longest as attempted and returns
// it, nil when none waits. What was attempted once is not attempted again: it
// may have been sent.
func (s *Store) NextOutgoing(ctx context.Context, now time.Time) (*outgoing, error) {
	rows, err := database.Collect(ctx, s.pool, func(row pgx.CollectableRow) (o outgoing, err error) {
		err = row.Scan(&o.id, &o.chatID, &o.text)
		return o, err
	}, `
		UPDATE messages SET attempted_at = $1
		WHERE id = (
			SELECT id FROM messages
			WHERE direction = 'out' AND wa_id IS NULL AND ack = 0 AND attempted_at IS NULL AND sent_at > $2
			ORDER BY id LIMIT 1)
		RETURNING id, chat_id, text`, now, now.Add(-maxWait))
	if err != nil {
		return nil, fmt.Errorf("next outgoing message: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// Sent records WhatsApp's id and ack of a message that was handed over.
func (s *Store) Sent(ctx context.Context, id int64, waID string, ack int) ([]Ack, error) {
	return s.settle(ctx, `UPDATE messages SET wa_id = $2, ack = greatest(ack, $3) WHERE id = $1 RETURNING id::text, chat_id, ack`, id, waID, ack)
}

// NotSent records that handing a message over failed.
func (s *Store) NotSent(ctx context.Context, id int64) ([]Ack, error) {
	return s.settle(ctx, `UPDATE messages SET ack = -1 WHERE id = $1 AND wa_id IS NULL RETURNING id::text, chat_id, ack`, id)
}

// FailStale marks as failed what waited too long and what was attempted long
// ago without an answer.
func (s *Store) FailStale(ctx context.Context, now time.Time) ([]Ack, error) {
	return s.settle(ctx, `
		UPDATE messages SET ack = -1
		WHERE direction = 'out' AND wa_id IS NULL AND ack = 0
		  AND (attempted_at < $1 OR attempted_at IS NULL AND sent_at <= $2)
		RETURNING id::text, chat_id, ack`, now.Add(-maxAttempt), now.Add(-maxWait))
}

// Waiting reports whether any message is neither sent nor failed.
func (s *Store) Waiting(ctx context.Context) (waiting bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM messages WHERE direction = 'out' AND wa_id IS NULL AND ack = 0)`).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("look for waiting messages: %w", err)
	}
	return waiting, nil
}

func (s *Store) settle(ctx context.Context, sql string, args ...any) ([]Ack, error) {
	acks, err := database.Collect(ctx, s.pool, scanAck, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("settle outgoing message: %w", err)
	}
	return acks, nil
}
