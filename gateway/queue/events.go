package queue

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/sockets"
)

// Statuses tells how things stand with a user's slice.
type Statuses interface {
	Status(ctx context.Context, id *auth.Identity) (auth.SliceStatus, error)
}

// Events answers /auth/slice/events: a WebSocket with the status of the user's
// slice, once and at every change, until the slice is theirs.
type Events struct {
	Queue    *Queue
	Statuses Statuses
	Sessions *auth.Sessions
	Origins  *auth.Origins
	Sockets  *sockets.Registry
}

// Register adds the route.
func (e *Events) Register(r gin.IRouter) {
	r.GET("/auth/slice/events", func(c *gin.Context) { e.serve(c.Writer, c.Request) })
}

func (e *Events) serve(w http.ResponseWriter, r *http.Request) {
	s := &stream{events: e}
	defer func() {
		if s.watcher != nil {
			s.watcher.Close()
		}
	}()
	e.Sockets.Serve(w, r, e.Sessions, e.Origins,
		func(id *auth.Identity) { s.watcher = e.Queue.Watch(id.User.ID) },
		func(own *sockets.Stream) int {
			s.Stream = own
			// The request's own context ends with the hijack.
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			return s.write(ctx)
		})
}

// stream is one open connection.
type stream struct {
	*sockets.Stream
	events  *Events
	watcher *Watcher
}

// write sends a frame at once and at every change. It returns the code to
// close with, 0 when the client is gone.
func (s *stream) write(ctx context.Context) (code int) {
	var last auth.SliceStatus
	for {
		st, err := s.status(ctx)
		switch {
		case platform.CodeOf(err) == platform.ErrUnauthenticated:
			return sockets.ClosePolicyViolation
		case err != nil:
			return websocket.CloseTryAgainLater
		case !st.Equal(last):
			if !s.Send(st) {
				return 0
			}
			last = st
		}
		if st.State == string(platform.SliceAssigned) {
			return websocket.CloseNormalClosure
		}
		for waiting := true; waiting; {
			select {
			case <-s.Gone:
				return 0
			case code := <-s.Closing:
				return code
			case <-s.watcher.C:
				waiting = false
			case <-s.Ping:
				if !s.SendPing() {
					return 0
				}
			}
		}
	}
}

func (s *stream) status(ctx context.Context) (auth.SliceStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, sockets.WriteTimeout)
	defer cancel()
	id, err := s.events.Sessions.Lookup(ctx, s.Identity.Session)
	if err != nil {
		return auth.SliceStatus{}, err
	}
	// The position that the last round found spares each waiting user a query.
	if p, ok := s.watcher.Position(); ok && id.Slice.Number == 0 {
		return auth.Queued(p), nil
	}
	return s.events.Statuses.Status(ctx, id)
}
