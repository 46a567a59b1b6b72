package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
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

// sourceRules say when a message of a source is sent and when it is given up:
// nobody expects that what was written in the morning is sent in the evening.
var sourceRules = map[string]struct {
	priority int
	lifetime time.Duration
}{
	SourceUser:      {0, time.Hour},
	SourceScheduled: {1, 24 * time.Hour},
	SourceBroadcast: {2, 48 * time.Hour},
}

// maxWaiting messages of a source may wait to be sent. More than that is no
// person who types.
const maxWaiting = 200

// An attempt that failed is made again after these pauses, then the message has
// failed.
var retryAfter = []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// Why a message was not sent, for the user.
const (
	failureRefused = "WhatsApp refused this message."
	failureTries   = "WhatsApp did not take this message, however often it was tried."
	failureExpired = "WhatsApp could not be reached for too long."
	failureFile    = "The file is not here any more."
	failureUnknown = "It is not known whether WhatsApp sent this message: look on the phone."
	failureLogout  = "The link to the phone was ended before this message was sent."
)

var (
	errTooManyWaiting = errors.New("too many messages wait to be sent")
	errClientIDTaken  = errors.New("the client id was used for another message")
	errNoQuoted       = errors.New("the message that is answered is not in this chat")
	errNoFile         = errors.New("no such file")
	errNotLinked      = errors.New("no phone is linked")
)

// Enqueue puts a message in the outbox within the caller's transaction. With a
// client id that is known already it returns that message; a client id of
// another text or chat is ErrConflict. An unknown chat is ErrNotFound. Nothing
// is sent before the transaction is committed.
func (s *Service) Enqueue(ctx context.Context, tx *event.Tx, d Draft) (Message, error) {
	m, err := s.enqueue(ctx, tx, d, s.account.Load(), time.Now())
	return m, public(err)
}

func (s *Service) enqueue(ctx context.Context, tx *event.Tx, d Draft, account *whatsapp.Account, now time.Time) (Message, error) {
	rules, ok := sourceRules[d.Source]
	if !ok {
		return Message{}, fmt.Errorf("message of source %q", d.Source)
	}
	// The chat's row also keeps two requests with one client id apart.
	tag, err := tx.Exec(ctx, `SELECT FROM chats WHERE id = $1 FOR UPDATE`, d.ChatID)
	if err != nil {
		return Message{}, err
	}
	if tag.RowsAffected() == 0 {
		return Message{}, errNoChat
	}
	if known, err := byClientID(ctx, tx, d.ClientID); err != nil || known != nil {
		if err == nil && (known.ChatID != d.ChatID || known.Text != d.Text || known.Type != d.Type) {
			err = errClientIDTaken
		}
		if err != nil {
			return Message{}, err
		}
		return *known, nil
	}
	if account == nil {
		return Message{}, errNotLinked
	}
	var waiting int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM messages WHERE outbox IS NOT NULL AND source = $1`, d.Source).Scan(&waiting); err != nil {
		return Message{}, err
	}
	if waiting >= maxWaiting {
		return Message{}, errTooManyWaiting
	}
	var quoted *string
	if d.QuotedID != nil {
		err := tx.QueryRow(ctx, `SELECT wa_id FROM messages WHERE id = $1 AND chat_id = $2 AND wa_id IS NOT NULL`, *d.QuotedID, d.ChatID).Scan(&quoted)
		if errors.Is(err, pgx.ErrNoRows) {
			err = errNoQuoted
		}
		if err != nil {
			return Message{}, err
		}
	}
	var media *whatsapp.Media
	if d.FileID != nil {
		media = new(whatsapp.Media)
		err := tx.QueryRow(ctx, `SELECT name, mime_type, size FROM files WHERE id = $1 AND complete FOR UPDATE`, *d.FileID).Scan(&media.Name, &media.MIMEType, &media.Size)
		if errors.Is(err, pgx.ErrNoRows) {
			err = errNoFile
		}
		if err != nil {
			return Message{}, err
		}
	}
	// A key that another chat took meanwhile gives no row.
	rows, err := database.Collect(ctx, tx, scanMessage, `
		INSERT INTO messages AS m (chat_id, direction, sender_id, sender_name, type, text, ack, client_id, sent_at,
			quoted_wa_id, media, file_id, source, outbox, priority, expires_at)
		VALUES ($1, 'out', $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, 'waiting', $12, $13) ON CONFLICT (client_id) DO NOTHING RETURNING `+messageColumns,
		d.ChatID, account.ID, account.Name, d.Type, d.Text, d.ClientID, whole(now),
		quoted, media, d.FileID, d.Source, rules.priority, now.Add(rules.lifetime))
	if err != nil {
		return Message{}, fmt.Errorf("insert outgoing message: %w", err)
	}
	if len(rows) == 0 {
		return Message{}, errClientIDTaken
	}
	m := rows[0]
	_, err = tx.Exec(ctx, `
		UPDATE chats SET last_message_at = greatest(last_message_at, $2), last_out_at = greatest(last_out_at, $2),
			unread = CASE WHEN $3 THEN 0 ELSE unread END
		WHERE id = $1`, d.ChatID, m.SentAt, d.Source == SourceUser)
	if err != nil {
		return Message{}, err
	}
	tx.Emit(EventMessage, m)
	tx.AfterCommit(s.wakeOutbox)
	return m, emitChat(ctx, tx, d.ChatID)
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

// Retry puts a message that has failed back in the outbox.
func (s *Service) Retry(ctx context.Context, id int64) (Message, error) {
	var m Message
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		rules := sourceRules[SourceUser] // it is a person who asks
		tag, err := tx.Exec(ctx, `
			UPDATE messages SET outbox = CASE WHEN wa_id IS NULL THEN 'waiting' ELSE 'sending' END, ack = 0, attempts = 0, failure = '',
				next_attempt_at = NULL, expires_at = $2, priority = $3
			WHERE id = $1 AND direction = 'out' AND ack = -1`, id, time.Now().Add(rules.lifetime), rules.priority)
		if err != nil {
			return err
		}
		if m, err = getMessage(ctx, tx, id); err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrConflict, "Only a message that has failed can be sent again; this one is %s.", m.Ack)
		}
		tx.Emit(EventAck, Ack{ID: m.ID, ChatID: m.ChatID, Ack: m.Ack})
		tx.AfterCommit(s.wakeOutbox)
		return nil
	})
	return m, public(err)
}

// outgoing is a message that waits to be sent.
type outgoing struct {
	id       int64
	whatsapp whatsapp.Outgoing // without the file
	fileID   *int64
	source   string
	sending  bool // it was begun: it may have been sent
	attempts int
}

// nextOutgoing returns what is to be sent first, nil when nothing is due.
func (s *Store) nextOutgoing(ctx context.Context, now time.Time) (*outgoing, error) {
	rows, err := database.Collect(ctx, s.pool, func(row pgx.CollectableRow) (o outgoing, err error) {
		err = row.Scan(&o.id, &o.whatsapp.ID, &o.whatsapp.ChatID, &o.whatsapp.Type, &o.whatsapp.Text, &o.whatsapp.QuotedID,
			&o.fileID, &o.source, &o.sending, &o.attempts)
		return o, err
	}, `
		SELECT id, coalesce(wa_id, ''), chat_id, type, text, coalesce(quoted_wa_id, ''), file_id, source, outbox = 'sending', attempts
		FROM messages WHERE outbox IS NOT NULL AND (next_attempt_at IS NULL OR next_attempt_at <= $1)
		ORDER BY priority, id LIMIT 1`, now)
	if err != nil {
		return nil, fmt.Errorf("next outgoing message: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// nextTime returns when the outbox has to be looked at again though nothing
// happens, the zero time for never.
func (s *Store) nextTime(ctx context.Context) (time.Time, error) {
	var next *time.Time
	err := s.pool.QueryRow(ctx, `
		SELECT min(least(next_attempt_at, CASE outbox WHEN 'waiting' THEN expires_at ELSE expires_at + $1 END))
		FROM messages WHERE outbox IS NOT NULL`, lookUpFor).Scan(&next)
	if err != nil {
		return time.Time{}, fmt.Errorf("next time of the outbox: %w", err)
	}
	if next == nil {
		return time.Time{}, nil
	}
	return *next, nil
}

// lookUpFor is how long after its time a message is looked for that was begun.
const lookUpFor = time.Hour

// expire fails what could not be sent in time. What was begun is looked up
// before.
func (s *Service) expire(ctx context.Context, now time.Time) error {
	if err := s.fail(ctx, failureExpired, `outbox = 'waiting' AND expires_at <= $2`, now); err != nil {
		return err
	}
	return s.fail(ctx, failureUnknown, `outbox = 'sending' AND expires_at <= $2`, now.Add(-lookUpFor))
}

// fail fails the messages that the condition names; its arguments follow $1.
func (s *Service) fail(ctx context.Context, why, condition string, args ...any) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		acks, err := database.Collect(ctx, tx, scanAck, `
			UPDATE messages SET ack = -1, outbox = NULL, failure = $1 WHERE `+condition+` RETURNING id::text, chat_id, ack, failure`, append([]any{why}, args...)...)
		if err != nil {
			return fmt.Errorf("fail messages: %w", err)
		}
		for _, a := range acks {
			tx.Emit(EventAck, a)
		}
		return nil
	})
}

func scanAck(row pgx.CollectableRow) (Ack, error) {
	var a Ack
	var ack int
	err := row.Scan(&a.ID, &a.ChatID, &ack, &a.Failure)
	a.Ack = ackName(ack)
	return a, err
}

func scanID(row pgx.CollectableRow) (id int64, err error) {
	err = row.Scan(&id)
	return id, err
}
