package auth

import (
	"net/http"
	"strings"
	"time"
)

// CookieName of the session. The prefix makes browsers refuse it from
// subdomains, without Secure, and with another path.
const CookieName = "__Host-session"

func setCookie(w http.ResponseWriter, token string, expires time.Time) {
	http.SetCookie(w, &http.Cookie{
		Name: CookieName, Value: token, Path: "/", Expires: expires, MaxAge: int(time.Until(expires).Seconds()),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

// SetSessionCookie gives the client a session that was made elsewhere.
func SetSessionCookie(w http.ResponseWriter, token string, expires time.Time) {
	setCookie(w, token, expires)
}

func clearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: CookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

// SessionToken returns the value of the session cookie, "" if there is none.
// Unlike http.Request.Cookie it parses no other cookie and allocates nothing.
func SessionToken(r *http.Request) string { return cookieValue(r, CookieName) }

func cookieValue(r *http.Request, cookie string) string {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && name == cookie {
				return value
			}
		}
	}
	return ""
}
