package request

import (
	"fmt"
	"net/http"
	"strconv"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// Func is a handler that leaves its errors to be answered.
type Func func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP makes a Func a http.Handler.
func (f Func) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Fail(w, r, err)
	}
}

// maxBody is for bodies without long texts.
const maxBody = 64 << 10 // bytes

// JSON reads the body into v.
func JSON(w http.ResponseWriter, r *http.Request, v any) error {
	return problem.DecodeJSON(w, r, maxBody, v)
}

// ID returns the number in the request's path; what is no number names nothing.
func ID(r *http.Request, name string) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != r.PathValue(name) {
		return 0, platform.Errorf(platform.ErrNotFound, "There is nothing of that id.")
	}
	return id, nil
}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// Page reads limit (1 to 200, else 50) and a cursor from the query.
func Page(r *http.Request) (limit int, after *Cursor, err error) {
	values := r.URL.Query()
	limit = defaultLimit
	if values.Has("limit") {
		limit, err = strconv.Atoi(values.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit || len(values["limit"]) > 1 {
			return 0, nil, platform.Invalid(platform.FieldError{Field: "limit", Detail: fmt.Sprintf("must be a number from 1 to %d, given once", maxLimit)})
		}
	}
	if len(values["cursor"]) > 1 {
		return 0, nil, platform.Invalid(platform.FieldError{Field: "cursor", Detail: "must be given once"})
	}
	after, err = ParseCursor("cursor", values.Get("cursor"))
	return limit, after, err
}
