package gateway

import (
	"bufio"
	"net"
	"net/http"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/downstream"
)

// response remembers what is answered, for the log and the metrics. It has the
// optional methods that gin and gorilla ask for by type.
type response struct {
	http.ResponseWriter
	id       [1]string // of the request
	status   int       // 0 until the final header is written
	bytes    int64
	hijacked bool
}

func (w *response) WriteHeader(status int) {
	h := w.Header()
	switch {
	case w.hijacked:
		return
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		h.Del("Set-Cookie") // early hints of a slice; the final answer's cookies are checked
	case w.status == 0:
		w.status = status
		// The proxy clears the headers after each 1xx.
		h[platform.HeaderRequestID] = w.id[:]
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.hijacked {
		return 0, http.ErrHijacked
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *response) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // the client may be gone
}

func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	w.status = http.StatusSwitchingProtocols
	return downstream.Detach(conn), rw, nil
}

// Unwrap is for http.ResponseController: deadlines.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
