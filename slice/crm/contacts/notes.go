package contacts

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const maxNoteChars = 10_000

// Note is what the user wrote about a contact; the contact never sees it.
type Note struct {
	ID        string    `json:"id"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func notes(ctx context.Context, q database.Querier, where string, args ...any) ([]Note, error) {
	all, err := database.Collect(ctx, q, func(row pgx.CollectableRow) (n Note, err error) {
		err = row.Scan(&n.ID, &n.Text, &n.CreatedAt, &n.UpdatedAt)
		n.CreatedAt, n.UpdatedAt = n.CreatedAt.UTC(), n.UpdatedAt.UTC()
		return n, err
	}, `SELECT id::text, text, created_at, updated_at FROM contact_notes WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("notes: %w", err)
	}
	return all, nil
}

// before reads a page of a list whose latest id is first.
func before(r *http.Request) (limit int, id int64, err error) {
	limit, after, err := request.Page(r)
	if err != nil || after == nil {
		return limit, 1<<63 - 1, err
	}
	var faults request.Faults
	id = faults.ID("cursor", after.ID)
	return limit, id, faults.Err()
}

// cut takes what is above the limit from a list, and returns the cursor.
func cut[T any](all []T, limit int, id func(T) string) ([]T, *string) {
	if len(all) <= limit {
		return all, nil
	}
	c := request.Cursor{ID: id(all[limit-1])}.String()
	return all[:limit], &c
}

func (s *Service) listNotes(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	limit, from, err := before(r)
	if err != nil {
		return err
	}
	if _, err := find(r.Context(), s.pool, id); err != nil {
		return err
	}
	all, err := notes(r.Context(), s.pool, `contact_id = $1 AND deleted_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3`, id, from, limit+1)
	if err != nil {
		return err
	}
	page, next := cut(all, limit, func(n Note) string { return n.ID })
	problem.WriteJSON(w, http.StatusOK, map[string]any{"notes": page, "next_cursor": next})
	return nil
}

type noteInput struct {
	Text request.Optional[string] `json:"text"`
}

func (in noteInput) check() (string, error) {
	var faults request.Faults
	s := strings.TrimSpace(text(in.Text))
	if s == "" {
		faults.Add("text", "must not be blank")
	}
	faults.Text("text", s, maxNoteChars)
	return s, faults.Err()
}

// writeNote has f write a note of the path's contact, tells of the contact and
// answers with the note.
func (s *Service) writeNote(w http.ResponseWriter, r *http.Request, status int, f func(ctx context.Context, tx *event.Tx, contact int64, text string) (note int64, err error)) error {
	contact, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in noteInput
	if status != http.StatusNoContent {
		if err := readJSON(w, r, &in); err != nil {
			return err
		}
		s, err := in.check()
		if err != nil {
			return err
		}
		in.Text.Value = &s
	}
	ctx := r.Context()
	var n []Note
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		if err := lock(ctx, tx, contact); err != nil {
			return err
		}
		id, err := f(ctx, tx, contact, text(in.Text))
		if err != nil {
			return err
		}
		if n, err = notes(ctx, tx, `id = $1`, id); err != nil {
			return err
		}
		c, err := find(ctx, tx, contact)
		if err == nil {
			tx.Emit("contact:updated", c)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case status == http.StatusNoContent:
		w.WriteHeader(status)
	default:
		problem.WriteJSON(w, status, n[0])
	}
	return nil
}

func (s *Service) createNote(w http.ResponseWriter, r *http.Request) error {
	return s.writeNote(w, r, http.StatusCreated, func(ctx context.Context, tx *event.Tx, contact int64, text string) (id int64, err error) {
		err = tx.QueryRow(ctx, `INSERT INTO contact_notes (contact_id, text) VALUES ($1, $2) RETURNING id`, contact, text).Scan(&id)
		return id, err
	})
}

// noteToChange returns the note of the path and what it says.
func noteToChange(ctx context.Context, tx database.Querier, r *http.Request, contact int64) (id int64, text string, err error) {
	if id, err = request.ID(r, "note_id"); err != nil {
		return 0, "", err
	}
	n, err := notes(ctx, tx, `id = $1 AND contact_id = $2 AND deleted_at IS NULL FOR UPDATE`, id, contact)
	if err != nil {
		return 0, "", err
	}
	if len(n) == 0 {
		return 0, "", platform.Errorf(platform.ErrNotFound, "There is no such note.")
	}
	return id, n[0].Text, nil
}

func (s *Service) updateNote(w http.ResponseWriter, r *http.Request) error {
	return s.writeNote(w, r, http.StatusOK, func(ctx context.Context, tx *event.Tx, contact int64, text string) (int64, error) {
		id, old, err := noteToChange(ctx, tx, r, contact)
		if err != nil || old == text {
			return id, err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO contact_note_versions (note_id, text) VALUES ($1, $2)`, id, old); err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, `UPDATE contact_notes SET text = $2, updated_at = now() WHERE id = $1`, id, text)
		return id, err
	})
}

// deleteNote takes a note out of the list; its history stays.
func (s *Service) deleteNote(w http.ResponseWriter, r *http.Request) error {
	return s.writeNote(w, r, http.StatusNoContent, func(ctx context.Context, tx *event.Tx, contact int64, _ string) (int64, error) {
		id, old, err := noteToChange(ctx, tx, r, contact)
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO contact_note_versions (note_id, text) VALUES ($1, $2)`, id, old); err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, `UPDATE contact_notes SET deleted_at = now(), updated_at = now() WHERE id = $1`, id)
		return id, err
	})
}

// NoteVersion is what a note said until it was changed or deleted.
type NoteVersion struct {
	ID    string    `json:"id"`
	Text  string    `json:"text"`
	Until time.Time `json:"until"`
}

func (s *Service) noteVersions(w http.ResponseWriter, r *http.Request) error {
	contact, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	note, err := request.ID(r, "note_id")
	if err != nil {
		return err
	}
	limit, from, err := before(r)
	if err != nil {
		return err
	}
	if n, err := notes(r.Context(), s.pool, `id = $1 AND contact_id = $2`, note, contact); err != nil {
		return err
	} else if len(n) == 0 {
		return platform.Errorf(platform.ErrNotFound, "There is no such note.")
	}
	all, err := database.Collect(r.Context(), s.pool, func(row pgx.CollectableRow) (v NoteVersion, err error) {
		err = row.Scan(&v.ID, &v.Text, &v.Until)
		v.Until = v.Until.UTC()
		return v, err
	}, `SELECT id::text, text, until FROM contact_note_versions WHERE note_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, note, from, limit+1)
	if err != nil {
		return fmt.Errorf("versions of note %d: %w", note, err)
	}
	page, next := cut(all, limit, func(v NoteVersion) string { return v.ID })
	problem.WriteJSON(w, http.StatusOK, map[string]any{"versions": page, "next_cursor": next})
	return nil
}
