package wire

import (
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// What is sent is what net/http would send, wherever in a value the byte is.
func TestNoFieldBeginsAnother(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			value := strings.Repeat("~", at) + string([]byte{byte(c)}) + strings.Repeat(" ", 19-at)
			out, err := AppendField(nil, "A", value)
			if want := httpguts.ValidHeaderFieldValue(value); (err == nil) != want {
				t.Fatalf("%q: %v, valid is %t", value, err, want)
			}
			if err == nil && string(out) != "A: "+value+"\r\n" {
				t.Fatalf("%q is sent as %q", value, out)
			}
		}
	}
	for _, name := range []string{"", "A b", "A:", "A\r\nB", "Ä"} {
		if out, err := AppendField(nil, name, "x"); err == nil {
			t.Errorf("the name %q is sent as %q", name, out)
		}
	}
}
