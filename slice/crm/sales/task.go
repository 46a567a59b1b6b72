package sales

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// Task is something to do, as clients see it.
type Task struct {
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Text        string     `json:"text"`
	DueAt       *time.Time `json:"due_at"`
	ContactID   *string    `json:"contact_id"`
	ContactName *string    `json:"contact_name"`
	DealID      *string    `json:"deal_id"`
	DealTitle   *string    `json:"deal_title"`
	DoneAt      *time.Time `json:"done_at"`
	RemindedAt  *time.Time `json:"reminded_at"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

// taskQuery ends where a WHERE follows.
const taskQuery = `
SELECT t.id::text, t.title, t.text, t.due_at, t.contact_id::text, CASE WHEN c.id IS NOT NULL THEN ` + contactName + ` END,
	t.deal_id::text, d.title, t.done_at, t.reminded_at, t.created_at, t.updated_at
FROM tasks t LEFT JOIN contacts c ON c.id = t.contact_id LEFT JOIN deals d ON d.id = t.deal_id`

func scanTask(row pgx.CollectableRow) (Task, error) {
	var t Task
	err := row.Scan(&t.ID, &t.Title, &t.Text, &t.DueAt, &t.ContactID, &t.ContactName, &t.DealID, &t.DealTitle, &t.DoneAt,
		&t.RemindedAt, &t.CreatedAt, &t.UpdatedAt)
	t.DueAt, t.DoneAt, t.RemindedAt = inUTC(t.DueAt), inUTC(t.DoneAt), inUTC(t.RemindedAt)
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, err
}

// taskOf returns a task; lock is "" or FOR UPDATE OF t.
func taskOf(ctx context.Context, q database.Querier, id int64, lock string) (Task, error) {
	list, err := database.Collect(ctx, q, scanTask, taskQuery+` WHERE t.id = $1 `+lock, id)
	if err != nil {
		return Task{}, fmt.Errorf("task %d: %w", id, err)
	}
	if len(list) == 0 {
		return Task{}, platform.Errorf(platform.ErrNotFound, "There is no such task.")
	}
	return list[0], nil
}

func (s *Service) getTask(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	task, err := taskOf(r.Context(), s.pool, id, "")
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, task)
	return nil
}

// taskOrder has tasks without a due time last; it is the expression of the index.
const taskOrder = `coalesce(t.due_at, '9999-12-31 00:00:00+00'::timestamptz)`

var undue = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// listTasks answers with tasks, the one due first at the top.
func (s *Service) listTasks(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	where := []string{"true"}
	args := []any{limit + 1}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	given := r.URL.Query()
	now := s.now().In(faults.Zone(r))
	midnight := func(days int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, 0, 0, 0, 0, now.Location())
	}
	if due := faults.Query(r, "due", 20); given.Has("due") {
		switch due {
		case "overdue":
			where = append(where, "t.done_at IS NULL AND t.due_at < "+arg(now))
		case "today":
			where = append(where, "t.due_at >= "+arg(midnight(0)), "t.due_at < "+arg(midnight(1)))
		case "upcoming":
			where = append(where, "t.due_at >= "+arg(midnight(1)))
		case "none":
			where = append(where, "t.due_at IS NULL")
		default:
			faults.Add("due", "must be overdue, today, upcoming or none")
		}
	}
	if done := faults.Query(r, "done", 20); given.Has("done") {
		switch done {
		case "true":
			where = append(where, "t.done_at IS NOT NULL")
		case "false":
			where = append(where, "t.done_at IS NULL")
		default:
			faults.Add("done", "must be true or false")
		}
	}
	for name, column := range map[string]string{"contact": "t.contact_id", "deal": "t.deal_id"} {
		if id := faults.Query(r, name, 20); given.Has(name) {
			where = append(where, column+" = "+arg(faults.ID(name, id)))
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if after != nil {
		id, err := strconv.ParseInt(after.ID, 10, 64)
		if err != nil || after.Time().After(undue) || after.Micros < 0 {
			return errOtherCursor
		}
		where = append(where, "("+taskOrder+", t.id) > ("+arg(after.Time())+", "+arg(id)+")")
	}
	list, err := database.Collect(r.Context(), s.pool, scanTask,
		taskQuery+" WHERE "+strings.Join(where, " AND ")+" ORDER BY "+taskOrder+", t.id LIMIT $1", args...)
	if err != nil {
		return err
	}
	list, next := cut(list, limit, func(t Task) request.Cursor {
		at := undue
		if t.DueAt != nil {
			at = *t.DueAt
		}
		return request.Cursor{Micros: at.UnixMicro(), ID: t.ID}
	})
	problem.WriteJSON(w, http.StatusOK, map[string]any{"tasks": list, "next_cursor": next})
	return nil
}
