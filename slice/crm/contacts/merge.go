package contacts

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// moves bring all that refers to contact $2 to contact $1, in this order.
var moves = []string{
	`UPDATE contact_ids SET contact_id = $1 WHERE contact_id = $2`,
	`UPDATE chats SET contact_id = $1 WHERE contact_id = $2`,
	`INSERT INTO contact_labels (contact_id, label_id) SELECT $1, label_id FROM contact_labels WHERE contact_id = $2 ON CONFLICT DO NOTHING`,
	`UPDATE contact_notes SET contact_id = $1 WHERE contact_id = $2`,
	`UPDATE deals SET contact_id = $1 WHERE contact_id = $2`,
	`UPDATE tasks SET contact_id = $1 WHERE contact_id = $2`,
	// Nobody gets a broadcast twice.
	`UPDATE broadcast_recipients f SET status = 'skipped', reason = 'duplicate' WHERE contact_id = $2 AND status = 'waiting'
		AND EXISTS (SELECT FROM broadcast_recipients t WHERE t.broadcast_id = f.broadcast_id AND t.contact_id = $1)`,
	`UPDATE broadcast_recipients f SET contact_id = $1 WHERE contact_id = $2
		AND NOT EXISTS (SELECT FROM broadcast_recipients t WHERE t.broadcast_id = f.broadcast_id AND t.contact_id = $1)`,
	// What the target has already and would be lost is kept in a note.
	`INSERT INTO contact_notes (contact_id, text)
		SELECT $1, left('Merged with another contact, which had ' || lost, 10000) FROM (
			SELECT concat_ws(', ',
				CASE WHEN t.name <> '' AND f.name NOT IN ('', t.name) THEN 'the name ' || f.name END,
				CASE WHEN t.company <> '' AND f.company NOT IN ('', t.company) THEN 'the company ' || f.company END,
				CASE WHEN t.email <> '' AND lower(f.email) NOT IN ('', lower(t.email)) THEN 'the e-mail address ' || f.email END,
				CASE WHEN t.phone <> f.phone THEN 'the phone number ' || f.phone END,
				(SELECT string_agg(v.key || ' ' || v.value, ', ') FROM jsonb_each_text(f.custom) v WHERE t.custom ->> v.key <> v.value)) AS lost
			FROM contacts t, contacts f WHERE t.id = $1 AND f.id = $2) l WHERE lost <> ''`,
}

// mergeInto makes from a part of the target. Nothing is there of from afterwards.
func mergeInto(ctx context.Context, tx database.Querier, target, from int64) error {
	locked, err := database.Collect(ctx, tx, pgx.RowTo[int64], `SELECT id FROM contacts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE`, target, from)
	if err != nil {
		return fmt.Errorf("merge contacts: %w", err)
	}
	if len(locked) != 2 {
		return errNoContact()
	}
	for _, sql := range moves {
		if _, err := tx.Exec(ctx, sql, target, from); err != nil {
			return fmt.Errorf("merge contact %d into %d: %w", from, target, err)
		}
	}
	var phone *string // unique: the one gives it up before the other takes it
	if err = tx.QueryRow(ctx, `SELECT phone FROM contacts WHERE id = $1`, from).Scan(&phone); err == nil {
		_, err = tx.Exec(ctx, `UPDATE contacts SET phone = NULL WHERE id = $1`, from)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `
			UPDATE contacts t SET phone = coalesce(t.phone, $3), wa_name = coalesce(nullif(t.wa_name, ''), f.wa_name),
				name = coalesce(nullif(t.name, ''), f.name), company = coalesce(nullif(t.company, ''), f.company),
				email = coalesce(nullif(t.email, ''), f.email), custom = f.custom || t.custom, is_business = t.is_business OR f.is_business,
				opted_out_at = least(t.opted_out_at, f.opted_out_at), created_at = least(t.created_at, f.created_at), updated_at = now()
			FROM contacts f WHERE t.id = $1 AND f.id = $2`, target, from, phone)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM contacts WHERE id = $1`, from)
	}
	if err != nil {
		return fmt.Errorf("merge contact %d into %d: %w", from, target, err)
	}
	return nil
}

// Merged is the event of a merge.
type Merged struct {
	From    string  `json:"from"` // is gone
	Contact Contact `json:"contact"`
}

func (s *Service) merge(w http.ResponseWriter, r *http.Request) error {
	target, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in struct {
		From string `json:"from"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var faults request.Faults
	from := faults.ID("from", in.From)
	if err := faults.Err(); err != nil {
		return err
	}
	if from == target {
		return platform.Errorf(platform.ErrConflict, "A contact cannot be merged with itself.")
	}
	ctx := r.Context()
	var c Contact
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		if err := mergeInto(ctx, tx, target, from); err != nil {
			return err
		}
		var err error
		if c, err = find(ctx, tx, target); err == nil {
			tx.Emit("contact:merged", Merged{strconv.FormatInt(from, 10), c})
		}
		return err
	})
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, c)
	}
	return err
}

// Duplicate are two contacts that may be one person.
type Duplicate struct {
	Reason string  `json:"reason"` // same_email, same_name, trunk_zero
	Target Contact `json:"target"` // the one to keep: with a phone, or older
	From   Contact `json:"from"`
}

const maxDuplicates = 100

func (s *Service) duplicates(w http.ResponseWriter, r *http.Request) error {
	type pair struct {
		reason       string
		target, from int64
	}
	pairs, err := database.Collect(r.Context(), s.pool, func(row pgx.CollectableRow) (p pair, err error) {
		err = row.Scan(&p.reason, &p.target, &p.from)
		return p, err
	}, `
		SELECT DISTINCT ON (least(a, b), greatest(a, b)) reason, a, b FROM (
			SELECT 'trunk_zero' AS reason, 1 AS n, t.id AS a, f.id AS b FROM contacts f, generate_series(2, 4) cc
				JOIN contacts t ON true WHERE substr(f.phone, cc + 1, 1) = '0' AND t.phone = left(f.phone, cc) || substr(f.phone, cc + 2)
			UNION ALL
			SELECT 'same_email', 2, t.id, f.id FROM contacts t JOIN contacts f ON lower(t.email) = lower(f.email) AND t.id <> f.id
				WHERE t.email <> '' AND (f.phone IS NULL, f.id) > (t.phone IS NULL, t.id)
			UNION ALL
			SELECT 'same_name', 3, t.id, f.id FROM contacts t JOIN contacts f ON t.sort_name = f.sort_name AND t.sort_name <> ''
				WHERE f.phone IS NULL AND EXISTS (SELECT FROM contact_ids WHERE contact_id = f.id) AND t.id <> f.id AND (t.phone IS NOT NULL OR t.id < f.id)
		) p ORDER BY least(a, b), greatest(a, b), n LIMIT $1`, maxDuplicates)
	if err != nil {
		return fmt.Errorf("duplicates: %w", err)
	}
	ids := make([]int64, 0, 2*len(pairs))
	for _, p := range pairs {
		ids = append(ids, p.target, p.from)
	}
	all, err := database.Collect(r.Context(), s.pool, scan, `SELECT `+columns+` FROM contacts c WHERE id = ANY($1)`, ids)
	if err != nil {
		return fmt.Errorf("duplicates: %w", err)
	}
	byID := make(map[string]Contact, len(all))
	for _, c := range all {
		byID[c.ID] = c
	}
	list := make([]Duplicate, 0, len(pairs))
	for _, p := range pairs {
		t, there := byID[strconv.FormatInt(p.target, 10)]
		f, also := byID[strconv.FormatInt(p.from, 10)]
		if there && also { // unless one left in between
			list = append(list, Duplicate{p.reason, t, f})
		}
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"duplicates": list})
	return nil
}
