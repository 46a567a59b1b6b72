package upstream

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// What is sent is what net/http would send, wherever in a value the byte is.
func TestNoFieldBeginsAnother(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			value := strings.Repeat("~", at) + string([]byte{byte(c)}) + strings.Repeat(" ", 19-at)
			out, err := appendField(nil, "A", value)
			if want := httpguts.ValidHeaderFieldValue(value); (err == nil) != want {
				t.Fatalf("%q: %v, valid is %t", value, err, want)
			}
			if err == nil && string(out) != "A: "+value+"\r\n" {
				t.Fatalf("%q is sent as %q", value, out)
			}
		}
	}
	for _, name := range []string{"", "A b", "A:", "A\r\nB", "Ä"} {
		if out, err := appendField(nil, name, "x"); err == nil {
			t.Errorf("the name %q is sent as %q", name, out)
		}
	}
}

func TestNoLineBeginsAnother(t *testing.T) {
	type line struct{ method, host, target string }
	good := line{"GET", "app.example.com", "/a?b=c"}
	for _, l := range []line{
		{"GET /x", good.host, good.target}, {"G\r\n", good.host, good.target},
		{good.method, "", good.target}, {good.method, "a\r\nX: y", good.target},
		{good.method, good.host, "/a b"}, {good.method, good.host, "/\r\nX: y"}, {good.method, good.host, "/\x7f"},
	} {
		req := &Request{Request: &http.Request{Method: l.method, Host: l.host, URL: &url.URL{}}}
		if err := validLine(req, l.target); err == nil {
			t.Errorf("%q is taken", l)
		}
	}
	req := &Request{Request: &http.Request{Method: good.method, Host: good.host, URL: &url.URL{}}}
	if err := validLine(req, good.target); err != nil {
		t.Error(err)
	}
}
