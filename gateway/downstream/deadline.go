package downstream

import (
	"sync"
	"time"
)

// slack is how much earlier than asked a deadline may come: a twelfth of the time
// until then, so that it is set rarely.
const slack = 12

// after returns when a timeout ends: never where there is none, as in http.Server.
func after(timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// deadline is that of a connection's reads or writes. It is given to the
// connection when one of them begins.
type deadline struct {
	give func(time.Time) error // to the connection

	mu         sync.Mutex
	busy       bool      // guarded by mu; a read or write is under way
	wanted, is time.Time // guarded by mu; zero is none
}

// want takes effect at once where something is under way.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if !d.busy {
		return nil
	}
	d.is = t
	return d.give(t)
}

// begin comes before a read or write, and end after it.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = true
	if !d.due() {
		return nil
	}
	d.is = d.wanted
	return d.give(d.wanted)
}

func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
}

// due reports whether the connection's deadline is not near enough. The caller
// holds mu.
func (d *deadline) due() bool {
	if d.wanted.IsZero() || d.is.IsZero() {
		return d.wanted != d.is
	}
	early := d.wanted.Sub(d.is)
	return early < 0 || early > time.Until(d.wanted)/slack
}
