package sales

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const maxTextChars = 10_000

// taskInput is the body of POST and PATCH.
type taskInput struct {
	Title     *string                  `json:"title"`
	Text      *string                  `json:"text"`
	DueAt     request.Optional[string] `json:"due_at"`
	ContactID request.Optional[string] `json:"contact_id"`
	DealID    request.Optional[string] `json:"deal_id"`
	Done      *bool                    `json:"done"`
}

// into puts what is given into the task.
func (in taskInput) into(t *Task, now time.Time) error {
	var faults request.Faults
	if in.Title != nil {
		t.Title = faults.Name("title", *in.Title, maxTitleChars)
	}
	if in.Text != nil {
		t.Text = *in.Text
		faults.Text("text", t.Text, maxTextChars)
	}
	if in.DueAt.Given {
		was := t.DueAt
		t.DueAt = dueAt(in.DueAt.Value, &faults)
		if was == nil || t.DueAt == nil || !was.Equal(*t.DueAt) {
			t.RemindedAt = nil
		}
	}
	if in.ContactID.Given {
		if t.ContactID = in.ContactID.Value; t.ContactID != nil {
			faults.ID("contact_id", *t.ContactID)
		}
	}
	if in.DealID.Given {
		if t.DealID = in.DealID.Value; t.DealID != nil {
			faults.ID("deal_id", *t.DealID)
		}
	}
	if in.Done != nil && *in.Done != (t.DoneAt != nil) {
		t.DoneAt = nil
		if *in.Done {
			t.DoneAt = &now
		}
	}
	return faults.Err()
}

func dueAt(s *string, faults *request.Faults) *time.Time {
	if s == nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339, *s)
	at = at.UTC().Truncate(time.Microsecond) // which is what PostgreSQL stores
	if err != nil || at.Format(time.DateOnly) < firstDate || at.Format(time.DateOnly) > lastDate {
		faults.Add("due_at", "must be a time such as 2026-01-31T17:00:00Z, from %s to %s", firstDate, lastDate)
	}
	return &at
}

func (s *Service) createTask(w http.ResponseWriter, r *http.Request) error {
	var in taskInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	if in.Title == nil {
		return platform.Invalid(platform.FieldError{Field: "title", Detail: "is required"})
	}
	ctx, now := r.Context(), s.now().UTC()
	var task Task
	if err := in.into(&task, now); err != nil {
		return err
	}
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `
			INSERT INTO tasks (title, text, due_at, contact_id, deal_id, done_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id`,
			task.Title, task.Text, task.DueAt, task.ContactID, task.DealID, task.DoneAt, now).Scan(&id)
		if err != nil {
			return err
		}
		if task, err = taskOf(ctx, tx, id, ""); err != nil {
			return err
		}
		s.changed(tx, EventTaskCreated, task)
		return nil
	})
	if err != nil {
		return public(err)
	}
	problem.WriteJSON(w, http.StatusCreated, task)
	return nil
}

// changed tells of a task, and has its reminder thought of.
func (s *Service) changed(tx *event.Tx, name string, task Task) {
	tx.Emit(name, task)
	if task.DueAt != nil && task.DoneAt == nil && task.RemindedAt == nil {
		tx.AfterCommit(s.reminders.Wake)
	}
}

func (s *Service) updateTask(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in taskInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	ctx, now := r.Context(), s.now().UTC()
	var task Task
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		if task, err = taskOf(ctx, tx, id, "FOR UPDATE OF t"); err != nil {
			return err
		}
		if err := in.into(&task, now); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE tasks SET title = $2, text = $3, due_at = $4, contact_id = $5, deal_id = $6, done_at = $7, reminded_at = $8, updated_at = $9
			WHERE id = $1`, id, task.Title, task.Text, task.DueAt, task.ContactID, task.DealID, task.DoneAt, task.RemindedAt, now)
		if err != nil {
			return err
		}
		if task, err = taskOf(ctx, tx, id, ""); err != nil {
			return err
		}
		s.changed(tx, EventTaskUpdated, task)
		return nil
	})
	if err != nil {
		return public(err)
	}
	problem.WriteJSON(w, http.StatusOK, task)
	return nil
}

func (s *Service) deleteTask(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	ctx := r.Context()
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM tasks WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrNotFound, "There is no such task.")
		}
		tx.Emit(EventTaskDeleted, Deleted{strconv.FormatInt(id, 10)})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxReminders are done in one transaction.
const maxReminders = 100

// remind publishes the reminders that are due, each with its mark in one
// transaction, and returns when the next is due.
func (s *Service) remind(ctx context.Context) (next time.Time, err error) {
	now := s.now()
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		tasks, err := database.Collect(ctx, tx, scanTask, taskQuery+`
			WHERE t.done_at IS NULL AND t.reminded_at IS NULL AND t.due_at <= $1 ORDER BY t.due_at, t.id LIMIT $2 FOR UPDATE OF t`, now, maxReminders)
		if err != nil {
			return err
		}
		marked := now.UTC().Truncate(time.Microsecond)
		ids := make([]string, len(tasks))
		for i, task := range tasks {
			ids[i] = task.ID
			task.RemindedAt = &marked
			tx.Emit(EventTaskDue, task)
		}
		if len(ids) > 0 {
			if _, err := tx.Exec(ctx, `UPDATE tasks SET reminded_at = $2 WHERE id = ANY($1::text[]::bigint[])`, ids, marked); err != nil {
				return err
			}
		}
		var at *time.Time
		err = tx.QueryRow(ctx, `SELECT min(due_at) FROM tasks WHERE done_at IS NULL AND reminded_at IS NULL AND due_at IS NOT NULL`).Scan(&at)
		if at != nil {
			next = *at
		}
		return err
	})
	return next, err
}
