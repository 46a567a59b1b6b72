package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// quoteChars is how much of a quoted message is shown.
const quoteChars = "200"

// messageColumns are what scanMessage reads of messages AS m.
const messageColumns = `m.id::text, m.chat_id, m.direction, m.sender_id, m.sender_name, m.type, m.text, m.media, m.file_id::text,
	(SELECT json_build_object('id', q.id::text, 'direction', q.direction, 'sender_name', q.sender_name, 'type', q.type, 'text', left(q.text, ` + quoteChars + `))
	 FROM messages q WHERE q.wa_id = m.quoted_wa_id AND q.chat_id = m.chat_id),
	(SELECT json_agg(json_build_object('sender_id', r.sender_id, 'emoji', r.emoji) ORDER BY r.reacted_at, r.sender_id) FROM reactions r WHERE r.message_id = m.id),
	m.ack, m.failure, m.source, m.client_id, m.sent_at, m.edited_at, m.deleted_at`

// scanned takes in messageColumns; all may be null, where there is no message.
type scanned struct {
	id, chatID, direction, senderID, senderName, kind, text *string
	media                                                   *Media
	fileID                                                  *string
	quoted                                                  *Quote
	reactions                                               []Reaction
	ack                                                     *int
	failure, source, clientID                               *string
	sentAt, editedAt, deletedAt                             *time.Time
}

func (s *scanned) fields() []any {
	return []any{&s.id, &s.chatID, &s.direction, &s.senderID, &s.senderName, &s.kind, &s.text, &s.media, &s.fileID, &s.quoted, &s.reactions,
		&s.ack, &s.failure, &s.source, &s.clientID, &s.sentAt, &s.editedAt, &s.deletedAt}
}

func (s *scanned) message() Message {
	m := Message{
		ID: *s.id, ChatID: *s.chatID, Direction: *s.direction, SenderID: *s.senderID, SenderName: *s.senderName,
		Type: *s.kind, Text: *s.text, Media: s.media, Quoted: s.quoted, Reactions: s.reactions,
		Ack: ackName(*s.ack), Failure: *s.failure, Source: *s.source, ClientID: s.clientID,
		SentAt: s.sentAt.UTC(), EditedAt: utc(s.editedAt), DeletedAt: utc(s.deletedAt),
	}
	if m.Media != nil {
		m.Media.FileID = s.fileID
	}
	if m.Reactions == nil {
		m.Reactions = []Reaction{}
	}
	return m
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func scanMessage(row pgx.CollectableRow) (Message, error) {
	var s scanned
	if err := row.Scan(s.fields()...); err != nil {
		return Message{}, err
	}
	return s.message(), nil
}

// waiting is true of chats whose customer waits for an answer; it is the
// condition of the index.
const waiting = `(c.last_in_at IS NOT NULL AND (c.last_out_at IS NULL OR c.last_in_at > c.last_out_at))`

// chatColumns are what scanChat reads of chats AS c; messageColumns follow.
const chatColumns = `c.id, coalesce(nullif(k.name, ''), c.name), coalesce(k.phone, c.phone), c.is_group, c.contact_id::text, c.unread, c.status, c.snoozed_until,
	(SELECT json_agg(json_build_object('id', l.id::text, 'name', l.name, 'color', l.color) ORDER BY lower(l.name))
	 FROM chat_labels cl JOIN labels l ON l.id = cl.label_id WHERE cl.chat_id = c.id),
	c.last_message_at, CASE WHEN ` + waiting + ` THEN c.last_in_at END`

// chatTables joins what chatColumns and messageColumns need to chats AS c.
const chatTables = `
	LEFT JOIN contacts k ON k.id = c.contact_id
	LEFT JOIN LATERAL (SELECT * FROM messages WHERE chat_id = c.id ORDER BY sent_at DESC, id DESC LIMIT 1) m ON true`

func scanChat(row pgx.CollectableRow) (Chat, error) {
	var c Chat
	var m scanned
	err := row.Scan(append([]any{&c.ID, &c.Name, &c.Phone, &c.IsGroup, &c.ContactID, &c.Unread, &c.Status, &c.SnoozedUntil,
		&c.Labels, &c.LastMessageAt, &c.WaitingSince}, m.fields()...)...)
	if err != nil {
		return c, err
	}
	c.LastMessageAt, c.SnoozedUntil, c.WaitingSince = utc(c.LastMessageAt), utc(c.SnoozedUntil), utc(c.WaitingSince)
	if c.Labels == nil {
		c.Labels = []Label{}
	}
	if m.id != nil {
		last := m.message()
		c.LastMessage = &last
	}
	return c, nil
}

// activity is what chats are ordered by; it is the expression of the indexes.
const activity = `coalesce(c.last_message_at, '1970-01-01 00:00:00+00'::timestamptz)`

// Sorts of the list of chats.
const (
	SortActivity = "activity" // latest message first
	SortWaiting  = "waiting"  // only chats that wait for an answer, longest first
)

// Filter selects chats; a zero field selects all.
type Filter struct {
	Statuses []string
	Unread   bool
	LabelID  int64
	Group    *bool
	Sort     string // "" is SortActivity
}

// Chats returns at most limit chats after the cursor. Chats are found first, and
// what belongs to them after that.
func (s *Store) Chats(ctx context.Context, f Filter, limit int, after *request.Cursor) (ChatPage, error) {
	args := []any{limit + 1}
	var where []string
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if len(f.Statuses) > 0 {
		where = append(where, "c.status = ANY("+arg(f.Statuses)+")")
	}
	if f.Unread {
		where = append(where, "c.unread > 0")
	}
	if f.LabelID != 0 {
		where = append(where, "EXISTS (SELECT FROM chat_labels WHERE chat_id = c.id AND label_id = "+arg(f.LabelID)+")")
	}
	if f.Group != nil {
		where = append(where, "c.is_group = "+arg(*f.Group))
	}
	key, order, beyond := activity, activity+" DESC, c.id DESC", "<"
	if f.Sort == SortWaiting {
		key, order, beyond = "c.last_in_at", "c.last_in_at, c.id", ">"
		where = append(where, waiting, "c.status IN ('open', 'pending')")
	}
	if after != nil {
		where = append(where, "("+key+", c.id) "+beyond+" ("+arg(after.Time())+", "+arg(after.ID)+")")
	}
	inner := "SELECT c.* FROM chats c"
	if len(where) > 0 {
		inner += " WHERE " + strings.Join(where, " AND ")
	}
	inner += " ORDER BY " + order + " LIMIT $1"
	chats, err := database.Collect(ctx, s.pool, scanChat,
		"SELECT "+chatColumns+", "+messageColumns+" FROM ("+inner+") c"+chatTables+" ORDER BY "+order, args...)
	if err != nil {
		return ChatPage{}, fmt.Errorf("list chats: %w", err)
	}
	page := ChatPage{Chats: chats}
	if len(chats) > limit {
		page.Chats = chats[:limit]
		last := page.Chats[limit-1]
		at := last.LastMessageAt
		if f.Sort == SortWaiting {
			at = last.WaitingSince
		}
		if at == nil {
			epoch := time.Unix(0, 0)
			at = &epoch
		}
		next := request.Cursor{Micros: at.UnixMicro(), ID: last.ID}.String()
		page.NextCursor = &next
	}
	return page, nil
}

// Counts is how many chats there are.
type Counts struct {
	Open    int `json:"open"`
	Pending int `json:"pending"`
	Closed  int `json:"closed"`
	Snoozed int `json:"snoozed"`
	Unread  int `json:"unread"`  // chats with unread messages
	Waiting int `json:"waiting"` // open or pending, whose customer waits for an answer
}

// Counts counts the chats.
func (s *Store) Counts(ctx context.Context) (c Counts, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE c.status = 'open'), count(*) FILTER (WHERE c.status = 'pending'),
		       count(*) FILTER (WHERE c.status = 'closed'), count(*) FILTER (WHERE c.status = 'snoozed'),
		       count(*) FILTER (WHERE c.unread > 0), count(*) FILTER (WHERE `+waiting+` AND c.status IN ('open', 'pending'))
		FROM chats c`).Scan(&c.Open, &c.Pending, &c.Closed, &c.Snoozed, &c.Unread, &c.Waiting)
	if err != nil {
		return Counts{}, fmt.Errorf("count chats: %w", err)
	}
	return c, nil
}

// errNoChat and errNoMessage say that there is nothing of that id.
var (
	errNoChat    = errors.New("no such chat")
	errNoMessage = errors.New("no such message")
	errBadCursor = errors.New("the cursor is of another list")
)

// Chat returns one chat, or errNoChat.
func (s *Store) Chat(ctx context.Context, id string) (Chat, error) { return getChat(ctx, s.pool, id) }

func getChat(ctx context.Context, q database.Querier, id string) (Chat, error) {
	chats, err := database.Collect(ctx, q, scanChat, "SELECT "+chatColumns+", "+messageColumns+" FROM chats c"+chatTables+" WHERE c.id = $1", id)
	if err != nil {
		return Chat{}, fmt.Errorf("get chat: %w", err)
	}
	if len(chats) == 0 {
		return Chat{}, errNoChat
	}
	return chats[0], nil
}

func getMessage(ctx context.Context, q database.Querier, id int64) (Message, error) {
	messages, err := database.Collect(ctx, q, scanMessage, "SELECT "+messageColumns+" FROM messages m WHERE m.id = $1", id)
	if err != nil {
		return Message{}, fmt.Errorf("get message: %w", err)
	}
	if len(messages) == 0 {
		return Message{}, errNoMessage
	}
	return messages[0], nil
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
		page.NextCursor = cursorOf(page.Messages[limit-1])
	}
	slices.Reverse(page.Messages)
	return page, nil
}

func cursorOf(m Message) *string {
	next := request.Cursor{Micros: m.SentAt.UnixMicro(), ID: m.ID}.String()
	return &next
}
