package auth

import (
	"bytes"
	"testing"
)

// Nothing opens but what was sealed, with the same key, for the same thing.
func FuzzUnseal(f *testing.F) {
	s, other := newSealer([]byte("a platform's key"), "log-in"), newSealer([]byte("a platform's key"), "device")
	sealed := s.seal([]byte("text"), "ana")
	f.Add(sealed, "ana")
	f.Add(sealed, "ben")
	f.Add(sealed[:12], "ana")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, b []byte, belongsTo string) {
		// The processes that fuzz have seeds of one another, sealed with other nonces.
		text, err := s.open(b, belongsTo)
		if err == nil && (string(text) != "text" || belongsTo != "ana") || err != nil && bytes.Equal(b, sealed) && belongsTo == "ana" {
			t.Errorf("%x for %q: %q, %v", b, belongsTo, text, err)
		}
		if _, err := other.open(b, belongsTo); err == nil {
			t.Errorf("%x opens with another key", b)
		}
	})
}
