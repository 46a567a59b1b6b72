package campaigns

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/database"
)

const (
	maxAhead     = 366 * 24 * time.Hour // a message is scheduled within a year
	maxScheduled = 1000                 // messages that are scheduled

	// maxLate is how late a message may be put in the outbox. One that could not
	// be for longer is not wanted any more.
	maxLate = 24 * time.Hour

	// What could not be put in the outbox is tried again after pauses that double.
	firstRetryDue = 2 * time.Second
	lastRetryDue  = time.Minute
	// dueBatch bounds what is looked at in one go.
	dueBatch = 100
)

// Scheduled is a message that is to be sent at a time.
type Scheduled struct {
	ID        string    `json:"id"`
	ChatID    string    `json:"chat_id"`
	Text      string    `json:"text"`
	FileID    *string   `json:"file_id"`
	DueAt     time.Time `json:"due_at"`
	Status    string    `json:"status"`     // scheduled, sent, cancelled, failed
	Failure   string    `json:"failure"`    // why it failed
	MessageID *string   `json:"message_id"` // in the chat, once it is sent; its ack says the rest
	ClientID  *string   `json:"client_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

const scheduledColumns = `id::text, chat_id, text, file_id::text, due_at, status, failure, message_id::text, client_id, created_at, updated_at`

func scanScheduled(row pgx.CollectableRow) (m Scheduled, err error) {
	err = row.Scan(&m.ID, &m.ChatID, &m.Text, &m.FileID, &m.DueAt, &m.Status, &m.Failure, &m.MessageID, &m.ClientID, &m.CreatedAt, &m.UpdatedAt)
	m.DueAt, m.CreatedAt, m.UpdatedAt = m.DueAt.UTC(), m.CreatedAt.UTC(), m.UpdatedAt.UTC()
	return m, err
}

// sendDue puts all that is due in the outbox, and returns when the next is.
func (s *Service) sendDue(ctx context.Context) (next time.Time, err error) {
	now := time.Now() // one for both questions: what becomes due meanwhile is the next
	var put int64     // the latest that was looked at, so that one that cannot be sent now stops no other
	var blocked bool
	for {
		ids, err := database.Collect(ctx, s.pool, pgx.RowTo[int64], `
			SELECT id FROM scheduled_messages WHERE status = 'scheduled' AND due_at <= $1 AND id > $2 ORDER BY id LIMIT $3`, now, put, dueBatch)
		if err != nil {
			return time.Time{}, fmt.Errorf("due messages: %w", err)
		}
		for _, id := range ids {
			put = id
			if err := s.sendScheduled(ctx, id); err != nil {
				s.log.Warn("a scheduled message cannot be sent now", "scheduled", id, "error", err)
				blocked = true
			}
			if ctx.Err() != nil {
				return time.Time{}, ctx.Err()
			}
		}
		if len(ids) < dueBatch {
			break
		}
	}
	var at *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT min(due_at) FROM scheduled_messages WHERE status = 'scheduled' AND due_at > $1`, now).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("next due message: %w", err)
	}
	if at != nil {
		next = *at
	}
	if !blocked {
		s.retryDue = 0
		return next, nil
	}
	s.retryDue = min(max(2*s.retryDue, firstRetryDue), lastRetryDue)
	if retry := now.Add(s.retryDue); next.IsZero() || retry.Before(next) {
		next = retry
	}
	return next, nil
}

// sendScheduled puts a message in the outbox and marks it, both or neither.
func (s *Service) sendScheduled(ctx context.Context, id int64) error {
	var never error
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		m, withFile, err := lockScheduled(ctx, tx, id)
		if err != nil || m.Status != "scheduled" {
			return err
		}
		fileID, fault := (*int64)(nil), ""
		if m.FileID != nil {
			n, err := strconv.ParseInt(*m.FileID, 10, 64)
			if err != nil {
				return err
			}
			fileID = &n
		}
		now := time.Now()
		switch {
		case m.DueAt.After(now): // it was changed meanwhile
			return nil
		case now.Sub(m.DueAt) > maxLate:
			fault = fmt.Sprintf("It could not be sent within %d hours.", int(maxLate.Hours()))
		case withFile && fileID == nil:
			fault = failureNoFile
		}
		if fault != "" {
			return failScheduled(ctx, tx, id, fault)
		}
		d, err := draft(ctx, tx, m.Text, fileID)
		if err != nil {
			return err
		}
		clientID := "scheduled-" + m.ID
		d.ChatID, d.ClientID, d.Source = m.ChatID, &clientID, inbox.SourceScheduled
		sent, err := s.outbox.Enqueue(ctx, tx, d)
		if err != nil {
			if neverSent(err) {
				never = err
			}
			return err
		}
		return changeScheduled(ctx, tx, "scheduled:sent", `status = 'sent', message_id = $2::text::bigint`, id, sent.ID)
	})
	if never == nil {
		return err
	}
	var public *platform.Error
	errors.As(never, &public) // as neverSent found
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		m, _, err := lockScheduled(ctx, tx, id)
		if err != nil || m.Status != "scheduled" {
			return err
		}
		return failScheduled(ctx, tx, id, public.Message)
	})
}

// lockScheduled reads a message and keeps others from it.
func lockScheduled(ctx context.Context, tx *event.Tx, id int64) (m Scheduled, withFile bool, err error) {
	rows, err := database.Collect(ctx, tx, scanScheduled, `SELECT `+scheduledColumns+` FROM scheduled_messages WHERE id = $1 FOR UPDATE`, id)
	if err != nil {
		return m, false, fmt.Errorf("scheduled message %d: %w", id, err)
	}
	if len(rows) == 0 {
		return m, false, errNoScheduled()
	}
	err = tx.QueryRow(ctx, `SELECT with_file FROM scheduled_messages WHERE id = $1`, id).Scan(&withFile)
	return rows[0], withFile, err
}

func errNoScheduled() error {
	return platform.Errorf(platform.ErrNotFound, "There is no such scheduled message.")
}

func failScheduled(ctx context.Context, tx *event.Tx, id int64, fault string) error {
	return changeScheduled(ctx, tx, "scheduled:updated", `status = 'failed', failure = $2`, id, fault)
}

// changeScheduled changes a message and tells of it. The arguments follow the id
// as $1.
func changeScheduled(ctx context.Context, tx *event.Tx, name, set string, id int64, args ...any) error {
	rows, err := database.Collect(ctx, tx, scanScheduled, `
		UPDATE scheduled_messages SET `+set+`, updated_at = now() WHERE id = $1 RETURNING `+scheduledColumns, append([]any{id}, args...)...)
	if err != nil {
		return fmt.Errorf("scheduled message %d: %w", id, err)
	}
	tx.Emit(name, rows[0])
	return nil
}
