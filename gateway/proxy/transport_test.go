package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform/gateway/upstream"
)

// What the design fixes, written down a second time.
func TestTransportsAreAsDesigned(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	tr := newTransports(headerTimeout)
	defer tr.close()
	rest := tr.rest
	if rest.Proxy != nil || !rest.DisableCompression || rest.MaxIdleConnsPerHost != 32 || rest.MaxIdleConns != 1024 || rest.IdleConnTimeout != 90*time.Second ||
		rest.ResponseHeaderTimeout != time.Minute || rest.ExpectContinueTimeout != time.Second || tr.piece != time.Minute || rest.MaxResponseHeaderBytes != 64<<10 {
		t.Errorf("rest: %+v", rest)
	}
	want := upstream.Options{
		DialTimeout: 3 * time.Second, HeaderTimeout: time.Minute, BodyTimeout: time.Minute,
		IdleTimeout: 90 * time.Second, IdlePerServer: 32, IdleTotal: 12_288, MaxHeaderBytes: 64 << 10, MaxBody: 64 << 10,
	}
	if tr.quick.Options != want {
		t.Errorf("quick: %+v", tr.quick.Options)
	}
	if dialTimeout != 3*time.Second || writeTimeout != time.Minute || maxBody != 64<<20 {
		t.Errorf("dial %s, write %s, body %d", dialTimeout, writeTimeout, maxBody)
	}
}

// timedRecorder notes the deadlines by which a client has to take what is written.
type timedRecorder struct {
	*httptest.ResponseRecorder
	t        *testing.T
	deadline time.Time
	armed    int
}

func (r *timedRecorder) SetWriteDeadline(at time.Time) error {
	r.deadline = at
	r.armed++
	return nil
}

func (r *timedRecorder) Write(p []byte) (int, error) {
	if left := time.Until(r.deadline); left > time.Minute || left < 55*time.Second {
		r.t.Errorf("a piece has %s", left)
	}
	return r.ResponseRecorder.Write(p)
}

// A client has a minute for each piece, however long the whole answer takes; the
// deadline is not set for every piece.
func TestEachPieceHasItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, w := io.Pipe()
		go func() {
			for range 1000 {
				time.Sleep(time.Second)
				w.Write(make([]byte, 100))
			}
			w.Close()
		}()
		rec := &timedRecorder{ResponseRecorder: httptest.NewRecorder(), t: t}
		passAnswer(rec, &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, ContentLength: -1})
		if rec.Body.Len() != 100_000 || rec.armed < 1000/6 || rec.armed > 1000/5+2 {
			t.Errorf("%d bytes, deadline set %d times", rec.Body.Len(), rec.armed)
		}
	})
}
