package contacts

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxLabels        = 500
	maxLabelChars    = 60
	maxBulk          = 1000 // contacts that get a label in one request
	defaultColor     = "gray"
	errTooManyLabels = "There can be %d labels at most."
)

var colors = []string{defaultColor, "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink"}

// Label is a label with how often it is used.
type Label struct {
	LabelName
	Contacts  int       `json:"contacts"`
	Chats     int       `json:"chats"`
	CreatedAt time.Time `json:"created_at"`
}

func labels(ctx context.Context, q database.Querier, where string, args ...any) ([]Label, error) {
	all, err := database.Collect(ctx, q, func(row pgx.CollectableRow) (l Label, err error) {
		err = row.Scan(&l.ID, &l.Name, &l.Color, &l.CreatedAt, &l.Contacts, &l.Chats)
		l.CreatedAt = l.CreatedAt.UTC()
		return l, err
	}, `SELECT id::text, name, color, created_at, (SELECT count(*) FROM contact_labels WHERE label_id = labels.id),
		(SELECT count(*) FROM chat_labels WHERE label_id = labels.id) FROM labels `+where+` ORDER BY lower(name)`, args...)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	return all, nil
}

func errNoLabel() error { return platform.Errorf(platform.ErrNotFound, "There is no such label.") }

func label(ctx context.Context, q database.Querier, id int64) (Label, error) {
	all, err := labels(ctx, q, `WHERE id = $1`, id)
	if err == nil && len(all) == 0 {
		err = errNoLabel()
	}
	if err != nil {
		return Label{}, err
	}
	return all[0], nil
}

func (s *Service) listLabels(w http.ResponseWriter, r *http.Request) error {
	all, err := labels(r.Context(), s.pool, "")
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, map[string]any{"labels": all})
	}
	return err
}

func (s *Service) getLabel(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	l, err := label(r.Context(), s.pool, id)
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, l)
	}
	return err
}

type labelInput struct {
	Name  request.Optional[string] `json:"name"`
	Color request.Optional[string] `json:"color"`
}

func (in *labelInput) check(create bool) (name, color *string, err error) {
	var faults request.Faults
	if in.Name.Given || create {
		v := checkLine(&faults, "name", text(in.Name), maxLabelChars)
		if v == "" {
			faults.Add("name", "must not be blank")
		}
		name = &v
	}
	if in.Color.Given {
		v := text(in.Color)
		if in.Color.Value == nil {
			v = defaultColor
		}
		if !slices.Contains(colors, v) {
			faults.Add("color", "must be one of %s", strings.Join(colors, ", "))
		}
		color = &v
	}
	return name, color, faults.Err()
}

func errLabelTaken(err error) error {
	if violates(err, "labels_by_name") {
		return platform.Errorf(platform.ErrConflict, "There is a label with this name already.")
	}
	return err
}

func (s *Service) createLabel(w http.ResponseWriter, r *http.Request) error {
	return s.writeLabel(w, r, http.StatusCreated, "label:created", func(tx *event.Tx, in *labelInput) (id int64, err error) {
		name, color, err := in.check(true)
		if err != nil {
			return 0, err
		}
		var n int
		if err := tx.QueryRow(r.Context(), `SELECT count(*) FROM labels`).Scan(&n); err != nil {
			return 0, err
		}
		if n >= maxLabels {
			return 0, platform.Errorf(platform.ErrConflict, errTooManyLabels, maxLabels)
		}
		err = tx.QueryRow(r.Context(), `INSERT INTO labels (name, color) VALUES ($1, coalesce($2, $3)) RETURNING id`, name, color, defaultColor).Scan(&id)
		return id, err
	})
}

func (s *Service) updateLabel(w http.ResponseWriter, r *http.Request) error {
	return s.writeLabel(w, r, http.StatusOK, "label:updated", func(tx *event.Tx, in *labelInput) (int64, error) {
		id, err := request.ID(r, "id")
		if err != nil {
			return 0, err
		}
		name, color, err := in.check(false)
		if err != nil {
			return 0, err
		}
		_, err = tx.Exec(r.Context(), `UPDATE labels SET name = coalesce($2, name), color = coalesce($3, color) WHERE id = $1`, id, name, color)
		return id, err
	})
}

// writeLabel has f write a label, tells and answers it.
func (s *Service) writeLabel(w http.ResponseWriter, r *http.Request, status int, name string, f func(tx *event.Tx, in *labelInput) (int64, error)) error {
	var in labelInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var l Label
	err := s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		id, err := f(tx, &in)
		if err != nil {
			return err
		}
		if l, err = label(r.Context(), tx, id); err == nil {
			tx.Emit(name, l)
		}
		return err
	})
	if err != nil {
		return errLabelTaken(err)
	}
	problem.WriteJSON(w, status, l)
	return nil
}

func (s *Service) deleteLabel(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		tag, err := tx.Exec(r.Context(), `DELETE FROM labels WHERE id = $1`, id)
		if err == nil && tag.RowsAffected() == 0 {
			err = errNoLabel()
		}
		tx.Emit("label:deleted", map[string]string{"id": strconv.FormatInt(id, 10)})
		return err
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Service) putLabel(w http.ResponseWriter, r *http.Request) error {
	return s.changeLabel(w, r, `INSERT INTO contact_labels (contact_id, label_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
}

func (s *Service) removeLabel(w http.ResponseWriter, r *http.Request) error {
	return s.changeLabel(w, r, `DELETE FROM contact_labels WHERE contact_id = $1 AND label_id = $2`)
}

func (s *Service) changeLabel(w http.ResponseWriter, r *http.Request, sql string) error {
	labelID, err := request.ID(r, "label_id")
	if err != nil {
		return err
	}
	return s.change(w, r, nil, func(ctx context.Context, tx *event.Tx, id int64) error {
		if _, err := label(ctx, tx, labelID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, id, labelID)
		return err
	})
}

// labelContacts puts a label on many contacts at once.
func (s *Service) labelContacts(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in struct {
		ContactIDs []string `json:"contact_ids"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var faults request.Faults
	if len(in.ContactIDs) == 0 || len(in.ContactIDs) > maxBulk {
		faults.Add("contact_ids", "must have 1 to %d ids", maxBulk)
		return faults.Err()
	}
	ids := make([]int64, len(in.ContactIDs))
	for i, v := range in.ContactIDs {
		if ids[i] = faults.ID("contact_ids", v); len(faults) > 0 {
			return faults.Err()
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var added int64
	var l Label
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		if _, err := label(r.Context(), tx, id); err != nil {
			return err
		}
		var known int
		if err := tx.QueryRow(r.Context(), `SELECT count(*) FROM contacts WHERE id = ANY($1)`, ids).Scan(&known); err != nil {
			return err
		}
		if known != len(ids) {
			faults.Add("contact_ids", "%d of them are not contacts", len(ids)-known)
			return faults.Err()
		}
		tag, err := tx.Exec(r.Context(), `INSERT INTO contact_labels (contact_id, label_id) SELECT unnest($1::bigint[]), $2 ON CONFLICT DO NOTHING`, ids, id)
		if err != nil {
			return fmt.Errorf("label contacts: %w", err)
		}
		added = tag.RowsAffected()
		if l, err = label(r.Context(), tx, id); err == nil && added > 0 {
			tx.Emit("label:updated", l)
		}
		return err
	})
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, map[string]any{"added": added, "label": l})
	}
	return err
}
