package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
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
	maxFields      = 100
	maxChoices     = 100
	maxChoiceChars = 100
	maxValueChars  = 2000
	maxNumber      = 1e15 // up to which every whole number is exact
)

var (
	keyPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	fieldTypes = []string{"text", "number", "date", "boolean", "choice"}
)

// Field is a field of the user's own that all contacts have.
type Field struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"` // never changes
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	Choices   []string  `json:"choices"`
	Position  int       `json:"position"`
	CreatedAt time.Time `json:"created_at"`
}

func customFields(ctx context.Context, q database.Querier, where string, args ...any) ([]Field, error) {
	all, err := database.Collect(ctx, q, func(row pgx.CollectableRow) (f Field, err error) {
		err = row.Scan(&f.ID, &f.Key, &f.Name, &f.Type, &f.Choices, &f.Position, &f.CreatedAt)
		f.CreatedAt = f.CreatedAt.UTC()
		return f, err
	}, `SELECT id::text, key, name, type, choices, position, created_at FROM custom_fields `+where+` ORDER BY position, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("custom fields: %w", err)
	}
	return all, nil
}

func fieldsByKey(ctx context.Context, q database.Querier) (map[string]Field, error) {
	all, err := customFields(ctx, q, "")
	byKey := make(map[string]Field, len(all))
	for _, f := range all {
		byKey[f.Key] = f
	}
	return byKey, err
}

func (f Field) name() string { return "custom." + f.Key }

// check returns a value as it is stored.
func (f Field) check(faults *request.Faults, raw json.RawMessage) any {
	var err error
	switch f.Type {
	case "number":
		var n float64
		if err = json.Unmarshal(raw, &n); err == nil && math.Abs(n) <= maxNumber {
			return n
		}
		faults.Add(f.name(), "must be a number of at most 15 digits")
	case "boolean":
		var b bool
		if err = json.Unmarshal(raw, &b); err == nil {
			return b
		}
		faults.Add(f.name(), "must be true or false")
	default:
		var s string
		if err = json.Unmarshal(raw, &s); err == nil {
			return f.checkText(faults, s)
		}
		faults.Add(f.name(), "must be a text")
	}
	return nil
}

// checkText returns the value of a field that is kept as a text.
func (f Field) checkText(faults *request.Faults, s string) string {
	s = strings.TrimSpace(oneLineEnd.Replace(s))
	switch f.Type {
	case "date":
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			faults.Add(f.name(), "must be a date such as 2026-12-31")
		}
	case "choice":
		if !slices.Contains(f.Choices, s) {
			faults.Add(f.name(), "must be one of the field's choices")
		}
	default:
		faults.Text(f.name(), s, maxValueChars)
	}
	return s
}

// parse reads a value that is written as a text, as in a CSV file.
func (f Field) parse(faults *request.Faults, s string) any {
	switch f.Type {
	case "number":
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(n) || math.Abs(n) > maxNumber {
			faults.Add(f.name(), "must be a number of at most 15 digits, with a point")
		}
		return n
	case "boolean":
		b, ok := parseBool(s)
		if !ok {
			faults.Add(f.name(), "must be true or false")
		}
		return b
	}
	return f.checkText(faults, s)
}

func parseBool(s string) (yes, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "y", "1", "x":
		return true, true
	case "false", "no", "n", "0":
		return false, true
	}
	return false, false
}

func (s *Service) listFields(w http.ResponseWriter, r *http.Request) error {
	all, err := customFields(r.Context(), s.pool, "")
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, map[string]any{"custom_fields": all})
	}
	return err
}

type fieldInput struct {
	Key      request.Optional[string]   `json:"key"`
	Name     request.Optional[string]   `json:"name"`
	Type     request.Optional[string]   `json:"type"`
	Choices  request.Optional[[]string] `json:"choices"`
	Position request.Optional[int32]    `json:"position"`
}

// apply checks what is given and puts it into f.
func (in fieldInput) apply(f *Field, create bool) error {
	var faults request.Faults
	switch {
	case create:
		f.Key, f.Type, f.Choices = text(in.Key), text(in.Type), []string{}
		if !keyPattern.MatchString(f.Key) {
			faults.Add("key", "must be 1 to 40 small letters, digits or underscores, a letter first")
		}
		if !slices.Contains(fieldTypes, f.Type) {
			faults.Add("type", "must be one of %s", strings.Join(fieldTypes, ", "))
		}
	case in.Key.Given:
		faults.Add("key", "cannot be changed")
	case in.Type.Given:
		faults.Add("type", "cannot be changed")
	}
	if in.Name.Given || create {
		if f.Name = checkLine(&faults, "name", text(in.Name), maxNameChars); f.Name == "" {
			faults.Add("name", "must not be blank")
		}
	}
	if in.Position.Value != nil {
		f.Position = int(*in.Position.Value)
	}
	if in.Choices.Value != nil {
		f.Choices = make([]string, 0, len(*in.Choices.Value))
		for _, c := range *in.Choices.Value {
			c = checkLine(&faults, "choices", c, maxChoiceChars)
			if c == "" || slices.Contains(f.Choices, c) {
				faults.Add("choices", "must not be blank, and differ")
			}
			f.Choices = append(f.Choices, c)
			if len(faults) > 0 {
				break
			}
		}
	}
	if n := len(f.Choices); f.Type == "choice" && (n == 0 || n > maxChoices) {
		faults.Add("choices", "must have 1 to %d texts", maxChoices)
	} else if f.Type != "choice" && n > 0 {
		faults.Add("choices", "are for the type choice only")
	}
	return faults.Err()
}

func (s *Service) createField(w http.ResponseWriter, r *http.Request) error {
	var in fieldInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var f Field
	if err := in.apply(&f, true); err != nil {
		return err
	}
	err := s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		all, err := customFields(r.Context(), tx, "")
		if err != nil {
			return err
		}
		if len(all) >= maxFields {
			return platform.Errorf(platform.ErrConflict, "There can be %d custom fields at most.", maxFields)
		}
		if in.Position.Value == nil && len(all) > 0 {
			f.Position = all[len(all)-1].Position + 1
		}
		return tx.QueryRow(r.Context(), `INSERT INTO custom_fields (key, name, type, choices, position) VALUES ($1, $2, $3, $4, $5) RETURNING id::text, created_at`,
			f.Key, f.Name, f.Type, f.Choices, f.Position).Scan(&f.ID, &f.CreatedAt)
	})
	if violates(err, "custom_fields_key_key") {
		return platform.Errorf(platform.ErrConflict, "There is a custom field with this key already.")
	}
	if err != nil {
		return err
	}
	f.CreatedAt = f.CreatedAt.UTC()
	problem.WriteJSON(w, http.StatusCreated, f)
	return nil
}

func errNoField() error {
	return platform.Errorf(platform.ErrNotFound, "There is no such custom field.")
}

func (s *Service) updateField(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in fieldInput
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var f Field
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		all, err := customFields(r.Context(), tx, `WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errNoField()
		}
		f = all[0]
		if err := in.apply(&f, false); err != nil {
			return err
		}
		if f.Type == "choice" {
			var used int
			if err := tx.QueryRow(r.Context(), `SELECT count(*) FROM contacts WHERE custom ? $1 AND NOT custom ->> $1 = ANY($2)`, f.Key, f.Choices).Scan(&used); err != nil {
				return err
			}
			if used > 0 {
				return platform.Errorf(platform.ErrConflict, "%d contacts have a choice that would be gone.", used)
			}
		}
		_, err = tx.Exec(r.Context(), `UPDATE custom_fields SET name = $2, choices = $3, position = $4 WHERE id = $1`, id, f.Name, f.Choices, f.Position)
		return err
	})
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, f)
	}
	return err
}

// deleteField removes a field and its value from all contacts.
func (s *Service) deleteField(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		gone, err := database.Collect(r.Context(), tx, pgx.RowTo[string], `DELETE FROM custom_fields WHERE id = $1 RETURNING key`, id)
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			return errNoField()
		}
		_, err = tx.Exec(r.Context(), `UPDATE contacts SET custom = custom - $1::text WHERE custom ? $1`, gone[0])
		return err
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
