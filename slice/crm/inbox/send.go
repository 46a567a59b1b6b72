package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	sendDeadline = 3 * time.Minute // above the engine's own, which says more
	sendGrace    = 2 * time.Second // for a send in progress when the slice stops
)

func (s *Service) wakeOutbox() {
	s.dirty.Store(true)
	s.queue.ring()
}

// sendNext sends the message that is due, if there is one, and reports whether
// it did. It asks the database only when something was put in the outbox, or
// when the time has come that an earlier look gave.
func (s *Service) sendNext(ctx context.Context) bool {
	now := time.Now()
	due := !s.outboxAt.IsZero() && !now.Before(s.outboxAt)
	// Before the database is read: what is put in after that counts again.
	if !s.dirty.Swap(false) && !due {
		return false
	}
	s.outboxAt = time.Time{}
	if err := s.expire(ctx, now); err != nil {
		return s.outboxFailed(ctx, err)
	}
	if s.wa.Status().State != whatsapp.StateReady {
		// Looked at again when it is ready; until then only to expire.
		next, err := s.store.nextTime(ctx)
		if err != nil {
			return s.outboxFailed(ctx, err)
		}
		if !next.IsZero() {
			s.outboxAt = later(next, now.Add(notReadyLook))
		}
		return false
	}
	o, err := s.store.nextOutgoing(ctx, now)
	if err != nil {
		return s.outboxFailed(ctx, err)
	}
	if o == nil {
		if s.outboxAt, err = s.store.nextTime(ctx); err != nil {
			return s.outboxFailed(ctx, err)
		}
		return false
	}
	if !o.sending {
		if wait := s.pace.wait(now, o.source); wait > 0 {
			s.outboxAt = now.Add(wait) // or earlier, when a reply is put in
			return false
		}
	}
	s.dirty.Store(true) // there may be more
	// A send in progress is given a moment when the slice stops.
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendDeadline)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(sendGrace, cancel) })
	defer stop()
	if err := s.send(sctx, o); err != nil {
		return s.outboxFailed(ctx, err)
	}
	return true
}

// notReadyLook is how often the outbox is looked at while nothing can be sent.
const notReadyLook = time.Minute

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// outboxFailed has the outbox looked at again soon: the database was away.
func (s *Service) outboxFailed(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		s.log.Error("outbox failed; it is tried again", "error", err)
	}
	s.outboxAt = time.Now().Add(outboxRetry)
	return false
}

const outboxRetry = 2 * time.Second

// send brings one message a step on. Its id is stored before it is handed over;
// what was begun is looked up before it is handed over again.
func (s *Service) send(ctx context.Context, o *outgoing) error {
	if o.sending {
		found, err := s.wa.Message(ctx, o.whatsapp.ID)
		switch {
		case err == nil && found.Ack >= ackPending:
			return s.sent(ctx, o, whatsapp.Sent{ID: found.ID, Ack: found.Ack})
		case err == nil, errors.Is(err, whatsapp.ErrNotFound):
			// It was not sent. One that WhatsApp has as failed needs another id.
			if err == nil {
				o.whatsapp.ID = ""
			}
		default:
			return s.again(ctx, o, err)
		}
	}
	if o.whatsapp.ID == "" {
		id, err := s.wa.NewMessageID(ctx, o.whatsapp.ChatID)
		if err != nil {
			return s.again(ctx, o, err)
		}
		o.whatsapp.ID = id
	}
	if o.fileID != nil || o.whatsapp.Type != "text" {
		file, err := s.file(ctx, o.fileID)
		if errors.Is(err, errNoFile) {
			return s.fail(ctx, failureFile, `id = $2`, o.id)
		}
		if err != nil {
			return err
		}
		o.whatsapp.File = &file
	}
	_, err := s.store.pool.Exec(ctx, `UPDATE messages SET outbox = 'sending', wa_id = $2, attempts = attempts + 1, next_attempt_at = NULL WHERE id = $1`, o.id, o.whatsapp.ID)
	if err != nil {
		return fmt.Errorf("begin to send message %d: %w", o.id, err)
	}
	o.attempts++
	s.pace.sent(time.Now(), o.source)
	result, err := s.wa.Send(ctx, o.whatsapp)
	if err != nil {
		return s.again(ctx, o, err)
	}
	return s.sent(ctx, o, result)
}

func (s *Service) file(ctx context.Context, id *int64) (whatsapp.File, error) {
	if id == nil || s.files == nil {
		return whatsapp.File{}, errNoFile
	}
	return s.files.Read(ctx, *id)
}

// sent records WhatsApp's id and ack of a message that it has.
func (s *Service) sent(ctx context.Context, o *outgoing, r whatsapp.Sent) error {
	return s.bus.Transact(ctx, func(tx *event.Tx) error {
		acks, err := database.Collect(ctx, tx, scanAck, `
			UPDATE messages SET wa_id = $2, ack = greatest(ack, $3), outbox = NULL, failure = '', next_attempt_at = NULL
			WHERE id = $1 AND outbox IS NOT NULL RETURNING id::text, chat_id, ack, failure`, o.id, r.ID, max(r.Ack, ackPending))
		if err != nil {
			return fmt.Errorf("settle message %d: %w", o.id, err)
		}
		for _, a := range acks {
			tx.Emit(EventAck, a)
		}
		return nil
	})
}

// again has a message tried later, or fails it when it was tried often enough.
func (s *Service) again(ctx context.Context, o *outgoing, cause error) error {
	if ctx.Err() != nil {
		return nil // the slice stops: the next process looks it up
	}
	if errors.Is(cause, whatsapp.ErrNotReady) {
		// No fault of the message. Begun or not, it goes on when WhatsApp is ready.
		_, err := s.store.pool.Exec(ctx, `UPDATE messages SET next_attempt_at = $2 WHERE id = $1`, o.id, time.Now().Add(notReadyRetry))
		return err
	}
	s.log.Warn("message was not sent", "message", o.id, "attempt", o.attempts, "error", cause)
	switch {
	case errors.Is(cause, whatsapp.ErrRefused), errors.Is(cause, whatsapp.ErrNotFound):
		return s.fail(ctx, failureRefused, `id = $2`, o.id)
	case o.attempts > len(retryAfter):
		return s.fail(ctx, failureTries, `id = $2`, o.id)
	}
	pause := uneven(retryAfter[max(o.attempts-1, 0)])
	_, err := s.store.pool.Exec(ctx, `
		UPDATE messages SET next_attempt_at = $2, attempts = $3 WHERE id = $1`, o.id, time.Now().Add(pause), max(o.attempts, 1))
	if err != nil {
		return fmt.Errorf("put message %d off: %w", o.id, err)
	}
	return nil
}

// notReadyRetry is how soon a message is looked at again that met a page which
// was not ready, though the state said so.
const notReadyRetry = time.Second
