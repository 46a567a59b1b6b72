package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// Each state has a page for people and problem details for programs, both with
// the request's id and neither with what is behind it.
func TestPages(t *testing.T) {
	secret := errors.New("dial tcp 10.1.2.3:4567: connection refused")
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	for name, c := range map[string]struct {
		err     error
		status  int
		heading string
		retry   string // Retry-After, "" for none
		turns   bool   // ends by itself: something turns
	}{
		"queued":    {errQueued, 503, "You are in the queue", "2", true},
		"starting":  {platform.Errorf(platform.ErrUnavailable, "Your workspace is starting.").WithCause(secret), 503, "Just a moment", "2", true},
		"failing":   {errFailing, 503, "Your workspace does not answer", "2", true},
		"held":      {errHeld, 503, "Down for maintenance", "60", false},
		"suspended": {errSuspended, 503, "Workspace suspended", "60", false},
		"removed":   {errGone, 503, "Workspace removed", "60", false},
		"blocked":   {auth.ErrBlocked, 403, "Account blocked", "", false},
		"full":      {errTooManyAtOnce, 429, "A little slower, please", "2", true},
		"failed":    {platform.Errorf(platform.ErrBadGateway, "Your workspace gave no proper answer.").WithCause(secret), 502, "Something is in the way", "2", true},
		"too late":  {platform.Errorf(platform.ErrGatewayTimeout, "Your workspace took too long.").WithCause(secret), 504, "Something is in the way", "", false},
		"a fault":   {secret, 500, "Something is in the way", "", false},
	} {
		for _, accept := range []string{"text/html,application/xhtml+xml,*/*;q=0.8", "application/json", ""} {
			r := httptest.NewRequest("GET", "/api/chats", nil)
			r = r.WithContext(request.With(r.Context(), &request.Info{ID: "request-1"}))
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			w.Header().Set(platform.HeaderRequestID, "request-1")
			writeError(w, r, c.err)
			body, h := w.Body.String(), w.Header()
			if w.Code != c.status || h.Get("Retry-After") != c.retry || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.Contains(body, "request-1") || strings.Contains(body, "10.1.2.3") || strings.Contains(body, "refused") {
				t.Errorf("%s as %q: %d %v %s", name, accept, w.Code, h, body)
			}
			if !strings.HasPrefix(accept, "text/html") {
				var d problem.Details
				if err := json.Unmarshal([]byte(body), &d); err != nil || d.Status != c.status || d.Detail == "" || h.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s: %v %s", name, h, body)
				}
				continue
			}
			if h.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(html.UnescapeString(body), "<h1>"+c.heading+"</h1>") ||
				strings.Contains(body, `class="still"`) == c.turns || strings.Contains(body, `http-equiv="refresh"`) != (c.retry != "") {
				t.Errorf("%s: %v %s", name, h, body)
			}
			// The policy allows the style that is there, and no other.
			sum := sha256.Sum256([]byte(style.FindStringSubmatch(body)[1]))
			if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(h.Get("Content-Security-Policy"), want) {
				t.Errorf("%s: policy %s, want %s", name, h.Get("Content-Security-Policy"), want)
			}
		}
	}
	// Only who looks at it gets a page.
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		r := httptest.NewRequest(method, "/api/chats", nil)
		r = r.WithContext(request.With(r.Context(), &request.Info{}))
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		writeError(w, r, errQueued)
		if w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %v", method, w.Header())
		}
	}
}
