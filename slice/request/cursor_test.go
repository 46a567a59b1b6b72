package request

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	want := Cursor{at.UnixMicro(), "4915112345678@c.us"}
	got, err := ParseCursor("cursor", want.String())
	if err != nil || *got != want || !got.Time().Equal(at) {
		t.Errorf("got %+v, %v", got, err)
	}
	if c, err := ParseCursor("cursor", ""); c != nil || err != nil {
		t.Errorf("no cursor: %+v, %v", c, err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	for _, s := range []string{"x", "%", enc([]byte("{}")), enc([]byte(`{"t":1}`)), enc([]byte(`{"t":"1","i":"a"}`)),
		enc([]byte(`{"t":1,"i":"a"} `)), want.String() + "=", strings.Repeat("a", 1000)} {
		if _, err := ParseCursor("before", s); platform.CodeOf(err) != platform.ErrInvalid {
			t.Errorf("%q: %v, want it refused", s, err)
		}
	}
}
