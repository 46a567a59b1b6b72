package platform_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"ipnoelp.io/platform"
)

// An API token is the prefix and a token; neither is taken for the other, and they
// are stored under different hashes.
func FuzzHashAPIToken(f *testing.F) {
	f.Add(platform.NewAPIToken())
	f.Add("crm_")
	f.Add("CRM_" + strings.Repeat("A", 43))
	f.Add("crm_crm_" + strings.Repeat("A", 43))
	f.Add(platform.NewSessionToken())
	f.Fuzz(func(t *testing.T, token string) {
		hash, ok := platform.HashAPIToken(token)
		random, prefixed := strings.CutPrefix(token, "crm_")
		session, want := platform.HashSessionToken(random)
		if want = want && prefixed; ok != want {
			t.Errorf("%q accepted: %v, want %v", token, ok, want)
		}
		if _, both := platform.HashSessionToken(token); ok && (both || hash == session) {
			t.Errorf("%q is a session too", token)
		}
	})
}

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
