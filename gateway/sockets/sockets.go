// Package sockets knows the gateway's open WebSockets: http.Server forgets a
// connection once it is hijacked, yet it has to end with its session, its
// user's slice, or the gateway.
package sockets

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ipnoelp.io/platform"
)

// MaxPerUser bounds the sockets of one user: several devices with several
// tabs, and reconnects whose predecessors have not been noticed as gone.
const MaxPerUser = 32

// Close codes of RFC 6455.
const (
	CloseGoingAway       = 1001 // the gateway stops
	ClosePolicyViolation = 1008 // the session ended, or the slice does not serve its user now
)

// Kind says who speaks on the other side of a socket.
type Kind int

const (
	Slice Kind = iota // relayed to the user's slice
	Own               // the gateway's own
)

// Socket is one open connection.
type Socket struct {
	kind    Kind
	session [32]byte
	user    string
	endsAt  time.Time // of the session, however much it is used
	close   func(code int)
}

// Registry holds the open sockets. It is safe for concurrent use.
type Registry struct {
	mu       sync.Mutex
	stopping bool                 // guarded by mu
	open     map[*Socket]struct{} // guarded by mu
	perUser  map[string]int       // guarded by mu
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{open: make(map[*Socket]struct{}), perUser: make(map[string]int)}
}

// Add registers a socket before its session is checked for the last time, so
// that no end of a session falls in between. endsAt is when the session's time is
// over, however much it is used. close ends it with a close code;
// it may be called from any goroutine, more than once, and must not block for
// long. Returns ErrTooMany above MaxPerUser and ErrUnavailable once the
// gateway stops.
func (r *Registry) Add(kind Kind, session [32]byte, user string, endsAt time.Time, close func(code int)) (*Socket, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return nil, platform.Errorf(platform.ErrUnavailable, "The server is restarting. Try again in a few seconds.")
	}
	if r.perUser[user] >= MaxPerUser {
		return nil, platform.Errorf(platform.ErrTooMany, "Too many open connections; at most %d are allowed.", MaxPerUser)
	}
	user = strings.Clone(user) // kept for long: nothing of what it was part of
	s := &Socket{kind: kind, session: session, user: user, endsAt: endsAt, close: close}
	r.open[s] = struct{}{}
	r.perUser[user]++
	return s, nil
}

// Remove forgets a socket that has ended. It may be called more than once.
func (r *Registry) Remove(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.open[s]; !ok {
		return
	}
	delete(r.open, s)
	if r.perUser[s.user]--; r.perUser[s.user] == 0 {
		delete(r.perUser, s.user)
	}
}

// CloseSession closes the sockets of a session that ended.
func (r *Registry) CloseSession(session [32]byte) {
	r.closeWhere(func(s *Socket) bool { return s.session == session })
}

// CloseOver closes the sockets of the sessions whose time is over.
func (r *Registry) CloseOver(now time.Time) {
	r.closeWhere(func(s *Socket) bool { return !now.Before(s.endsAt) })
}

// CloseSliceOf closes the sockets of a session that lead to a slice which its user
// has no more.
func (r *Registry) CloseSliceOf(session [32]byte) {
	r.closeWhere(func(s *Socket) bool { return s.session == session && s.kind == Slice })
}

// CloseSlice closes the sockets between a user and their slice. Those that tell
// the user what becomes of the slice stay open.
func (r *Registry) CloseSlice(user string) {
	r.mu.Lock()
	none := r.perUser[user] == 0
	r.mu.Unlock()
	if !none {
		r.closeWhere(func(s *Socket) bool { return s.user == user && s.kind == Slice })
	}
}

// CloseUser closes all sockets of a user who was blocked or deleted.
func (r *Registry) CloseUser(user string) {
	r.closeWhere(func(s *Socket) bool { return s.user == user })
}

// drainStep is the longest pause between two sockets that are drained: a few
// are not spread over all the time there is.
const drainStep = 100 * time.Millisecond

// Drain lets no new sockets in and closes the open ones one after the other,
// over at most spread, so that the clients do not come back all at once. When
// ctx is done it closes the rest together.
func (r *Registry) Drain(ctx context.Context, spread time.Duration) {
	r.mu.Lock()
	r.stopping = true
	open := slices.Collect(maps.Keys(r.open)) // in no order
	r.mu.Unlock()
	if len(open) == 0 {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	step := time.NewTicker(max(1, min(spread/time.Duration(len(open)), drainStep)))
	defer step.Stop()
	for i, s := range open {
		wg.Go(func() { s.close(CloseGoingAway) })
		if i == len(open)-1 {
			return
		}
		select {
		case <-step.C:
		case <-ctx.Done():
		}
	}
}

// Sessions returns the sessions that have open sockets, each once.
func (r *Registry) Sessions() [][32]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[[32]byte]bool, len(r.open))
	var all [][32]byte
	for s := range r.open {
		if !seen[s.session] {
			seen[s.session] = true
			all = append(all, s.session)
		}
	}
	return all
}

// Len returns how many sockets are open.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// closeWhere closes side by side and waits for none, which takes each some seconds at
// most: a client that reads nothing delays neither another nor what its caller hears
// of next.
func (r *Registry) closeWhere(match func(*Socket) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.open {
		if match(s) {
			go s.close(ClosePolicyViolation)
		}
	}
}
