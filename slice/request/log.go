package request

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// record is the one log line of a request; handlers may add to it.
type record struct {
	http.ResponseWriter
	status int
	bytes  int64
	err    error // why the request failed, for the log only
}

type recordKey struct{}

// Log gives each request an id, turns a panic into a 500, and logs one
// line after the request. Query strings and bodies are not logged, and
// requests for quiet paths at the debug level only.
func Log(log *slog.Logger, next http.Handler, quiet ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(platform.HeaderRequestID)
		if !requestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(platform.HeaderRequestID, id)
		rec := &record{ResponseWriter: w}
		start := time.Now()
		defer func() {
			v := recover()
			if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // the server panics with this very value
				log.Error("panic", "request_id", id, "panic", v, "stack", string(debug.Stack()))
				if rec.status == 0 {
					problem.Write(rec, platform.Errorf(platform.ErrInternal, "Something went wrong on our side."))
				} else {
					v = http.ErrAbortHandler // the answer is cut off, and must look it
				}
			}
			level := slog.LevelInfo
			switch {
			case slices.Contains(quiet, r.URL.Path):
				level = slog.LevelDebug // several times a second in all
			case rec.status >= 500:
				level = slog.LevelError
			}
			attrs := []slog.Attr{
				slog.String("request_id", id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(start)),
				slog.String("user_id", r.Header.Get(platform.HeaderUserID)),
			}
			if rec.err != nil {
				attrs = append(attrs, slog.String("error", rec.err.Error()))
			}
			log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
			if v == http.ErrAbortHandler { //nolint:errorlint // as above
				panic(v)
			}
		}()
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), recordKey{}, rec)))
	})
}

// Fail answers with the error and notes it for the log.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	if rec, ok := r.Context().Value(recordKey{}).(*record); ok {
		rec.err = err
	}
	problem.Write(w, err)
}

// Status returns what the request was answered with so far.
func Status(r *http.Request) int {
	if rec, ok := r.Context().Value(recordKey{}).(*record); ok && rec.status != 0 {
		return rec.status
	}
	return http.StatusOK // net/http's own, for an answer without a body
}

func (r *record) WriteHeader(status int) {
	if r.status == 0 || r.status < 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *record) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush and Hijack are asked for by type by those who do not use
// http.ResponseController.
func (r *record) Flush() {
	_ = http.NewResponseController(r.ResponseWriter).Flush() // an interface without an error
}

func (r *record) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
	}
	if errors.Is(err, http.ErrNotSupported) {
		return nil, nil, errors.New("this connection cannot be taken over")
	}
	return conn, rw, err
}
