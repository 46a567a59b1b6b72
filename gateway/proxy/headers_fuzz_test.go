package proxy

import (
	"net/http"
	"slices"
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

// What the gateway itself would take for the session never reaches the slice:
// the two parsers agree, whatever others make of it.
func FuzzSessionCookie(f *testing.F) {
	f.Add("a=b", auth.CookieName+"=x")
	f.Add("\u00a0"+auth.CookieName+"=x", "a;b="+auth.CookieName)
	f.Add(auth.CookieName+" =x; "+auth.CookieName+"=y", "\v"+auth.CookieName+"=x")
	f.Add(auth.CookieName+"=x=y;", "="+auth.CookieName+"=x")
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, lines := range [][]string{{one}, {one, two}} {
			h := http.Header{"Cookie": slices.Clone(lines)}
			removeSessionCookie(h)
			if token := auth.SessionToken(&http.Request{Header: h}); token != "" {
				t.Errorf("%q: the slice gets %q", lines, token)
			}
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
