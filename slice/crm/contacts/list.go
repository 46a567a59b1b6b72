package contacts

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxQueryChars = 200
	maxWords      = 8 // of a search
	// searched must be the expression of the index contacts_search.
	searched = `(c.name || ' ' || c.wa_name || ' ' || c.company || ' ' || c.email || ' ' || coalesce(c.phone, ''))`
	// recent is when something happened with a contact.
	recent = `coalesce((SELECT max(h.last_message_at) FROM chats h WHERE h.contact_id = c.id), c.created_at)`
)

// filter is a part of the contacts.
type filter struct {
	where []string
	args  []any
}

// add takes a condition with %d where the argument's number belongs.
func (f *filter) add(condition string, arg any) {
	f.args = append(f.args, arg)
	f.where = append(f.where, strings.ReplaceAll(condition, "%d", strconv.Itoa(len(f.args))))
}

func (f *filter) sql() string {
	if len(f.where) == 0 {
		return "true"
	}
	return strings.Join(f.where, " AND ")
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func like(s string) string { return "%" + likeEscaper.Replace(s) + "%" }

// parseFilter reads q, label, opted_out and has_chat.
func parseFilter(r *http.Request, faults *request.Faults) *filter {
	f := &filter{}
	if q := strings.TrimSpace(faults.Query(r, "q", maxQueryChars)); q != "" {
		if phone := phonePart(q); phone != "" {
			f.args = append(f.args, like(phone), like(q))
			f.where = append(f.where, fmt.Sprintf("(%s ILIKE $%d OR %s ILIKE $%d)", searched, len(f.args)-1, searched, len(f.args)))
		} else {
			words := strings.Fields(q)
			for _, word := range words[:min(len(words), maxWords)] {
				f.add(searched+" ILIKE $%d", like(word))
			}
		}
	}
	if label := faults.Query(r, "label", maxQueryChars); label != "" {
		f.add("c.id IN (SELECT contact_id FROM contact_labels WHERE label_id = $%d)", faults.ID("label", label))
	}
	if yes, given := boolean(r, faults, "opted_out"); given {
		f.add("(c.opted_out_at IS NOT NULL) = $%d", yes)
	}
	if yes, given := boolean(r, faults, "has_chat"); given {
		f.add("EXISTS (SELECT FROM chats h WHERE h.contact_id = c.id) = $%d", yes)
	}
	return f
}

func boolean(r *http.Request, faults *request.Faults, name string) (yes, given bool) {
	switch s := faults.Query(r, name, maxQueryChars); {
	case s == "true" || s == "false":
		return s == "true", true
	case r.URL.Query().Has(name):
		faults.Add(name, "must be true or false")
	}
	return false, false
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	f := parseFilter(r, &faults)
	order := "c.sort_name, c.id"
	sort := faults.Query(r, "sort", maxQueryChars)
	switch sort {
	case "", "name":
		if after != nil {
			id, name, _ := strings.Cut(after.ID, " ")
			n := faults.ID("cursor", id)
			faults.Text("cursor", name, maxQueryChars)
			f.args = append(f.args, name, n)
			f.where = append(f.where, fmt.Sprintf("(c.sort_name, c.id) > ($%d, $%d)", len(f.args)-1, len(f.args)))
		}
	case "recent":
		order = recent + " DESC, c.id DESC"
		if after != nil {
			f.args = append(f.args, after.Time(), faults.ID("cursor", after.ID))
			f.where = append(f.where, fmt.Sprintf("(%s, c.id) < ($%d, $%d)", recent, len(f.args)-1, len(f.args)))
		}
	default:
		faults.Add("sort", "must be name or recent")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	f.args = append(f.args, limit+1)
	type row struct {
		Contact
		sortName string
	}
	rows, err := database.Collect(r.Context(), s.pool, func(r pgx.CollectableRow) (v row, err error) {
		v.Contact, err = scan(sortedRow{r, &v.sortName})
		return v, err
	}, fmt.Sprintf(`SELECT %s, c.sort_name FROM contacts c WHERE %s ORDER BY %s LIMIT $%d`, columns, f.sql(), order, len(f.args)), f.args...)
	if err != nil {
		return fmt.Errorf("list contacts: %w", err)
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		c := request.Cursor{ID: last.ID + " " + last.sortName}
		if sort == "recent" {
			at := last.CreatedAt
			if last.LastMessageAt != nil {
				at = *last.LastMessageAt
			}
			c = request.Cursor{Micros: at.UnixMicro(), ID: last.ID}
		}
		text := c.String()
		next = &text
	}
	page := make([]Contact, len(rows))
	for i, row := range rows {
		page[i] = row.Contact
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"contacts": page, "next_cursor": next})
	return nil
}

// sortedRow is a row with one column more.
type sortedRow struct {
	pgx.CollectableRow
	last *string
}

func (r sortedRow) Scan(dest ...any) error { return r.CollectableRow.Scan(append(dest, r.last)...) }
