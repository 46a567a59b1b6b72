package upstream

import (
	"net/http"
	"net/url"
	"testing"
)

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
