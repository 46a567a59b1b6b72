package inbox

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// keptStates is how many changes of the session's state are remembered: months of
// a session that is well.
const keptStates = 1000

// StateChange is one change of the session's state.
type StateChange struct {
	At     time.Time      `json:"at"`
	State  whatsapp.State `json:"state"`
	Was    whatsapp.State `json:"was"` // "" for the first of a process
	Reason string         `json:"reason"`
}

// StatePage is one page of them, latest first.
type StatePage struct {
	States     []StateChange `json:"states"`
	NextCursor *string       `json:"next_cursor"`
}

// saveState remembers a change of the state.
func (s *Service) saveState(ctx context.Context, status whatsapp.Status, was whatsapp.State) error {
	return pgx.BeginFunc(ctx, s.store.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO whatsapp_states (at, state, was, reason) VALUES ($1, $2, $3, $4)`, status.Since, status.State, was, status.Reason)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM whatsapp_states WHERE id <= (SELECT max(id) FROM whatsapp_states) - $1`, keptStates)
		}
		if err != nil {
			return fmt.Errorf("save state: %w", err)
		}
		return nil
	})
}

func (s *Service) listStates(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	before := int64(1) << 62
	if after != nil {
		if before, err = strconv.ParseInt(after.ID, 10, 64); err != nil {
			return platform.Invalid(platform.FieldError{Field: "cursor", Detail: "is not a cursor of this list"})
		}
	}
	type row struct {
		id int64
		StateChange
	}
	rows, err := database.Collect(r.Context(), s.store.pool, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.id, &v.At, &v.State, &v.Was, &v.Reason)
		v.At = v.At.UTC()
		return v, err
	}, `SELECT id, at, state, was, reason FROM whatsapp_states WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit+1)
	if err != nil {
		return fmt.Errorf("list states: %w", err)
	}
	page := StatePage{States: []StateChange{}}
	for i, v := range rows {
		if i == limit {
			last := rows[limit-1]
			next := request.Cursor{Micros: last.At.UnixMicro(), ID: strconv.FormatInt(last.id, 10)}.String()
			page.NextCursor = &next
			break
		}
		page.States = append(page.States, v.StateChange)
	}
	return ok(w, page, nil)
}
