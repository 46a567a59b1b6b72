// Package problem writes errors as RFC 9457 problem details. The gateway and
// the slice answer every error in this one form.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"ipnoelp.io/platform"
)

// ContentType of every answer that this package writes.
const ContentType = "application/problem+json"

// Details is the body of an error answer.
type Details struct {
	Type      string                `json:"type"`   // a URI reference: "/problems/" and the error code
	Title     string                `json:"title"`  // the HTTP status text
	Status    int                   `json:"status"` // the HTTP status
	Detail    string                `json:"detail"` // what is wrong, for a person
	Errors    []platform.FieldError `json:"errors,omitempty"`
	RequestID string                `json:"request_id,omitempty"`
}

var statuses = map[platform.ErrorCode]int{
	platform.ErrInvalid:         http.StatusBadRequest,
	platform.ErrUnauthenticated: http.StatusUnauthorized,
	platform.ErrSecondFactor:    http.StatusUnauthorized,
	platform.ErrForbidden:       http.StatusForbidden,
	platform.ErrReauthenticate:  http.StatusForbidden,
	platform.ErrNotFound:        http.StatusNotFound,
	platform.ErrConflict:        http.StatusConflict,
	platform.ErrTooLarge:        http.StatusRequestEntityTooLarge,
	platform.ErrTooMany:         http.StatusTooManyRequests,
	platform.ErrUnsupported:     http.StatusUnsupportedMediaType,
	platform.ErrMisdirected:     http.StatusMisdirectedRequest,
	platform.ErrUnavailable:     http.StatusServiceUnavailable,
	platform.ErrBadGateway:      http.StatusBadGateway,
	platform.ErrGatewayTimeout:  http.StatusGatewayTimeout,
	platform.ErrMethod:          http.StatusMethodNotAllowed,
}

// Status returns the HTTP status of an error; 500 for one without a code.
func Status(err error) int {
	if s, ok := statuses[platform.CodeOf(err)]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// From returns the details that a client may see. The text of an error without
// a code is never among them.
func From(err error) Details {
	status := Status(err)
	d := Details{
		Type:   "/problems/" + string(platform.CodeOf(err)),
		Title:  http.StatusText(status),
		Status: status,
		Detail: "Something went wrong on our side.",
	}
	var e *platform.Error
	if errors.As(err, &e) {
		d.Detail, d.Errors = e.Message, e.Fields
	}
	return d
}

// Write answers with the error's details. The request id is taken from the
// answer's own header, where the server put it.
func Write(w http.ResponseWriter, err error) {
	d := From(err)
	d.RequestID = w.Header().Get(platform.HeaderRequestID)
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff") // of tenants' routes too, which set no headers of their own
	h.Del("Content-Length")
	w.WriteHeader(d.Status)
	json.NewEncoder(w).Encode(d) // the client may be gone; nothing to do then
}
