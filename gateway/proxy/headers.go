package proxy

import (
	"net/http"
	"strings"

	"ipnoelp.io/platform/gateway/auth"
)

// reservedPrefixes belong to the gateway: by them a slice knows who asks.
var reservedPrefixes = []string{"X-Slice-", "X-User-", "X-Forwarded-"}

// removeReserved deletes what only the gateway may say. ReverseProxy has
// removed Forwarded and some of X-Forwarded-* already.
func removeReserved(h http.Header) {
	for name := range h {
		// Some servers read X_User_Id as X-User-Id.
		canonical := name
		if strings.Contains(name, "_") {
			canonical = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		}
		if canonical == "X-Real-Ip" || canonical == "Forwarded" || canonical == "X-Request-Id" {
			delete(h, name)
			continue
		}
		for _, p := range reservedPrefixes {
			if strings.HasPrefix(canonical, p) {
				delete(h, name)
				break
			}
		}
	}
}

// removeSessionCookie takes the session out of the request's cookies; a slice
// has no use for it but to lose it. The other cookies stay as they are.
func removeSessionCookie(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0:0]
	for _, line := range lines {
		if !strings.Contains(strings.ToLower(line), strings.ToLower(auth.CookieName)) {
			kept = append(kept, line)
			continue
		}
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if pair = strings.TrimSpace(pair); pair != "" && !isSessionCookie(name) {
				pairs = append(pairs, pair)
			}
		}
		if pairs != nil {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// refuseSessionCookie deletes every Set-Cookie by which a slice would replace
// the session, and returns how many there were. Its other cookies stay.
func refuseSessionCookie(h http.Header) (refused int) {
	lines := h["Set-Cookie"]
	kept := lines[:0:0]
	for _, line := range lines {
		// A browser sends back a cookie without a name as its bare value:
		// "=__Host-session=x" comes back as "__Host-session=x".
		name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
		if isSessionCookie(name) {
			refused++
			continue
		}
		kept = append(kept, line)
	}
	if refused == 0 {
		return 0
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
	return refused
}

func isSessionCookie(name string) bool {
	return strings.EqualFold(strings.TrimSpace(name), auth.CookieName)
}
