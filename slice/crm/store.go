package crm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxConns is below the connection limit of a slice's role.
	maxConns = 4
	// maxConnIdle is short, because thousands of idle slices share a server and
	// must not hold connections to it.
	maxConnIdle       = 15 * time.Second
	connCheckInterval = 5 * time.Second
	connectTimeout    = 5 * time.Second
	statementTimeout  = "15000" // ms; every query here takes milliseconds
)

// Store is the slice's database.
type Store struct{ pool *pgxpool.Pool }

// OpenStore prepares a pool that connects when it is first used.
func OpenStore(databaseURL string) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("database URL: not a PostgreSQL URL") // pgx's text may hold the password
	}
	cfg.MaxConns, cfg.MinConns = maxConns, 0
	cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = maxConnIdle, connCheckInterval
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.RuntimeParams["application_name"] = "slice"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = statementTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return &Store{pool: pool}, nil
}

// Close closes the pool.
func (s *Store) Close() { s.pool.Close() }

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
func (s *Store) Chats(ctx context.Context, limit int, after *cursor) (ChatPage, error) {
	query, args := chatQuery, []any{limit + 1}
	if after != nil {
		query += ` WHERE (` + activity + `, c.id) < ($2, $3)`
		args = append(args, after.time(), after.ID)
	}
	query += ` ORDER BY ` + activity + ` DESC, c.id DESC LIMIT $1`
	chats, err := collect(ctx, s.pool, scanChat, query, args...)
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
		next := cursor{at.UnixMicro(), last.ID}.String()
		page.NextCursor = &next
	}
	return page, nil
}

// errNoChat says that there is no chat of that id.
var errNoChat = errors.New("no such chat")

// Chat returns one chat, or errNoChat.
func (s *Store) Chat(ctx context.Context, id string) (Chat, error) { return getChat(ctx, s.pool, id) }

func getChat(ctx context.Context, q querier, id string) (Chat, error) {
	chats, err := collect(ctx, q, scanChat, chatQuery+` WHERE c.id = $1`, id)
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
func (s *Store) Messages(ctx context.Context, chatID string, limit int, before *cursor) (MessagePage, error) {
	query, args := `SELECT `+messageColumns+` FROM messages m WHERE m.chat_id = $1`, []any{chatID, limit + 1}
	if before != nil {
		id, err := strconv.ParseInt(before.ID, 10, 64)
		if err != nil {
			return MessagePage{}, errBadCursor
		}
		query += ` AND (m.sent_at, m.id) < ($3, $4)`
		args = append(args, before.time(), id)
	}
	query += ` ORDER BY m.sent_at DESC, m.id DESC LIMIT $2`
	messages, err := collect(ctx, s.pool, scanMessage, query, args...)
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
		next := cursor{oldest.SentAt.UnixMicro(), oldest.ID}.String()
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
