package request

import (
	"io"
	"net/http"
	"time"
)

const (
	readTimeout = 30 * time.Second // between two pieces of a request's body
	rearmAfter  = 5 * time.Second  // a deadline this fresh is left alone
)

// TimedBody is a client's body with a deadline for each piece: a client that
// stops sending does not hold a slice for ever, one that sends a lot is fine.
// Deadlines cannot be set on a connection that is closed already; reading tells.
type TimedBody struct {
	io.ReadCloser
	control *http.ResponseController
	armed   time.Time
}

// NewTimedBody wraps the body of the request that w answers. The first deadline
// is set at once: what no handler reads, the server reads before the next
// request.
func NewTimedBody(w http.ResponseWriter, body io.ReadCloser) *TimedBody {
	b := &TimedBody{ReadCloser: body, control: http.NewResponseController(w)}
	b.arm()
	return b
}

func (b *TimedBody) arm() {
	if now := time.Now(); now.Sub(b.armed) > rearmAfter {
		_ = b.control.SetReadDeadline(now.Add(readTimeout))
		b.armed = now
	}
}

func (b *TimedBody) Read(p []byte) (int, error) {
	b.arm()
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		// The server goes on reading to notice when the client leaves; a
		// deadline would look like that.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
