package campaigns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

const maxQuickReplies = 1000

// QuickReply is a text that is at hand while a person writes.
type QuickReply struct {
	ID        string    `json:"id"`
	Shortcut  string    `json:"shortcut"` // without the slash
	Title     string    `json:"title"`
	Text      string    `json:"text"` // with variables
	FileID    *string   `json:"file_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

const quickReplyColumns = `id::text, shortcut, title, text, file_id::text, created_at, updated_at`

func scanQuickReply(row pgx.CollectableRow) (q QuickReply, err error) {
	err = row.Scan(&q.ID, &q.Shortcut, &q.Title, &q.Text, &q.FileID, &q.CreatedAt, &q.UpdatedAt)
	q.CreatedAt, q.UpdatedAt = q.CreatedAt.UTC(), q.UpdatedAt.UTC()
	return q, err
}

var shortcutPattern = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

func errNoQuickReply() error {
	return platform.Errorf(platform.ErrNotFound, "There is no such quick reply.")
}

func quickReply(ctx context.Context, q database.Querier, id int64, lock string) (QuickReply, error) {
	rows, err := database.Collect(ctx, q, scanQuickReply, `SELECT `+quickReplyColumns+` FROM quick_replies WHERE id = $1`+lock, id)
	if err != nil {
		return QuickReply{}, fmt.Errorf("quick reply %d: %w", id, err)
	}
	if len(rows) == 0 {
		return QuickReply{}, errNoQuickReply()
	}
	return rows[0], nil
}

func (s *Service) listQuickReplies(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var from string
	if after != nil {
		from = after.ID
		var faults request.Faults
		faults.Text("cursor", from, 32)
		if err := faults.Err(); err != nil {
			return err
		}
	}
	rows, err := database.Collect(r.Context(), s.pool, scanQuickReply, `
		SELECT `+quickReplyColumns+` FROM quick_replies WHERE lower(shortcut) > $1 ORDER BY lower(shortcut) LIMIT $2`, from, limit+1)
	if err != nil {
		return fmt.Errorf("list quick replies: %w", err)
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		c := request.Cursor{ID: rows[limit-1].Shortcut}.String()
		next = &c
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"quick_replies": rows, "next_cursor": next})
	return nil
}

func (s *Service) getQuickReply(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	q, err := quickReply(r.Context(), s.pool, id, "")
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, q)
	return nil
}

// quickReplyInput is what a client says of a quick reply.
type quickReplyInput struct {
	Shortcut request.Optional[string] `json:"shortcut"`
	Title    request.Optional[string] `json:"title"`
	content
}

// apply checks what is given and puts it into q.
func (in quickReplyInput) apply(ctx context.Context, tx database.Querier, q *QuickReply) error {
	var faults request.Faults
	if in.Shortcut.Given {
		q.Shortcut = ""
		if in.Shortcut.Value != nil {
			q.Shortcut = strings.ToLower(*in.Shortcut.Value)
		}
	}
	if !shortcutPattern.MatchString(q.Shortcut) {
		faults.Add("shortcut", "must be 1 to 32 letters, digits, hyphens or underscores")
	}
	if in.Title.Given {
		q.Title = ""
		if in.Title.Value != nil {
			q.Title = strings.TrimSpace(*in.Title.Value)
			faults.Text("title", q.Title, maxNameChars)
		}
	}
	text, fileID := in.check(&faults, maxTemplateChars)
	if in.Text.Given {
		q.Text = text
	}
	if in.FileID.Given {
		q.FileID = in.FileID.Value
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if q.FileID != nil && fileID == 0 {
		fileID = faults.ID("file_id", *q.FileID)
	}
	if err := checkContent(ctx, tx, &faults, q.Text, optionalID(fileID), true); err != nil {
		return err
	}
	return faults.Err()
}

// errTaken makes a unique shortcut's violation one that a client understands.
func errTaken(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "quick_replies_by_shortcut" {
		return platform.Errorf(platform.ErrConflict, "There is a quick reply with this shortcut already.")
	}
	return err
}

func (s *Service) createQuickReply(w http.ResponseWriter, r *http.Request) error {
	var in quickReplyInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var q QuickReply
	err := s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		if err := in.apply(r.Context(), tx, &q); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(r.Context(), `SELECT count(*) FROM quick_replies`).Scan(&count); err != nil {
			return err
		}
		if count >= maxQuickReplies {
			return platform.Errorf(platform.ErrConflict, "There are %d quick replies already; that is as many as there can be.", maxQuickReplies)
		}
		rows, err := database.Collect(r.Context(), tx, scanQuickReply, `
			INSERT INTO quick_replies (shortcut, title, text, file_id) VALUES ($1, $2, $3, $4::text::bigint) RETURNING `+quickReplyColumns,
			q.Shortcut, q.Title, q.Text, q.FileID)
		if err != nil {
			return err
		}
		q = rows[0]
		tx.Emit("quick_reply:created", q)
		return nil
	})
	if err != nil {
		return errTaken(err)
	}
	problem.WriteJSON(w, http.StatusCreated, q)
	return nil
}

func (s *Service) updateQuickReply(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in quickReplyInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var q QuickReply
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) (err error) {
		if q, err = quickReply(r.Context(), tx, id, " FOR UPDATE"); err != nil {
			return err
		}
		if err := in.apply(r.Context(), tx, &q); err != nil {
			return err
		}
		rows, err := database.Collect(r.Context(), tx, scanQuickReply, `
			UPDATE quick_replies SET shortcut = $2, title = $3, text = $4, file_id = $5::text::bigint, updated_at = now()
			WHERE id = $1 RETURNING `+quickReplyColumns, id, q.Shortcut, q.Title, q.Text, q.FileID)
		if err != nil {
			return err
		}
		q = rows[0]
		tx.Emit("quick_reply:updated", q)
		return nil
	})
	if err != nil {
		return errTaken(err)
	}
	problem.WriteJSON(w, http.StatusOK, q)
	return nil
}

func (s *Service) deleteQuickReply(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		tag, err := tx.Exec(r.Context(), `DELETE FROM quick_replies WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("delete quick reply %d: %w", id, err)
		}
		if tag.RowsAffected() == 0 {
			return errNoQuickReply()
		}
		tx.Emit("quick_reply:deleted", map[string]string{"id": r.PathValue("id")})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// renderQuickReply answers with the text for a chat; nothing is sent.
func (s *Service) renderQuickReply(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in struct {
		ChatID string `json:"chat_id"`
	}
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	if !whatsapp.ValidChatID(in.ChatID) {
		return platform.Invalid(platform.FieldError{Field: "chat_id", Detail: "must be the id of a chat, such as 4915112345678@c.us"})
	}
	q, err := quickReply(r.Context(), s.pool, id, "")
	if err != nil {
		return err
	}
	p, err := personOfChat(r.Context(), s.pool, in.ChatID)
	if isNoRows(err) {
		return platform.Errorf(platform.ErrNotFound, "There is no such chat.")
	} else if err != nil {
		return err
	}
	text, err := render(q.Text, p.values(s.myName()))
	if err != nil {
		return err
	}
	if utf8.RuneCountInString(text) > maxTextChars {
		return platform.Errorf(platform.ErrConflict, "With the values of this chat, the text has more than %d characters.", maxTextChars)
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"text": text, "file_id": q.FileID})
	return nil
}
