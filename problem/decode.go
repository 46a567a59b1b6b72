package problem

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"ipnoelp.io/platform"
)

// DecodeJSON reads one JSON object of at most limit bytes into v. Another
// content type, a larger body, malformed JSON, a wrong type, an unknown field
// and anything after the object are errors that say what is wrong.
func DecodeJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "application/json" {
		return platform.Errorf(platform.ErrUnsupported, "Send the body as Content-Type: application/json.")
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return decodeFault(err, limit)
	}
	if v == nil { // null, which leaves what v points to as it is
		return platform.Errorf(platform.ErrInvalid, "The body must be a JSON object, not null.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if err = tooLarge(err, limit); err != nil {
			return err
		}
		return platform.Errorf(platform.ErrInvalid, "The body holds more than one JSON value.")
	}
	return nil
}

func decodeFault(err error, limit int64) error {
	if e := tooLarge(err, limit); e != nil {
		return e
	}
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return platform.Invalid(platform.FieldError{Field: wrongType.Field, Detail: "must not be a " + wrongType.Value})
	case errors.As(err, &wrongType):
		return platform.Errorf(platform.ErrInvalid, "The body must be a JSON object, not a %s.", wrongType.Value)
	case errors.As(err, &syntax):
		return platform.Errorf(platform.ErrInvalid, "The body is not valid JSON (at byte %d).", syntax.Offset)
	case errors.Is(err, io.EOF):
		return platform.Errorf(platform.ErrInvalid, "The body is empty; a JSON object is expected.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return platform.Errorf(platform.ErrInvalid, "The body ends in the middle of its JSON value.")
	}
	// The decoder has no type for this one.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return platform.Invalid(platform.FieldError{Field: strings.Trim(name, `"`), Detail: "is not a known field"})
	}
	return platform.Errorf(platform.ErrInvalid, "The body could not be read.").WithCause(err)
}

func tooLarge(err error, limit int64) error {
	var e *http.MaxBytesError
	if errors.As(err, &e) {
		return platform.Errorf(platform.ErrTooLarge, "The body is larger than %d bytes.", limit)
	}
	return nil
}
