package socketio

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// servePoll answers with what waits for the client, as soon as there is
// something.
func (c *session) servePoll(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	switch {
	case c.transport != polling:
		c.mu.Unlock()
		refuse(w, "The session moved to WebSocket.")
		return
	case c.polled:
		// Two polls at once are a client gone wrong: the protocol says to end it.
		c.mu.Unlock()
		c.close()
		refuse(w, "The session is polled already.")
		return
	}
	c.polled = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.polled = false
		c.mu.Unlock()
	}()
	for {
		if packets := c.take(polling); len(packets) > 0 {
			writeText(w, strings.Join(packets, separator))
			return
		}
		// A client that moves to WebSocket waits for its last poll.
		if c.mustLeave() {
			writeText(w, engineNoop)
			return
		}
		select {
		case <-c.ctx.Done():
			writeText(w, engineClose)
			return
		case <-r.Context().Done():
			return
		case <-c.wake:
		}
	}
}

// mustLeave reports whether polling is over, or about to be.
func (c *session) mustLeave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probed || c.transport != polling
}

// servePost takes what a polling client sends.
func (c *session) servePost(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	moved := c.transport != polling
	c.mu.Unlock()
	if moved {
		refuse(w, "The session moved to WebSocket.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		c.close()
		problem.Write(w, platform.Errorf(platform.ErrTooLarge, "The body is larger than %d bytes.", maxPayload))
		return
	case err != nil:
		refuse(w, "The body could not be read.")
		return
	}
	for packet := range strings.SplitSeq(string(body), separator) {
		c.receive(packet)
	}
	writeText(w, "ok")
}
