package media

import (
	"strings"
	"testing"
)

const (
	png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	ogg = "OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x13OpusHead"
)

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ content, declared, want string }{
		"a picture":                     {png, "image/png", "image/png"},
		"a picture declared as HTML":    {png, "text/html", "image/png"},
		"HTML declared as a picture":    {"<html><script>alert(1)</script>", "image/png", "text/html"},
		"SVG declared as a picture":     {`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">`, "image/png", "image/svg+xml"},
		"a voice message":               {ogg, "audio/ogg; codecs=opus", "audio/ogg"},
		"text":                          {"hello", "text/plain", "text/plain"},
		"text declared as CSV":          {"a;b\n1;2", "text/csv", "text/csv"},
		"text declared as HTML":         {"hello", "text/html", "text/plain"},
		"text declared as a picture":    {"hello", "image/png", "text/plain"},
		"bytes declared as a picture":   {"\x01\x02\x03\x04", "image/jpeg", "application/octet-stream"},
		"bytes declared as a program":   {"\x01\x02\x03\x04", "application/x-foo", "application/x-foo"},
		"bytes declared as JavaScript":  {"\x01\x02\x03\x04", "application/javascript", "application/octet-stream"},
		"bytes with no declared type":   {"\x01\x02\x03\x04", "", "application/octet-stream"},
		"a declared type that is wrong": {"\x01\x02\x03\x04", "image/png\r\nX: y", "application/octet-stream"},
	} {
		if got := typeOf([]byte(tc.content), tc.declared); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	for _, active := range []string{"text/html", "image/svg+xml", "text/xml", "application/xhtml+xml", "text/javascript"} {
		if shown[active] {
			t.Errorf("%s is shown", active)
		}
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"cake.png": "cake.png", "../../etc/passwd": "passwd", `C:\Users\ana\cake.png`: "cake.png", "..": "", "": "", "/": "",
		"a\r\nSet-Cookie: x": "aSet-Cookie: x", "gepj.\u202egpj.exe": "gepj.gpj.exe", "\x00nul": "nul", "  spaces.txt ": "spaces.txt",
		strings.Repeat("ä", 300) + ".pdf": strings.Repeat("ä", maxNameRunes-4) + ".pdf", "bad\xffutf8": "badutf8",
	} {
		if got := cleanName(name); got != want {
			t.Errorf("cleanName(%q) = %q, want %q", name, got, want)
		}
	}
}
