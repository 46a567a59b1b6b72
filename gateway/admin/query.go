package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

const (
	defaultLimit = 50
	maxLimit     = 200 // items on one page
)

// query reads the parameters of a request and collects what is wrong with them.
// An empty parameter is as if it were absent.
type query struct {
	values url.Values
	faults []platform.FieldError
}

// parseQuery reads the query; that it is well-formed, and has parameters of the
// route only, each once, was checked before.
func parseQuery(r *http.Request) *query { return &query{values: r.URL.Query()} }

func (q *query) fault(field, detail string) {
	q.faults = append(q.faults, platform.FieldError{Field: field, Detail: detail})
}

// err returns an ErrInvalid that names all parameters at fault.
func (q *query) err() error {
	if q.faults == nil {
		return nil
	}
	slices.SortStableFunc(q.faults, func(a, b platform.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return platform.Invalid(q.faults...)
}

// text returns a parameter of at most limit characters.
func (q *query) text(name string, limit int) string {
	v := q.values.Get(name)
	switch {
	case !utf8.ValidString(v) || strings.ContainsRune(v, 0):
		q.fault(name, "must be text without U+0000")
	case utf8.RuneCountInString(v) > limit:
		q.fault(name, "must have at most "+strconv.Itoa(limit)+" characters")
	default:
		return v
	}
	return ""
}

func (q *query) oneOf(name string, allowed ...string) string {
	v := q.values.Get(name)
	if v != "" && !slices.Contains(allowed, v) {
		q.fault(name, "must be one of "+strings.Join(allowed, ", "))
		return ""
	}
	return v
}

func (q *query) uuid(name string) string {
	v := q.values.Get(name)
	if v == "" {
		return ""
	}
	if !isUUID(v) {
		q.fault(name, "must be a UUID")
		return ""
	}
	return v
}

func (q *query) time(name string) time.Time {
	v := q.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	// Within what the database keeps, and no offset beyond a year 0 or 10000.
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		q.fault(name, "must be a time such as 2025-06-01T12:00:00Z")
		return time.Time{}
	}
	return t.UTC()
}

func (q *query) limit() int {
	return q.number("limit", defaultLimit, 1, maxLimit)
}

func (q *query) number(name string, absent, least, most int) int {
	v := q.values.Get(name)
	if v == "" {
		return absent
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		q.fault(name, "must be a number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
		return absent
	}
	return n
}

// cursor returns the id below which the page begins, 0 for the first page.
func (q *query) cursor(bits int) int64 {
	v := q.values.Get("cursor")
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, bits)
	if err != nil || n < 1 {
		q.fault("cursor", "is not a cursor of this list")
		return 0
	}
	return n
}

// isUUID accepts the canonical form only.
func isUUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == strings.ToLower(s)
}

// page cuts what was read, one more than asked for, to the limit; cursorOf the
// last item is the next page's cursor, nil when this is the last page.
func page[T any](found []T, limit int, cursorOf func(T) string) ([]T, *string) {
	if len(found) <= limit {
		return found, nil
	}
	found = found[:limit]
	cursor := cursorOf(found[limit-1])
	return found, &cursor
}
