package request

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no time zones
	"unicode/utf8"

	"ipnoelp.io/platform"
)

// Optional is a field of a body that may be left out, and tells that from null.
type Optional[T any] struct {
	Given bool
	Value *T // nil for null
}

// UnmarshalJSON is called for fields that are given only.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	*o = Optional[T]{Given: true}
	if string(b) == "null" {
		return nil
	}
	o.Value = new(T)
	return json.Unmarshal(b, o.Value) // as it is, so that the decoder adds the field's name
}

// Faults are what is wrong with an input; all that is wrong is told at once.
type Faults []platform.FieldError

// Add says what is wrong with a field.
func (f *Faults) Add(field, format string, args ...any) {
	*f = append(*f, platform.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// Err is nil when nothing is wrong.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return platform.Invalid(f...)
}

// Text checks a text of at most maxChars characters that the database can hold.
func (f *Faults) Text(field, s string, maxChars int) {
	switch {
	case utf8.RuneCountInString(s) > maxChars:
		f.Add(field, "must have at most %d characters", maxChars)
	case !utf8.ValidString(s):
		f.Add(field, "must be UTF-8")
	case strings.ContainsRune(s, 0):
		f.Add(field, "must not hold the character U+0000")
	}
}

// Name checks a text that must not be blank, and returns it without space around.
func (f *Faults) Name(field, s string, maxChars int) string {
	s = strings.TrimSpace(s)
	if s == "" {
		f.Add(field, "must not be blank")
	}
	f.Text(field, s, maxChars)
	return s
}

// ID reads the id of something else in a body or a query.
func (f *Faults) ID(field, s string) int64 {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != s {
		f.Add(field, "must be an id")
		return 0
	}
	return id
}

// Query returns a parameter of the query, "" when it is not given.
func (f *Faults) Query(r *http.Request, name string, maxChars int) string {
	values := r.URL.Query()[name]
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 {
		f.Add(name, "must be given once")
	}
	f.Text(name, values[0], maxChars)
	return values[0]
}

// Zone returns the time zone that the query names in tz; without one it is UTC.
func (f *Faults) Zone(r *http.Request) *time.Location {
	const maxChars = 64
	name := f.Query(r, "tz", maxChars)
	if name == "" {
		if r.URL.Query().Has("tz") {
			f.Add("tz", "must be a time zone, such as Europe/Berlin")
		}
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || len(name) > maxChars {
		f.Add("tz", "must be a time zone, such as Europe/Berlin")
		return time.UTC
	}
	return zone
}
