package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// Store is what the inbox keeps in the slice's database.
type Store struct{ pool *pgxpool.Pool }

// NewStore returns a store on a pool that somebody else closes.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// messageColumns are what scanMessage reads.
const messageColumns = `m.id, m.chat_id, m.direction, m.sender_id, m.sender_name, m.type, m.text, m.ack, m.client_id, m.sent_at`

func scanMessage(row pgx.CollectableRow) (Message, error) {
	var m Message
	var id int64
	var ack int
	err := row.Scan(&id, &m.ChatID, &m.Direction, &m.SenderID, &m.SenderName, &m.Type, &m.Text, &ack, &m.ClientID, &m.SentAt)
	m.ID, m.Ack, m.SentAt = strconv.FormatInt(id, 10), ackName(ack), m.SentAt.UTC()
	return m, err
}

// chatQuery selects chats with their latest message. It ends where a WHERE or
// an ORDER BY follows.
const chatQuery = `
SELECT c.id, c.name, c.phone, c.is_group, c.unread, c.last_message_at,
       m.id, m.direction, m.sender_id, m.sender_name, m.type, m.text, m.ack, m.client_id, m.sent_at
FROM chats c
LEFT JOIN LATERAL (
    SELECT * FROM messages WHERE chat_id = c.id ORDER BY sent_at DESC, id DESC LIMIT 1
) m ON true`

func scanChat(row pgx.CollectableRow) (Chat, error) {
	var c Chat
	var m struct {
		id                                                  *int64
		direction, senderID, senderName, kind, text, client *string
		ack                                                 *int
		sentAt                                              *time.Time
	}
	err := row.Scan(&c.ID, &c.Name, &c.Phone, &c.IsGroup, &c.Unread, &c.LastMessageAt,
		&m.id, &m.direction, &m.senderID, &m.senderName, &m.kind, &m.text, &m.ack, &m.client, &m.sentAt)
	if err != nil {
		return c, err
	}
	if c.LastMessageAt != nil {
		*c.LastMessageAt = c.LastMessageAt.UTC()
	}
	if m.id != nil {
		c.LastMessage = &Message{
			ID: strconv.FormatInt(*m.id, 10), ChatID: c.ID, Direction: *m.direction,
			SenderID: *m.senderID, SenderName: *m.senderName, Type: *m.kind, Text: *m.text,
			Ack: ackName(*m.ack), ClientID: m.client, SentAt: m.sentAt.UTC(),
		}
	}
	return c, nil
}

// activity is what chats are ordered by; it is the expression of the index.
const activity = `coalesce(c.last_message_at, '1970-01-01 00:00:00+00'::timestamptz)`

// Chats returns at most limit chats after the cursor, latest activity first.
func (s *Store) Chats(ctx context.Context, limit int, after *request.Cursor) (ChatPage, error) {
	query, args := chatQuery, []any{limit + 1}
	if after != nil {
		query += ` WHERE (` + activity + `, c.id) < ($2, $3)`
		args = append(args, after.Time(), after.ID)
	}
	query += ` ORDER BY ` + activity + ` DESC, c.id DESC LIMIT $1`
	chats, err := database.Collect(ctx, s.pool, scanChat, query, args...)
	if err != nil {
		return ChatPage{}, fmt.Errorf("list chats: %w", err)
	}
	page := ChatPage{Chats: chats}
	if len(chats) > limit {
		page.Chats = chats[:limit]
		last := page.Chats[limit-1]
		at := time.Unix(0, 0)
		if last.LastMessageAt != nil {
			at = *last.LastMessageAt
		}
		next := request.Cursor{Micros: at.UnixMicro(), ID: last.ID}.String()
		page.NextCursor = &next
	}
	return page, nil
}

// errNoChat says that there is no chat of that id.
var errNoChat = errors.New("no such chat")

// Chat returns one chat, or errNoChat.
func (s *Store) Chat(ctx context.Context, id string) (Chat, error) { return getChat(ctx, s.pool, id) }

func getChat(ctx context.Context, q database.Querier, id string) (Chat, error) {
	chats, err := database.Collect(ctx, q, scanChat, chatQuery+` WHERE c.id = $1`, id)
	if err != nil {
		return Chat{}, fmt.Errorf("get chat: %w", err)
	}
	if len(chats) == 0 {
		return Chat{}, errNoChat
	}
	return chats[0], nil
}

// Messages returns at most limit messages of a chat before the cursor, oldest
// first, or errNoChat.
func (s *Store) Messages(ctx context.Context, chatID string, limit int, before *request.Cursor) (MessagePage, error) {
	query, args := `SELECT `+messageColumns+` FROM messages m WHERE m.chat_id = $1`, []any{chatID, limit + 1}
	if before != nil {
		id, err := strconv.ParseInt(before.ID, 10, 64)
		if err != nil {
			return MessagePage{}, errBadCursor
		}
		query += ` AND (m.sent_at, m.id) < ($3, $4)`
		args = append(args, before.Time(), id)
	}
	query += ` ORDER BY m.sent_at DESC, m.id DESC LIMIT $2`
	messages, err := database.Collect(ctx, s.pool, scanMessage, query, args...)
	if err != nil {
		return MessagePage{}, fmt.Errorf("list messages: %w", err)
	}
	page := MessagePage{Messages: messages}
	if len(messages) == 0 {
		if _, err := s.Chat(ctx, chatID); err != nil {
			return MessagePage{}, err
		}
	}
	if len(messages) > limit {
		page.Messages = messages[:limit]
		oldest := page.Messages[limit-1]
		next := request.Cursor{Micros: oldest.SentAt.UnixMicro(), ID: oldest.ID}.String()
		page.NextCursor = &next
	}
	slices.Reverse(page.Messages)
	return page, nil
}

var errBadCursor = errors.New("the cursor is of another list")

// MarkRead sets a chat's unread count to zero. It reports whether that changed
// anything, or errNoChat.
func (s *Store) MarkRead(ctx context.Context, chatID string) (changed bool, err error) {
	tag, err := s.pool.Exec(ctx, `UPDATE chats SET unread = 0 WHERE id = $1 AND unread > 0`, chatID)
	if err != nil {
		return false, fmt.Errorf("mark chat read: %w", err)
	}
	if tag.RowsAffected() == 0 {
		_, err := s.Chat(ctx, chatID)
		return false, err
	}
	return true, nil
}
