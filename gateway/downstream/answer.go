package downstream

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"ipnoelp.io/platform/gateway/wire"
)

const (
	outBuffer = 8 << 10 // bytes that are written at once
	holdBack  = 2 << 10 // bytes of a body for whose end is waited, to know its length
	unknown   = -1      // length of a body
)

var outBuffers = sync.Pool{New: func() any { b := make([]byte, 0, outBuffer); return &b }}

// answer is the http.ResponseWriter of a plain request. It writes what net/http
// would, where a handler leaves it to the writer how the body is framed. Like that
// one it is used by one goroutine at a time.
type answer struct {
	c      *conn
	header http.Header
	buffer *[]byte
	out    []byte // in buffer; not written yet
	body   []byte // held back

	status   int   // 0 until the header is written
	open     bool  // more headers can follow in out
	length   int64 // of the body, as announced
	written  int64 // bytes of the body
	chunked  bool
	typed    bool     // the body's type or encoding is known
	trailers []string // announced
	end      bool     // so does the connection, with the answer
	over     bool     // so is the request
	err      error    // of the connection
}

var (
	errOver      = errors.New("downstream: the request is over")
	errShortBody = errors.New("downstream: the body is shorter than announced")
)

func newAnswer(c *conn) *answer {
	buffer := outBuffers.Get().(*[]byte)
	return &answer{c: c, header: make(http.Header), buffer: buffer, out: (*buffer)[:0], length: unknown}
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) SetReadDeadline(t time.Time) error  { return a.c.SetReadDeadline(t) }
func (a *answer) SetWriteDeadline(t time.Time) error { return a.c.SetWriteDeadline(t) }

func (a *answer) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %d", status))
	case a.over || a.status != 0:
		return
	case status < 200:
		a.interim(status)
		return
	}
	a.status, a.open = status, true
	a.appendStatus(status)
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		a.length = n
	} else {
		delete(a.header, "Content-Length")
	}
	dated := false
	for name, values := range a.header {
		switch name {
		case "Transfer-Encoding":
			continue // said here
		case "Content-Length":
			if !a.hasBody() {
				continue
			}
		case "Connection":
			a.end = a.end || httpguts.HeaderValuesContainsToken(values, "close")
		case "Trailer":
			a.announce(values)
		case "Content-Type":
			a.typed = true
			if status == http.StatusNotModified {
				continue
			}
		case "Content-Encoding":
			a.typed = a.typed || len(values) > 0 && values[0] != ""
		case "Date":
			dated = true
		}
		if !strings.HasPrefix(name, http.TrailerPrefix) {
			a.appendValues(name, values)
		}
	}
	if !dated {
		a.out = append(a.out, "Date: "...)
		a.out = time.Now().UTC().AppendFormat(a.out, http.TimeFormat)
		a.out = append(a.out, "\r\n"...)
	}
	if a.c.closing.Load() && !a.end {
		a.end = true
		a.out = append(a.out, "Connection: close\r\n"...)
	}
}

// interim writes an interim answer at once.
func (a *answer) interim(status int) {
	a.appendStatus(status)
	for name, values := range a.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			a.appendValues(name, values)
		}
	}
	a.out = append(a.out, "\r\n"...)
	a.send(nil)
}

func (a *answer) appendStatus(status int) {
	a.out = append(a.out, "HTTP/1.1 "...)
	a.out = strconv.AppendInt(a.out, int64(status), 10)
	a.out = append(a.out, ' ')
	if text := http.StatusText(status); text != "" {
		a.out = append(a.out, text...)
	} else {
		a.out = append(a.out, "status code "...)
		a.out = strconv.AppendInt(a.out, int64(status), 10)
	}
	a.out = append(a.out, "\r\n"...)
}

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

func (a *answer) appendValues(name string, values []string) {
	for _, v := range values {
		before := len(a.out)
		out, err := wire.AppendField(a.out, name, v)
		if err != nil { // as net/http does
			if !httpguts.ValidHeaderFieldName(name) {
				return
			}
			out = append(append(a.out[:before], name...), ": "...)
			out = append(append(out, strings.TrimSpace(lineBreaks.Replace(v))...), "\r\n"...)
		}
		a.out = out
	}
}

func (a *answer) announce(values []string) {
	for _, line := range values {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); httpguts.ValidTrailerHeader(name) {
				a.trailers = append(a.trailers, name)
			}
		}
	}
}

// hasBody reports whether a body may follow.
func (a *answer) hasBody() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.over:
		return 0, errOver
	case len(p) == 0:
		return 0, nil
	case !a.hasBody():
		return 0, http.ErrBodyNotAllowed
	case a.length != unknown && a.written+int64(len(p)) > a.length:
		a.end = true
		return 0, http.ErrContentLength
	}
	a.written += int64(len(p))
	if a.open && a.length == unknown && len(a.body)+len(p) <= holdBack {
		a.body = append(a.body, p...)
		return len(p), a.err
	}
	if a.open {
		a.begin(p)
	}
	a.add(p)
	return len(p), a.err
}

// begin ends the header, before the body or its first piece.
func (a *answer) begin(p []byte) {
	a.open = false
	held := a.body
	a.body = nil
	if !a.typed && a.written > 0 {
		first := p
		if len(held) > 0 {
			first = held
		}
		a.out = append(append(append(a.out, "Content-Type: "...), http.DetectContentType(first)...), "\r\n"...)
	}
	if a.length == unknown && a.hasBody() {
		a.chunked = true
		a.out = append(a.out, "Transfer-Encoding: chunked\r\n"...)
	}
	a.out = append(a.out, "\r\n"...)
	if len(held) > 0 {
		a.add(held)
	}
}

// add sends a piece of the body, or keeps it for what follows.
func (a *answer) add(p []byte) {
	if a.chunked {
		a.out = strconv.AppendInt(a.out, int64(len(p)), 16)
		a.out = append(a.out, "\r\n"...)
		defer func() { a.out = append(a.out, "\r\n"...) }()
	}
	if len(a.out)+len(p) <= outBuffer {
		a.out = append(a.out, p...)
		return
	}
	a.send(p)
}

// send writes what is in out, and then p.
func (a *answer) send(p []byte) {
	for _, b := range [][]byte{a.out, p} {
		if len(b) > 0 && a.err == nil {
			_, a.err = a.c.Write(b)
		}
	}
	a.out = a.out[:0]
}

// Flush and FlushError are for http.ResponseController.
func (a *answer) Flush() { _ = a.FlushError() }

func (a *answer) FlushError() error {
	if a.over {
		return errOver
	}
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.open {
		a.begin(nil)
	}
	a.send(nil)
	return a.err
}

// finish ends the answer. The error is why the connection cannot be used again.
func (a *answer) finish() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.open {
		a.finishHeader()
	}
	if a.chunked {
		a.finishChunks()
	}
	a.send(nil)
	switch {
	case a.err != nil:
		return a.err
	case a.length != unknown && a.hasBody() && a.written < a.length:
		return errShortBody
	case a.end:
		return errEnd
	}
	return nil
}

// finishHeader is for a body that is whole in body, or for none.
func (a *answer) finishHeader() {
	if a.length == unknown && a.hasBody() && len(a.trailers) == 0 {
		a.length = a.written
		a.out = strconv.AppendInt(append(a.out, "Content-Length: "...), a.length, 10)
		a.out = append(a.out, "\r\n"...)
	}
	a.begin(nil)
}

func (a *answer) finishChunks() {
	a.out = append(a.out, "0\r\n"...)
	for name, values := range a.header {
		if own, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			a.appendValues(own, values)
		} else if slices.Contains(a.trailers, name) {
			a.appendValues(name, values)
		}
	}
	a.out = append(a.out, "\r\n"...)
}

// release ends the use of the answer: nothing that a handler left behind reaches
// the next request's.
func (a *answer) release() {
	a.over = true
	if cap(a.out) == outBuffer {
		*a.buffer = a.out[:0]
	}
	outBuffers.Put(a.buffer)
	a.out, a.buffer = nil, nil
}
