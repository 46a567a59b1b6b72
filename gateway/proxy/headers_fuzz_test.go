package proxy

import (
	"net/http"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// Whatever a client sends as cookies, none that is the session reaches the
// slice, and the others all do.
func FuzzRemoveSessionCookie(f *testing.F) {
	for _, s := range []string{
		"a=b", auth.CookieName + "=x", "a=b; " + auth.CookieName + "=x; c=d", strings.ToLower(auth.CookieName) + "=x", " " + auth.CookieName + " =x",
		auth.CookieName, ";;=;", "a=\"b; " + auth.CookieName + "=x\"", auth.CookieName + "=x;" + auth.CookieName + "=y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		before := &http.Request{Header: http.Header{"Cookie": {line}}}
		after := &http.Request{Header: http.Header{"Cookie": {line}}}
		removeSessionCookie(after.Header)
		var want []string
		for _, c := range before.Cookies() {
			if !strings.EqualFold(c.Name, auth.CookieName) {
				want = append(want, c.Name+"="+c.Value)
			}
		}
		var got []string
		for _, c := range after.Cookies() {
			if strings.EqualFold(c.Name, auth.CookieName) {
				t.Errorf("%q: the session is left in %q", line, after.Header)
			}
			got = append(got, c.Name+"="+c.Value)
		}
		if strings.Join(got, ";") != strings.Join(want, ";") {
			t.Errorf("%q: cookies %q, want %q", line, got, want)
		}
	})
}

// No spelling of a reserved header passes.
func FuzzReserved(f *testing.F) {
	for _, s := range []string{"X-Slice-Number", "x_user_id", "X-User_Email", "Forwarded", "X-Forwarded-Host", "X_Real_Ip", "X-Request-Id", "X-Slices", "Accept", "traceparent", "Trace_parent", "baggage"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		h := http.Header{}
		h.Add(name, "x")
		cleanRequest(h, &auth.Identity{})
		for left := range h {
			read := http.CanonicalHeaderKey(strings.ReplaceAll(left, "_", "-")) // as some servers do
			for _, ours := range []string{platform.HeaderSliceNumber, platform.HeaderSliceToken, platform.HeaderUserID, platform.HeaderUserEmail, platform.HeaderRequestID, "X-Forwarded-For", "X-Real-Ip", "Forwarded", "Traceparent", "Tracestate", "Baggage"} {
				if strings.EqualFold(read, ours) {
					t.Errorf("%q passes as %q", name, left)
				}
			}
		}
	})
}
