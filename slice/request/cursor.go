package request

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"ipnoelp.io/platform"
)

// A Cursor is the place of one row in its order. Clients get it as opaque text.
type Cursor struct {
	Micros int64  `json:"t"` // Unix microseconds, which is what PostgreSQL stores
	ID     string `json:"i"`
}

// String is the text that clients get.
func (c Cursor) String() string {
	b, _ := json.Marshal(c) // two plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// Time is the time of the row.
func (c Cursor) Time() time.Time { return time.UnixMicro(c.Micros).UTC() }

// maxCursorBytes is above what any cursor of ours has.
const maxCursorBytes = 512

// ParseCursor reads the cursor in the query field of the given name. It returns
// nil for "".
func ParseCursor(field, s string) (*Cursor, error) {
	if s == "" {
		return nil, nil
	}
	bad := platform.Invalid(platform.FieldError{Field: field, Detail: "is not a cursor of this list"})
	if len(s) > maxCursorBytes {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, bad
	}
	var c Cursor
	if err := json.Unmarshal(b, &c); err != nil || c.ID == "" || c.String() != s {
		return nil, bad
	}
	return &c, nil
}
