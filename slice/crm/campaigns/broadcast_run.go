package campaigns

import (
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"

	"github.com/jackc/pgx/v5"
)

const (
	// window is how many messages of broadcasts wait in the outbox: a few, so that
	// the outbox is never out of work, and a pause takes effect at once.
	window = 3

	// The outbox is looked at so often while a broadcast runs: often when messages
	// leave it, rarely when none does, such as while WhatsApp is offline.
	firstLook = time.Second
	lastLook  = 15 * time.Second

	progressEvery = 5 * time.Second // between two events of one broadcast
)

// progress is what was last told of a broadcast.
type progress struct {
	totals Totals
	at     time.Time
}

// runBroadcasts fills the outbox and ends what is done, the oldest broadcast
// first. It returns when it is to be called again.
func (s *Service) runBroadcasts(ctx context.Context) (next time.Time, err error) {
	ids, err := database.Collect(ctx, s.pool, pgx.RowTo[int64], `SELECT id FROM broadcasts WHERE status = 'running' ORDER BY started_at, id`)
	if err != nil {
		return time.Time{}, fmt.Errorf("running broadcasts: %w", err)
	}
	if len(ids) == 0 {
		clear(s.told)
		return time.Time{}, nil
	}
	if s.accountLeft() {
		return time.Time{}, s.pauseAll(ctx, ids)
	}
	moved, soon := false, false
	for _, id := range ids {
		for ctx.Err() == nil {
			queued, err := s.queueNext(ctx, id)
			if err != nil {
				// Such as while no phone is linked. Others would get no further.
				s.log.Warn("a broadcast cannot go on now", "broadcast", id, "error", err)
				s.look = min(2*s.look, lastLook)
				return time.Now().Add(s.look), nil
			}
			if !queued {
				break
			}
			moved = true
		}
		changed, later, err := s.tellProgress(ctx, id)
		if err != nil {
			return time.Time{}, err
		}
		moved, soon = moved || changed, soon || later
	}
	if moved || soon {
		s.look = firstLook
	} else {
		s.look = min(2*s.look, lastLook)
	}
	return time.Now().Add(s.look), nil
}

// accountLeft reports whether the account is gone that broadcasts went from:
// people are not to get the rest from another number.
func (s *Service) accountLeft() bool {
	status := s.wa.Status()
	if account := status.Account; account != nil {
		left := s.from != "" && s.from != account.ID
		s.from = account.ID
		return left
	}
	if !waitsForLink(status.State) {
		return false // it is starting, and may be linked
	}
	s.from = ""
	return true
}

// waitsForLink reports whether it is certain that no phone is linked.
func waitsForLink(state whatsapp.State) bool {
	switch state {
	case whatsapp.StateQR, whatsapp.StatePairingCode, whatsapp.StatePasskeyRequired, whatsapp.StateLoggedOut:
		return true
	}
	return false
}

func (s *Service) pauseAll(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		s.log.Info("a broadcast is paused: the phone was unlinked", "broadcast", id)
		err := s.bus.Transact(ctx, func(tx *event.Tx) error {
			b, err := lockBroadcast(ctx, tx, id)
			if platform.CodeOf(err) == platform.ErrNotFound || err == nil && b.Status != running {
				return nil
			} else if err != nil {
				return err
			}
			return setStatus(ctx, tx, id, paused)
		})
		if err != nil {
			return fmt.Errorf("pause broadcast %d: %w", id, err)
		}
	}
	return nil
}

// queueNext puts the message for the next recipient in the outbox, unless
// enough wait there. It reports whether it did, or left the recipient out.
func (s *Service) queueNext(ctx context.Context, id int64) (bool, error) {
	moved := false
	var skip string // why the recipient cannot be sent to, found by the outbox
	var n int
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		var b struct {
			status, text string
			fileID       *int64
			withFile     bool
		}
		err := tx.QueryRow(ctx, `SELECT status, text, file_id, with_file FROM broadcasts WHERE id = $1 FOR UPDATE`, id).Scan(&b.status, &b.text, &b.fileID, &b.withFile)
		if isNoRows(err) || err == nil && b.status != running {
			return nil
		} else if err != nil {
			return err
		}
		var waiting int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM messages WHERE outbox IS NOT NULL AND source = $1`, inbox.SourceBroadcast).Scan(&waiting); err != nil || waiting >= window {
			return err
		}
		var contactID *int64
		err = tx.QueryRow(ctx, `
			SELECT n, contact_id FROM broadcast_recipients WHERE broadcast_id = $1 AND status = 'waiting' ORDER BY n LIMIT 1 FOR UPDATE`, id).Scan(&n, &contactID)
		if isNoRows(err) {
			return nil
		} else if err != nil {
			return err
		}
		moved = true
		if b.withFile && b.fileID == nil {
			return skipRecipient(ctx, tx, id, n, skippedRefused)
		}
		text, chatID, reason, err := s.address(ctx, tx, id, contactID, b.text)
		if err != nil {
			return err
		}
		if reason != "" {
			return skipRecipient(ctx, tx, id, n, reason)
		}
		d, err := draft(ctx, tx, text, b.fileID)
		if err != nil {
			return err
		}
		clientID := fmt.Sprintf("broadcast-%d-%d", id, n)
		d.ChatID, d.ClientID, d.Source = chatID, &clientID, inbox.SourceBroadcast
		m, err := s.outbox.Enqueue(ctx, tx, d)
		if err != nil {
			if neverSent(err) {
				skip = skippedRefused
			}
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE broadcast_recipients SET status = 'queued', message_id = $3::text::bigint, queued_at = now() WHERE broadcast_id = $1 AND n = $2`, id, n, m.ID)
		return err
	})
	if skip != "" {
		err = s.bus.Transact(ctx, func(tx *event.Tx) error { return skipRecipient(ctx, tx, id, n, skip) })
	}
	return moved && err == nil, err
}

func skipRecipient(ctx context.Context, tx *event.Tx, id int64, n int, reason string) error {
	_, err := tx.Exec(ctx, `
		UPDATE broadcast_recipients SET status = 'skipped', reason = $3 WHERE broadcast_id = $1 AND n = $2 AND status = 'waiting'`, id, n, reason)
	return err
}

// address looks at a contact as it is now: what it is to get, and in which chat,
// or why it is left out.
func (s *Service) address(ctx context.Context, tx *event.Tx, id int64, contactID *int64, text string) (rendered, chatID, reason string, err error) {
	if contactID == nil {
		return "", "", skippedDeleted, nil
	}
	var p person
	var optedOut, reachable bool
	// The row is held, so that an opt-out comes before the message or after it.
	err = tx.QueryRow(ctx, `
		SELECT `+personColumns+`, c.opted_out_at IS NOT NULL, `+addressed+` FROM contacts c WHERE c.id = $1 FOR SHARE`, *contactID).
		Scan(&p.name, &p.company, &p.phone, &p.custom, &optedOut, &reachable)
	switch {
	case isNoRows(err):
		return "", "", skippedDeleted, nil
	case err != nil:
		return "", "", "", fmt.Errorf("contact %d: %w", *contactID, err)
	case optedOut:
		return "", "", skippedOptedOut, nil
	case !reachable:
		return "", "", skippedNoNumber, nil
	}
	if rendered, err = render(text, p.values(s.myName())); err != nil {
		return "", "", "", err
	}
	if utf8.RuneCountInString(rendered) > maxTextChars {
		return "", "", skippedTooLong, nil
	}
	if chatID, err = s.outbox.OpenChat(ctx, tx, *contactID); err != nil {
		return "", "", "", err
	}
	// A person may be there twice, as number and as LID.
	var twice bool
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM broadcast_recipients r JOIN messages m ON m.id = r.message_id WHERE r.broadcast_id = $1 AND m.chat_id = $2)`, id, chatID).Scan(&twice)
	if err == nil && twice {
		reason = skippedDuplicate
	}
	return rendered, chatID, reason, err
}

// tellProgress tells clients how far a broadcast is, not too often, and ends one
// that is done. It reports whether anything changed, and whether there is
// something to be told later.
func (s *Service) tellProgress(ctx context.Context, id int64) (changed, later bool, err error) {
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		b, err := lockBroadcast(ctx, tx, id)
		if err != nil || b.Status != running {
			return err
		}
		var open bool
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM broadcast_recipients r LEFT JOIN messages m ON m.id = r.message_id
				WHERE r.broadcast_id = $1 AND (r.status = 'waiting' OR m.outbox IS NOT NULL))`, id).Scan(&open); err != nil {
			return err
		}
		if !open {
			changed = true
			delete(s.told, id)
			return setStatus(ctx, tx, id, done)
		}
		last := s.told[id]
		if b.Totals == last.totals {
			return nil
		}
		changed = true
		if time.Since(last.at) < progressEvery {
			later = true
			return nil
		}
		s.told[id] = progress{b.Totals, time.Now()}
		tx.Emit("broadcast:updated", b)
		return nil
	})
	return changed, later, err
}

// setStatus changes the status of a broadcast and tells of it.
func setStatus(ctx context.Context, tx *event.Tx, id int64, status string) error {
	_, err := tx.Exec(ctx, `
		UPDATE broadcasts SET status = $2, updated_at = now(), started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
			finished_at = CASE WHEN $2 IN ('done', 'cancelled') THEN now() ELSE finished_at END
		WHERE id = $1`, id, status)
	if err != nil {
		return fmt.Errorf("status of broadcast %d: %w", id, err)
	}
	b, err := getBroadcast(ctx, tx, id)
	if err == nil {
		tx.Emit("broadcast:updated", b)
	}
	return err
}

func parseID(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
