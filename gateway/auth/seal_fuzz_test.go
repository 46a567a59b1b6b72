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
		text, err := s.open(b, belongsTo)
		if genuine := bytes.Equal(b, sealed) && belongsTo == "ana"; (err == nil) != genuine || genuine && string(text) != "text" {
			t.Errorf("%x for %q: %q, %v", b, belongsTo, text, err)
		}
		if _, err := other.open(b, belongsTo); err == nil {
			t.Errorf("%x opens with another key", b)
		}
	})
}
