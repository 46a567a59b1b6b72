// Package contacts knows the people that the tenant talks to.
package contacts

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// Seen returns the contact behind a WhatsApp id, and makes it where there is
// none. An id that comes with the phone number of a known contact is one more id
// of that contact: so the LID and the number of one person come together. Name
// is what WhatsApp says; "" keeps what is there.
func Seen(ctx context.Context, tx database.Querier, waID, phone, name string) (id int64, err error) {
	err = tx.QueryRow(ctx, `SELECT contact_id FROM contact_ids WHERE wa_id = $1`, waID).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		// A contact that was imported, or is known by its other id, has the phone.
		err = tx.QueryRow(ctx, `
			INSERT INTO contacts AS c (phone, wa_name) VALUES (nullif($1, ''), $2)
			ON CONFLICT (phone) DO UPDATE SET wa_name = coalesce(nullif($2, ''), c.wa_name) RETURNING id`, phone, name).Scan(&id)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO contact_ids (wa_id, contact_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, waID, id)
		}
	case err == nil:
		_, err = tx.Exec(ctx, `
			UPDATE contacts SET wa_name = coalesce(nullif($2, ''), wa_name), phone = CASE
				WHEN phone IS NULL AND $3 <> '' AND NOT EXISTS (SELECT FROM contacts WHERE phone = $3) THEN $3 ELSE phone END
			WHERE id = $1 AND ($2 NOT IN ('', wa_name) OR phone IS NULL AND $3 <> '')`, id, name, phone)
	}
	if err != nil {
		return 0, fmt.Errorf("contact of %s: %w", waID, err)
	}
	return id, nil
}
