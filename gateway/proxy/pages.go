package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// Seconds after which a client should try again.
const (
	retrySoon  = 2  // something starts or moves
	retryLater = 60 // somebody has to do something first
)

// retryAfter says when to try again after an error; 0 if it makes no sense.
func retryAfter(err error) int {
	switch {
	case errors.Is(err, errHeld), errors.Is(err, errSuspended), errors.Is(err, errGone):
		return retryLater
	}
	switch platform.CodeOf(err) {
	case platform.ErrUnavailable, platform.ErrBadGateway, platform.ErrTooMany:
		return retrySoon
	}
	return 0
}

// writeError answers as a page to somebody who looks at it in a browser, and
// as problem details to programs.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	seconds := retryAfter(err)
	if known, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil {
		seconds = known
	} else if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	d := problem.From(err)
	if d.Status < 500 && d.Status != http.StatusTooManyRequests && !errors.Is(err, auth.ErrBlocked) || !wantsPage(r) {
		request.Fail(w, r, err)
		return
	}
	request.From(r.Context()).Err = err
	d.RequestID = w.Header().Get(platform.HeaderRequestID)
	var b bytes.Buffer
	if err := page.Execute(&b, pageData{Heading: heading(err), Details: d, Style: pageStyle, Refresh: seconds}); err != nil {
		request.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(d.Status)
	w.Write(b.Bytes()) // the client may be gone; nothing to do then
}

func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func heading(err error) string {
	switch {
	case errors.Is(err, errQueued):
		return "You are in the queue"
	case errors.Is(err, errHeld):
		return "Down for maintenance"
	case errors.Is(err, auth.ErrBlocked):
		return "Account blocked"
	case errors.Is(err, errSuspended):
		return "Workspace suspended"
	case errors.Is(err, errGone):
		return "Workspace removed"
	case errors.Is(err, errFailing):
		return "Your workspace does not answer"
	case platform.CodeOf(err) == platform.ErrUnavailable:
		return "Just a moment"
	case platform.CodeOf(err) == platform.ErrTooMany:
		return "A little slower, please"
	}
	return "Something is in the way"
}

type pageData struct {
	problem.Details
	Heading string
	Style   template.CSS
	Refresh int // seconds
}

// Waiting reports whether the page is about something that ends by itself.
func (d pageData) Waiting() bool { return d.Refresh > 0 && d.Refresh < retryLater }

const pageStyle template.CSS = `
:root{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif;background:#f3f5f4;color:#17211d}
main{max-width:26rem;margin:1.5rem;padding:2.5rem 2rem;text-align:center;background:#fff;border-radius:1rem;box-shadow:0 1px 3px #0002,0 8px 32px #0001}
h1{margin:1.25rem 0 .5rem;font-size:1.35rem;letter-spacing:-.01em}
p{margin:0;color:#52605a}
small{display:block;margin-top:1.5rem;color:#8a958f;font-size:.75rem;overflow-wrap:anywhere}
i{display:block;width:2.5rem;height:2.5rem;margin:0 auto;border:.25rem solid #d5ddd9;border-top-color:#12805c;border-radius:50%;animation:turn 1s linear infinite}
i.still{animation:none;border-color:#d9a441}
@keyframes turn{to{transform:rotate(1turn)}}
@media(prefers-reduced-motion:reduce){i{animation:none}}
@media(prefers-color-scheme:dark){body{background:#101513;color:#e6ece9}main{background:#19201d}p{color:#a3b0aa}i{border-color:#2c3733;border-top-color:#3ecf9a}}
`

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{- if .Refresh}}
<meta http-equiv="refresh" content="{{.Refresh}}">
{{- end}}
<title>{{.Heading}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<i{{if not .Waiting}} class="still"{{end}} aria-hidden="true"></i>
<h1>{{.Heading}}</h1>
<p role="status">{{.Detail}}{{if .Refresh}} This page tries again by itself.{{end}}</p>
{{- if .RequestID}}
<small>Request {{.RequestID}}</small>
{{- end}}
</main>
</body>
</html>
`))

// pagePolicy allows the page's own style and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()
