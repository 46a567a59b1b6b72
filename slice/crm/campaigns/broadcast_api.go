package campaigns

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const maxBroadcasts = 10_000 // that are kept

var recipientStatuses = []string{"waiting", "queued", "sent", "delivered", "read", "failed", "skipped"}

func (s *Service) listBroadcasts(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	var before int64
	if after != nil {
		before = faults.ID("cursor", after.ID)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	rows, err := database.Collect(r.Context(), s.pool, scanBroadcast, `
		SELECT `+broadcastColumns+broadcastFrom+`WHERE $1 = 0 OR b.id < $1 ORDER BY b.id DESC LIMIT $2`, before, limit+1)
	if err != nil {
		return fmt.Errorf("list broadcasts: %w", err)
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		c := request.Cursor{Micros: last.CreatedAt.UnixMicro(), ID: last.ID}.String()
		next = &c
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"broadcasts": rows, "next_cursor": next})
	return nil
}

func (s *Service) getBroadcast(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	b, err := getBroadcast(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, b)
	return nil
}

// broadcastInput is what a client says of a broadcast.
type broadcastInput struct {
	Name    request.Optional[string] `json:"name"`
	LabelID request.Optional[string] `json:"label_id"`
	content
}

// apply checks what is given, puts it into b, and stores it.
func (in broadcastInput) apply(ctx context.Context, tx *event.Tx, b *Broadcast) error {
	var faults request.Faults
	if in.Name.Given || b.ID == "" {
		b.Name = ""
		if in.Name.Value != nil {
			b.Name = *in.Name.Value
		}
		b.Name = faults.Name("name", b.Name, maxNameChars)
	}
	if in.LabelID.Given || b.LabelID == nil {
		if b.LabelID = in.LabelID.Value; b.LabelID == nil {
			faults.Add("label_id", "is required")
		}
	}
	text, fileID := in.check(&faults, maxTemplateChars)
	if in.Text.Given {
		b.Text = text
	}
	if in.FileID.Given {
		b.FileID, b.withFile = in.FileID.Value, in.FileID.Value != nil
	} else if b.FileID != nil {
		fileID = faults.ID("file_id", *b.FileID)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if labelID := faults.ID("label_id", *b.LabelID); labelID != 0 {
		err := tx.QueryRow(ctx, `SELECT name FROM labels WHERE id = $1`, labelID).Scan(&b.LabelName)
		if isNoRows(err) {
			faults.Add("label_id", "must be the id of a label")
		} else if err != nil {
			return fmt.Errorf("label %d: %w", labelID, err)
		}
	}
	if err := checkContent(ctx, tx, &faults, b.Text, optionalID(fileID), true); err != nil {
		return err
	}
	return faults.Err()
}

func (s *Service) createBroadcast(w http.ResponseWriter, r *http.Request) error {
	var in broadcastInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	var b Broadcast
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		if err := in.apply(ctx, tx, &b); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM broadcasts`).Scan(&count); err != nil {
			return err
		}
		if count >= maxBroadcasts {
			return platform.Errorf(platform.ErrConflict, "There are %d broadcasts already; delete some first.", maxBroadcasts)
		}
		var id int64
		err := tx.QueryRow(ctx, `
			INSERT INTO broadcasts (name, label_id, label_name, text, file_id, with_file)
			VALUES ($1, $2::text::bigint, $3, $4, $5::text::bigint, $6) RETURNING id`, b.Name, b.LabelID, b.LabelName, b.Text, b.FileID, b.withFile).Scan(&id)
		if err != nil {
			return fmt.Errorf("create broadcast: %w", err)
		}
		if b, err = getBroadcast(ctx, tx, id); err != nil {
			return err
		}
		tx.Emit("broadcast:created", b)
		return nil
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusCreated, b)
	return nil
}

// change locks the broadcast of the request, has it changed, and answers with it.
func (s *Service) change(w http.ResponseWriter, r *http.Request, f func(tx *event.Tx, id int64, b Broadcast) error) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var b Broadcast
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		before, err := lockBroadcast(r.Context(), tx, id)
		if err != nil {
			return err
		}
		if err := f(tx, id, before); err != nil {
			return err
		}
		tx.AfterCommit(s.broadcastAlarm.Wake)
		b, err = getBroadcast(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, b)
	return nil
}

func (s *Service) updateBroadcast(w http.ResponseWriter, r *http.Request) error {
	var in broadcastInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	return s.change(w, r, func(tx *event.Tx, id int64, b Broadcast) error {
		if b.Status != draftStatus {
			return platform.Errorf(platform.ErrConflict, "The broadcast is %s and cannot be changed.", b.Status)
		}
		if err := in.apply(ctx, tx, &b); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE broadcasts SET name = $2, label_id = $3::text::bigint, label_name = $4, text = $5, file_id = $6::text::bigint, with_file = $7, updated_at = now()
			WHERE id = $1`, id, b.Name, b.LabelID, b.LabelName, b.Text, b.FileID, b.withFile)
		if err != nil {
			return fmt.Errorf("update broadcast %d: %w", id, err)
		}
		if b, err = getBroadcast(ctx, tx, id); err != nil {
			return err
		}
		tx.Emit("broadcast:updated", b)
		return nil
	})
}

func (s *Service) deleteBroadcast(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	ctx := r.Context()
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		b, err := lockBroadcast(ctx, tx, id)
		if err != nil {
			return err
		}
		if b.Status == running || b.Status == paused {
			return platform.Errorf(platform.ErrConflict, "The broadcast is %s; cancel it first.", b.Status)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM broadcasts WHERE id = $1`, id); err != nil {
			return fmt.Errorf("delete broadcast %d: %w", id, err)
		}
		tx.Emit("broadcast:deleted", map[string]string{"id": b.ID})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) previewBroadcast(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	b, err := getBroadcast(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	p, err := s.preview(r.Context(), b.LabelID, b.Text)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, p)
	return nil
}

func (s *Service) startBroadcast(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	return s.change(w, r, func(tx *event.Tx, id int64, b Broadcast) error {
		switch {
		case b.Status != draftStatus:
			return platform.Errorf(platform.ErrConflict, "The broadcast is %s already.", b.Status)
		case b.LabelID == nil:
			return platform.Errorf(platform.ErrConflict, "The label %q is gone; choose another one.", b.LabelName)
		case waitsForLink(s.wa.Status().State):
			return errNotLinked()
		}
		// What was right when it was written may not be so any more.
		var faults request.Faults
		var fileID *int64
		if b.FileID != nil {
			n, err := parseID(*b.FileID)
			if err != nil {
				return err
			}
			fileID = &n
		}
		if err := checkContent(ctx, tx, &faults, b.Text, fileID, true); err != nil {
			return err
		}
		if b.withFile && fileID == nil {
			faults.Add("file_id", "is not there any more")
		}
		if len(faults) > 0 {
			return platform.Errorf(platform.ErrConflict, "The broadcast cannot be sent as it is: %s %s.", faults[0].Field, strings.TrimSuffix(faults[0].Detail, "."))
		}
		if err := snapshot(ctx, tx, id, *b.LabelID); err != nil {
			return err
		}
		var anybody bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM broadcast_recipients WHERE broadcast_id = $1 AND status = 'waiting')`, id).Scan(&anybody); err != nil {
			return err
		}
		if !anybody {
			return platform.Errorf(platform.ErrConflict, "Nobody with the label %q can be written to.", b.LabelName)
		}
		return setStatus(ctx, tx, id, running)
	})
}

// move returns a handler that brings a broadcast from one of some statuses to
// another. One that is there already stays as it is.
func (s *Service) move(to string, from ...string) request.Func {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.change(w, r, func(tx *event.Tx, id int64, b Broadcast) error {
			if b.Status == to {
				return nil
			}
			if !slices.Contains(from, b.Status) {
				return platform.Errorf(platform.ErrConflict, "The broadcast is %s.", b.Status)
			}
			if to == running && waitsForLink(s.wa.Status().State) {
				return errNotLinked()
			}
			return setStatus(r.Context(), tx, id, to)
		})
	}
}

func errNotLinked() error {
	return platform.Errorf(platform.ErrConflict, "No phone is linked.")
}

func (s *Service) listRecipients(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	status := faults.Query(r, "status", 16)
	if r.URL.Query().Has("status") && !slices.Contains(recipientStatuses, status) {
		faults.Add("status", "must be one of %s", strings.Join(recipientStatuses, ", "))
	}
	n := 0
	if after != nil {
		if n, err = strconv.Atoi(after.ID); err != nil || n < 1 || n > 1<<31-1 {
			faults.Add("cursor", "is not a cursor of this list")
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if _, err := getBroadcast(r.Context(), s.pool, id); err != nil {
		return err
	}
	rows, err := s.recipients(r.Context(), id, status, n, limit+1)
	if err != nil {
		return err
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		c := request.Cursor{ID: strconv.Itoa(rows[limit-1].N)}.String()
		next = &c
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"recipients": rows, "next_cursor": next})
	return nil
}
