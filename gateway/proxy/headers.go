package proxy

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/upstream"
	"ipnoelp.io/platform/tracing"
)

// reservedPrefixes belong to the gateway: by them a slice knows who asks.
var reservedPrefixes = []string{"X-Slice-", "X-User-", "X-Forwarded-"}

// isHopByHop reports whether a header is for one connection: RFC 9110, 7.6.1, and
// what older programs send.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// removeNamed deletes what the Connection header names.
func removeNamed(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
}

var onlyTrailers = []string{"trailers"} // never changed

// cleanRequest takes out of a client's headers what is not for its slice. What
// Connection names goes first, so that it cannot name what is ours.
func cleanRequest(h http.Header, id *auth.Identity) {
	trailers := hasToken(h["Te"], "trailers")
	removeNamed(h)
	for name := range h {
		if isHopByHop(name) || isReserved(name) {
			delete(h, name)
		}
	}
	if trailers {
		h["Te"] = onlyTrailers
	}
	removeSessionCookie(h)
	if id.Scope != "" {
		delete(h, "Authorization") // ours, not the slice's
	}
}

// identify says who asks, and proves to the slice that it is meant. No client
// can say any of it: see isReserved.
func (p *Proxy) identify(id *auth.Identity, info *request.Info) [8]upstream.Field {
	return [...]upstream.Field{
		{Name: platform.HeaderSliceNumber, Value: strconv.Itoa(id.Slice.Number)},
		{Name: platform.HeaderSliceToken, Value: id.SliceToken},
		{Name: platform.HeaderUserID, Value: id.User.ID},
		{Name: platform.HeaderUserEmail, Value: id.User.Email},
		{Name: platform.HeaderRequestID, Value: info.ID},
		{Name: "X-Forwarded-For", Value: info.ClientAddr},
		{Name: "X-Forwarded-Proto", Value: p.PublicURL.Scheme},
		{Name: "X-Forwarded-Host", Value: p.PublicURL.Host},
	}
}

// continueTrace tells the slice which span its own belongs to.
func continueTrace(h http.Header, info *request.Info) {
	if info.Traceparent != "" {
		h[tracing.HeaderTraceparent] = []string{info.Traceparent}
	}
}

func setFields(h http.Header, fields []upstream.Field) {
	for _, f := range fields {
		h[f.Name] = []string{f.Value}
	}
}

// isReserved reports whether only the gateway may say a header.
func isReserved(name string) bool {
	// Some servers read X_User_Id as X-User-Id.
	if strings.Contains(name, "_") {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	switch name {
	case "X-Real-Ip", "Forwarded", "X-Request-Id",
		"Traceparent", "Tracestate", "Baggage": // a client has no say in our traces
		return true
	}
	for _, p := range reservedPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// removeSessionCookie takes the session out of the request's cookies; a slice
// has no use for it but to lose it. The other cookies stay as they are.
func removeSessionCookie(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 1 && strings.HasPrefix(lines[0], auth.CookieName+"=") && strings.IndexByte(lines[0], ';') < 0 {
		delete(h, "Cookie") // the only one, as for most
		return
	}
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
