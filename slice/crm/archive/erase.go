package archive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// EventErased says that data was erased: Erased.
const EventErased = "data:erased"

// Erased is what was erased, or would be.
type Erased struct {
	ContactID *string `json:"contact_id"` // nil for everything
	Chats     int     `json:"chats"`
	Messages  int     `json:"messages"`
	Notes     int     `json:"notes"`
	Files     int     `json:"files"`
}

// confirmation is what a person has to type before everything is erased.
const confirmation = "erase everything"

// person is somebody whose data is to be erased.
type person struct {
	id    int64
	chats []string // with them alone
	waIDs []string // by which they are known in groups, too
}

var errNoContact = platform.Errorf(platform.ErrNotFound, "There is no such contact.")

func find(ctx context.Context, q database.Querier, id int64) (person, error) {
	p := person{id: id}
	var exists bool
	err := q.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM contacts WHERE id = $1),
		       (SELECT coalesce(array_agg(id), '{}') FROM chats WHERE contact_id = $1),
		       (SELECT coalesce(array_agg(wa_id), '{}') FROM contact_ids WHERE contact_id = $1)`, id).Scan(&exists, &p.chats, &p.waIDs)
	if err != nil {
		return p, fmt.Errorf("data of contact %d: %w", id, err)
	}
	if !exists {
		return p, errNoContact
	}
	return p, nil
}

// theirs are the person's messages: all of their chats, and what they wrote in
// groups.
const theirs = `(chat_id = ANY($1) OR sender_id = ANY($2))`

func count(ctx context.Context, q database.Querier, p person) (Erased, error) {
	id := fmt.Sprint(p.id)
	e := Erased{ContactID: &id, Chats: len(p.chats)}
	err := q.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM messages WHERE `+theirs+`), (SELECT count(*) FROM contact_notes WHERE contact_id = $3),
		       (SELECT count(DISTINCT file_id) FROM messages WHERE `+theirs+`)`, p.chats, p.waIDs, p.id).Scan(&e.Messages, &e.Notes, &e.Files)
	if err != nil {
		return Erased{}, fmt.Errorf("count data of contact %d: %w", p.id, err)
	}
	return e, nil
}

func (m *Module) preview(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	p, err := find(r.Context(), m.pool, id)
	if err != nil {
		return err
	}
	e, err := count(r.Context(), m.pool, p)
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, e)
	}
	return err
}

func (m *Module) eraseContact(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var e Erased
	err = m.bus.Transact(r.Context(), func(tx *event.Tx) error {
		p, err := find(r.Context(), tx, id)
		if err != nil {
			return err
		}
		if e, err = count(r.Context(), tx, p); err != nil {
			return err
		}
		tx.Emit(EventErased, e)
		return erase(r.Context(), tx, p)
	})
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, e)
	}
	return err
}

// erase removes what the slice has of a person, and notes which chats are not to
// be taken in again from WhatsApp.
func erase(ctx context.Context, tx pgx.Tx, p person) error {
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO erased_chats (chat_id, before) SELECT unnest($1::text[]), now() ON CONFLICT (chat_id) DO UPDATE SET before = excluded.before`, []any{p.chats}},
		// Payloads hold names, numbers and texts.
		{`DELETE FROM webhook_deliveries WHERE payload->>'chat_id' = ANY($1) OR payload->>'id' = ANY($1) OR payload->>'contact_id' = $2
			OR payload->>'sender_id' = ANY($3) OR event LIKE 'contact:%' AND payload->>'id' = $2`, []any{p.chats, fmt.Sprint(p.id), p.waIDs}},
		{`DELETE FROM files WHERE id IN (SELECT file_id FROM messages WHERE ` + theirs + `)`, []any{p.chats, p.waIDs}},
		{`DELETE FROM reactions WHERE sender_id = ANY($1)`, []any{p.waIDs}},
		{`UPDATE messages SET text = '', media = NULL, sender_name = '', sender_id = '', deleted_at = coalesce(deleted_at, now()) WHERE sender_id = ANY($1)`, []any{p.waIDs}},
		{`DELETE FROM messages WHERE chat_id = ANY($1)`, []any{p.chats}},
		{`DELETE FROM chats WHERE id = ANY($1)`, []any{p.chats}},
		{`UPDATE broadcast_recipients SET name = '' WHERE contact_id = $1`, []any{p.id}},
		{`DELETE FROM contacts WHERE id = $1`, []any{p.id}}, // and what belongs to the contact
	} {
		if _, err := tx.Exec(ctx, step.sql, step.args...); err != nil {
			return fmt.Errorf("erase contact %d: %w", p.id, err)
		}
	}
	return nil
}

func (m *Module) eraseAll(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Confirm *string `json:"confirm"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	if body.Confirm == nil || *body.Confirm != confirmation {
		return platform.Invalid(platform.FieldError{Field: "confirm", Detail: fmt.Sprintf("must be %q", confirmation)})
	}
	e := Erased{}
	err := m.bus.Transact(r.Context(), func(tx *event.Tx) error { return eraseEverything(r.Context(), tx, &e) })
	if err != nil {
		return err
	}
	m.log.Warn("everything is erased", "user_id", r.Header.Get(platform.HeaderUserID))
	problem.WriteJSON(w, http.StatusOK, e)
	return nil
}

func eraseEverything(ctx context.Context, tx *event.Tx, e *Erased) error {
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM chats), (SELECT count(*) FROM messages), (SELECT count(*) FROM contact_notes), (SELECT count(*) FROM files)`).
		Scan(&e.Chats, &e.Messages, &e.Notes, &e.Files)
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO erased_chats (chat_id, before) SELECT id, now() FROM chats ON CONFLICT (chat_id) DO UPDATE SET before = excluded.before`)
	var names []string
	for _, t := range tables {
		if t.name != "erased_chats" && t.name != "stages" { // a pipeline has stages; their names are no longer the user's
			names = append(names, t.name)
		}
	}
	if err == nil {
		_, err = tx.Exec(ctx, `TRUNCATE file_chunks, `+strings.Join(names, ", "))
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE stages SET name = 'Stage ' || id`)
	}
	if err != nil {
		return errors.Join(errors.New("erase everything"), err)
	}
	tx.Emit(EventErased, *e)
	return nil
}
