package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/gateway/upstream"
)

// forward sends a request to the user's slice, and the answer back. It keeps to
// what httputil.ReverseProxy does, but for the copies by which that leaves the
// client's request as it was: nobody asks for its headers afterwards.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, id *auth.Identity, count *sliceCount) {
	if r.Body != nil {
		// A transport may still read when the answer is over; this ends it.
		defer r.Body.Close()
	}
	info := request.From(r.Context())
	cleanRequest(r.Header, id)
	continueTrace(r.Header, info)
	r.Close = false // that is for the client's connection
	// The app's own name, not what the client says: a slice that builds links or
	// compares it with Origin gets the right one.
	r.Host = p.PublicURL.Host
	fields := p.identify(id, info)
	interim := interimAnswers{w: w}
	res, err := p.slices.send(id.Slice.Number, count, &upstream.Request{Request: r, Fields: fields[:], Interim: interim.pass})
	interim.end()
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
		err = errNotAgreed
	}
	if err == nil {
		err = p.checkAnswer(res, id)
	}
	if err != nil {
		if res != nil {
			res.Body.Close()
		}
		p.fail(w, r, err)
		return
	}
	passAnswer(w, res)
}

// interimAnswers go to the client while the answer is waited for.
type interimAnswers struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	over bool // guarded by mu; a transport may come too late
}

func (i *interimAnswers) pass(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return nil
	}
	h := i.w.Header()
	for name, values := range header {
		h[name] = append(h[name], values...)
	}
	// It is written at once. The answer has deadlines of its own.
	control := http.NewResponseController(i.w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	i.w.WriteHeader(status)
	_ = control.SetWriteDeadline(time.Time{})
	clear(h) // net/http leaves them for the answer
	return nil
}

func (i *interimAnswers) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}

// checkAnswer refuses an answer that is not the slice's own, and takes out of it
// what a slice may not say.
func (p *Proxy) checkAnswer(res *http.Response, id *auth.Identity) error {
	if res.StatusCode == http.StatusUnauthorized {
		// The right slice, but another generation of its token: most likely it
		// is being replaced. To the client it would look like its own log-out.
		p.Auth.InvalidateUser(id.User.ID)
		return errRefused
	}
	if n := refuseSessionCookie(res.Header); n > 0 {
		p.Log.Warn("a slice tried to set the session cookie", "slice", id.Slice.Number)
	}
	delete(res.Header, platform.HeaderRequestID) // the answer has the gateway's
	return nil
}

var nosniff = []string{"nosniff"} // never changed

// passAnswer gives the client a slice's answer. If it breaks off, so does the
// client's connection: half an answer must not look like a whole one.
func passAnswer(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	removeNamed(res.Header)
	h := w.Header()
	for name, values := range res.Header {
		if isHopByHop(name) {
			continue
		}
		if old := h[name]; old != nil {
			values = slices.Concat(old, values)
		}
		h[name] = values
	}
	h["X-Content-Type-Options"] = nosniff
	announced := len(res.Trailer)
	if announced > 0 {
		var names []string
		for name := range res.Trailer {
			names = append(names, name)
		}
		h.Add("Trailer", strings.Join(names, ", "))
	}
	timed := timedWriter{ResponseWriter: w}
	w.WriteHeader(res.StatusCode)
	if err := copyBody(&timed, res); err != nil {
		panic(http.ErrAbortHandler)
	}
	timed.arm()
	if len(res.Trailer) == 0 {
		return
	}
	// There are trailers in chunks only, so net/http must not count a short body.
	_ = timed.flush() // fails when the client is gone
	for name, values := range res.Trailer {
		if len(res.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = append(h[name], values...)
	}
}

// copyBody copies an answer's body. What may be a stream is not held back.
func copyBody(w *timedWriter, res *http.Response) error {
	if res.Body == http.NoBody {
		return nil
	}
	stream := isStream(res)
	if stream {
		if err := w.flush(); err != nil {
			return err
		}
	}
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	for {
		n, err := res.Body.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if stream {
				if err := w.flush(); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// isStream reports whether somebody may wait for each piece of the body.
func isStream(res *http.Response) bool {
	if res.ContentLength < 0 {
		return true
	}
	mediaType, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
