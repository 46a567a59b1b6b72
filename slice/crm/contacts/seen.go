package contacts

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// Seen returns the contact behind a WhatsApp id, and makes it where there is
// none. An id that comes with the phone number of a known contact is one more id
// of that contact; where both were contacts already they become one, because
// WhatsApp itself says that they are one person. Name is what WhatsApp says; ""
// keeps what is there. Events are told when tx is an event.Tx.
func Seen(ctx context.Context, tx database.Querier, waID, phone, name string) (id int64, err error) {
	var known struct {
		phone *string
		name  string
	}
	err = tx.QueryRow(ctx, `SELECT c.id, c.phone, c.wa_name FROM contact_ids i JOIN contacts c ON c.id = i.contact_id WHERE wa_id = $1`, waID).
		Scan(&id, &known.phone, &known.name)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		id, err = firstSeen(ctx, tx, waID, phone, name)
	case err == nil:
		if phone != "" && known.phone == nil {
			if id, err = phoneSeen(ctx, tx, id, phone); err != nil {
				break
			}
		} else if name == "" || name == known.name {
			return id, nil
		}
		_, err = tx.Exec(ctx, `
			UPDATE contacts SET wa_name = coalesce(nullif($2, ''), wa_name), updated_at = now() WHERE id = $1 AND $2 NOT IN ('', wa_name)`, id, name)
		if err == nil {
			err = tell(ctx, tx, "contact:updated", id)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("contact of %s: %w", waID, err)
	}
	return id, nil
}

// firstSeen binds a WhatsApp id that is not known to the contact with the phone,
// or to a new one.
func firstSeen(ctx context.Context, tx database.Querier, waID, phone, name string) (id int64, err error) {
	if phone != "" {
		if id, err = owner(ctx, tx, phone); err != nil {
			return 0, err
		}
	}
	fresh := false
	if id == 0 {
		err = tx.QueryRow(ctx, `
			INSERT INTO contacts AS c (phone, wa_name) VALUES (nullif($1, ''), $2)
			ON CONFLICT (phone) DO UPDATE SET wa_name = coalesce(nullif($2, ''), c.wa_name) RETURNING id, xmax = 0`, phone, name).Scan(&id, &fresh)
	} else {
		_, err = tx.Exec(ctx, `UPDATE contacts SET wa_name = coalesce(nullif($2, ''), wa_name) WHERE id = $1`, id, name)
	}
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO contact_ids (wa_id, contact_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, waID, id)
	if err != nil {
		return 0, err
	}
	if tag.RowsAffected() == 0 { // another transaction was first
		if fresh {
			if _, err := tx.Exec(ctx, `DELETE FROM contacts WHERE id = $1`, id); err != nil {
				return 0, err
			}
		}
		err = tx.QueryRow(ctx, `SELECT contact_id FROM contact_ids WHERE wa_id = $1`, waID).Scan(&id)
		return id, err
	}
	// A chat whose contact was deleted has one again.
	if _, err := tx.Exec(ctx, `UPDATE chats SET contact_id = $2 WHERE id = $1 AND contact_id IS NULL`, waID, id); err != nil {
		return 0, err
	}
	if fresh {
		return id, tell(ctx, tx, "contact:created", id)
	}
	return id, tell(ctx, tx, "contact:updated", id)
}

// phoneSeen gives a contact that was known by LID only its phone number. Who has
// the number already is the same person, and stays.
func phoneSeen(ctx context.Context, tx database.Querier, id int64, phone string) (int64, error) {
	other, err := owner(ctx, tx, phone)
	if err != nil {
		return 0, err
	}
	if other == 0 || other == id {
		_, err := tx.Exec(ctx, `UPDATE contacts SET phone = $2, updated_at = now() WHERE id = $1`, id, phone)
		return id, err
	}
	if err := mergeInto(ctx, tx, other, id); err != nil {
		return 0, err
	}
	if e, ok := tx.(emitter); ok {
		c, err := find(ctx, tx, other)
		if err != nil {
			return 0, err
		}
		e.Emit("contact:merged", Merged{strconv.FormatInt(id, 10), c})
	}
	return other, nil
}

// emitter is a transaction with events.
type emitter interface {
	Emit(event string, payload any)
}

func tell(ctx context.Context, tx database.Querier, name string, id int64) error {
	e, ok := tx.(emitter)
	if !ok {
		return nil
	}
	c, err := find(ctx, tx, id)
	if err == nil {
		e.Emit(name, c)
	}
	return err
}
