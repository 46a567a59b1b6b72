package campaigns

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

const chatIDFault = "must be the id of a chat, such as 4915112345678@c.us"

var (
	clientIDPattern   = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
	scheduledStatuses = []string{"scheduled", "sent", "cancelled", "failed"}
)

// listScheduled answers with those of one status: what is scheduled, soonest
// first; others, latest first.
func (s *Service) listScheduled(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	status := "scheduled"
	if r.URL.Query().Has("status") {
		if status = faults.Query(r, "status", 16); !slices.Contains(scheduledStatuses, status) {
			faults.Add("status", "must be scheduled, sent, cancelled or failed")
		}
	}
	chatID := faults.Query(r, "chat_id", 100)
	if r.URL.Query().Has("chat_id") && !whatsapp.ValidChatID(chatID) {
		faults.Add("chat_id", chatIDFault)
	}
	var at *time.Time
	var id int64
	if after != nil {
		t := after.Time()
		at, id = &t, faults.ID("cursor", after.ID)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	than, direction := ">", "ASC"
	if status != "scheduled" {
		than, direction = "<", "DESC"
	}
	rows, err := database.Collect(r.Context(), s.pool, scanScheduled, `
		SELECT `+scheduledColumns+` FROM scheduled_messages
		WHERE status = $1 AND ($2 = '' OR chat_id = $2) AND ($3::timestamptz IS NULL OR (due_at, id) `+than+` ($3, $4))
		ORDER BY due_at `+direction+`, id `+direction+` LIMIT $5`, status, chatID, at, id, limit+1)
	if err != nil {
		return fmt.Errorf("list scheduled messages: %w", err)
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		c := request.Cursor{Micros: last.DueAt.UnixMicro(), ID: last.ID}.String()
		next = &c
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"scheduled_messages": rows, "next_cursor": next})
	return nil
}

func (s *Service) getScheduled(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	rows, err := database.Collect(r.Context(), s.pool, scanScheduled, `SELECT `+scheduledColumns+` FROM scheduled_messages WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("scheduled message %d: %w", id, err)
	}
	if len(rows) == 0 {
		return errNoScheduled()
	}
	problem.WriteJSON(w, http.StatusOK, rows[0])
	return nil
}

// readDue reads a time that is to come.
func readDue(faults *request.Faults, given request.Optional[string]) (due time.Time) {
	if given.Value == nil {
		faults.Add("due_at", "is required")
		return due
	}
	due, err := time.Parse(time.RFC3339, *given.Value)
	now := time.Now()
	switch {
	case err != nil:
		faults.Add("due_at", "must be a time, such as 2027-01-31T09:30:00Z")
	case !due.After(now):
		faults.Add("due_at", "must be in the future")
	case due.After(now.Add(maxAhead)):
		faults.Add("due_at", "must be within a year")
	}
	return due.Truncate(time.Microsecond)
}

func (s *Service) createScheduled(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		ChatID   string                   `json:"chat_id"`
		DueAt    request.Optional[string] `json:"due_at"`
		ClientID *string                  `json:"client_id"`
		content
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var faults request.Faults
	if !whatsapp.ValidChatID(in.ChatID) {
		faults.Add("chat_id", chatIDFault)
	}
	due := readDue(&faults, in.DueAt)
	if in.ClientID != nil && !clientIDPattern.MatchString(*in.ClientID) {
		faults.Add("client_id", "must be 1 to 128 letters, digits or any of . _ : -")
	}
	text, fileID := in.check(&faults, maxTextChars)
	if err := faults.Err(); err != nil {
		return err
	}
	ctx := r.Context()
	var m Scheduled
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		// The chat's row keeps two requests with one client id apart.
		tag, err := tx.Exec(ctx, `SELECT FROM chats WHERE id = $1 FOR UPDATE`, in.ChatID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrNotFound, "There is no such chat.")
		}
		if in.ClientID != nil {
			known, err := database.Collect(ctx, tx, scanScheduled, `SELECT `+scheduledColumns+` FROM scheduled_messages WHERE client_id = $1`, *in.ClientID)
			if err != nil {
				return err
			}
			if len(known) > 0 {
				m = known[0]
				if m.ChatID != in.ChatID || m.Text != text || !m.DueAt.Equal(due) || !sameID(m.FileID, fileID) {
					return errClientID()
				}
				return nil
			}
		}
		if err := checkContent(ctx, tx, &faults, text, optionalID(fileID), false); err != nil {
			return err
		}
		if err := faults.Err(); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM scheduled_messages WHERE status = 'scheduled'`).Scan(&count); err != nil {
			return err
		}
		if count >= maxScheduled {
			return platform.Errorf(platform.ErrTooMany, "%d messages are scheduled already; that is as many as there can be.", maxScheduled)
		}
		rows, err := database.Collect(ctx, tx, scanScheduled, `
			INSERT INTO scheduled_messages (chat_id, text, file_id, with_file, due_at, client_id) VALUES ($1, $2, $3::bigint, $3::bigint IS NOT NULL, $4, $5)
			ON CONFLICT (client_id) DO NOTHING RETURNING `+scheduledColumns, in.ChatID, text, optionalID(fileID), due, in.ClientID)
		if err != nil {
			return err
		}
		if len(rows) == 0 { // of another chat, meanwhile
			return errClientID()
		}
		m = rows[0]
		tx.Emit("scheduled:created", m)
		tx.AfterCommit(s.dueAlarm.Wake)
		return nil
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusCreated, m)
	return nil
}

func errClientID() error {
	return platform.Errorf(platform.ErrConflict, "This client_id was used for another message.")
}

func sameID(a *string, b int64) bool {
	if a == nil {
		return b == 0
	}
	return *a == strconv.FormatInt(b, 10)
}

func (s *Service) updateScheduled(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in struct {
		DueAt request.Optional[string] `json:"due_at"`
		content
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var faults request.Faults
	var due time.Time
	if in.DueAt.Given {
		due = readDue(&faults, in.DueAt)
	}
	text, fileID := in.check(&faults, maxTextChars)
	if err := faults.Err(); err != nil {
		return err
	}
	ctx := r.Context()
	return s.whileScheduled(w, r, id, func(tx *event.Tx, m Scheduled, withFile bool) error {
		if !in.Text.Given {
			text = m.Text
		}
		if in.FileID.Given {
			withFile = fileID != 0
		} else if m.FileID != nil {
			fileID = faults.ID("file_id", *m.FileID)
		}
		if !in.DueAt.Given {
			due = m.DueAt
		}
		if err := checkContent(ctx, tx, &faults, text, optionalID(fileID), false); err != nil {
			return err
		}
		if err := faults.Err(); err != nil {
			return err
		}
		return changeScheduled(ctx, tx, "scheduled:updated", `text = $2, file_id = $3, with_file = $4, due_at = $5`, id, text, optionalID(fileID), withFile, due)
	})
}

func (s *Service) cancelScheduled(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	return s.whileScheduled(w, r, id, func(tx *event.Tx, _ Scheduled, _ bool) error {
		return changeScheduled(r.Context(), tx, "scheduled:updated", `status = 'cancelled'`, id)
	})
}

// whileScheduled changes a message that is not sent yet, and answers with it.
func (s *Service) whileScheduled(w http.ResponseWriter, r *http.Request, id int64, change func(tx *event.Tx, m Scheduled, withFile bool) error) error {
	var m Scheduled
	err := s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		before, withFile, err := lockScheduled(r.Context(), tx, id)
		if err != nil {
			return err
		}
		if before.Status != "scheduled" {
			return platform.Errorf(platform.ErrConflict, "The message is %s and cannot be changed.", before.Status)
		}
		if err := change(tx, before, withFile); err != nil {
			return err
		}
		tx.AfterCommit(s.dueAlarm.Wake)
		m, _, err = lockScheduled(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, m)
	return nil
}
