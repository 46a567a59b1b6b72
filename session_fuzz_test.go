package platform_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"ipnoelp.io/platform"
)

// A token is accepted in one spelling only, and never panics.
func FuzzHashSessionToken(f *testing.F) {
	f.Add(platform.NewSessionToken())
	f.Add("")
	f.Add(strings.Repeat("A", 43))
	f.Add(strings.Repeat("A", 42) + "B")
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add("A\n" + strings.Repeat("A", 42))
	f.Fuzz(func(t *testing.T, token string) {
		_, ok := platform.HashSessionToken(token)
		b, err := base64.RawURLEncoding.DecodeString(token)
		want := err == nil && len(b) == 32 && base64.RawURLEncoding.EncodeToString(b) == token
		if ok != want {
			t.Errorf("%q accepted: %v, want %v", token, ok, want)
		}
	})
}
