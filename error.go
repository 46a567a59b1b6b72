package platform

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorCode classifies an error for whoever has to answer it. The HTTP layers
// map each code to one status.
type ErrorCode string

const (
	ErrInvalid         ErrorCode = "invalid"         // the input is wrong; nothing changed
	ErrUnauthenticated ErrorCode = "unauthenticated" // no or an expired session
	ErrSecondFactor    ErrorCode = "second_factor"   // the password was right; a code is asked for
	ErrForbidden       ErrorCode = "forbidden"       // authenticated, but not allowed
	ErrReauthenticate  ErrorCode = "reauthenticate"  // allowed, once the password is given again
	ErrNotFound        ErrorCode = "not_found"       // no such thing, or not the caller's
	ErrConflict        ErrorCode = "conflict"        // it clashes with what is there
	ErrTooLarge        ErrorCode = "too_large"       // the body exceeds the route's limit
	ErrTooMany         ErrorCode = "too_many"        // a limit was reached; try again later
	ErrUnsupported     ErrorCode = "unsupported"     // a content type that is not served
	ErrMisdirected     ErrorCode = "misdirected"     // the request was meant for another slice
	ErrUnavailable     ErrorCode = "unavailable"     // a part is not ready; try again later
	ErrBadGateway      ErrorCode = "bad_gateway"     // the slice answered with nonsense or not at all
	ErrGatewayTimeout  ErrorCode = "gateway_timeout" // the slice did not answer in time
	ErrMethod          ErrorCode = "method_not_allowed"
	ErrInternal        ErrorCode = "internal"
)

// FieldError says what is wrong with one field of an input.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is an error whose Message may be shown to a client. Wrapped causes
// are for the log only.
type Error struct {
	Code    ErrorCode
	Message string
	Fields  []FieldError
	cause   error
}

// Errorf returns an Error with a message that may be shown to a client; what
// went wrong inside is attached with WithCause.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns an ErrInvalid that names the fields at fault.
func Invalid(fields ...FieldError) *Error {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Field
	}
	return &Error{Code: ErrInvalid, Message: "The input is not valid: " + strings.Join(names, ", ") + ".", Fields: fields}
}

// WithCause attaches what went wrong inside; it is logged, never shown.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of the first Error in err's chain, "" for nil, and
// ErrInternal for every other error.
func CodeOf(err error) ErrorCode {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ErrInternal
}
