package upstream

import (
	"sync"
	"time"
)

// lookEvery is how long it may take until a request ends whose caller gave up.
const lookEvery = 250 * time.Millisecond

// watch ends the requests whose contexts are done. To look at all of them now and
// then costs less than to have each context tell. The zero value is ready.
type watch struct {
	mu    sync.Mutex
	conns []*conn     // guarded by mu; those with a request
	timer *time.Timer // guarded by mu; nil while it does not run
}

func (w *watch) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.aborted, c.place = false, len(w.conns)
	w.conns = append(w.conns, c)
	if w.timer == nil {
		w.timer = time.AfterFunc(lookEvery, w.look)
	}
}

// remove reports whether the request was ended. It will not be any more.
func (w *watch) remove(c *conn) (aborted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.aborted {
		w.take(c.place)
	}
	return c.aborted
}

// take removes the connection at a place. The caller holds mu.
func (w *watch) take(place int) {
	last := len(w.conns) - 1
	w.conns[place] = w.conns[last]
	w.conns[place].place = place
	w.conns[last] = nil
	w.conns = w.conns[:last]
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for place := len(w.conns) - 1; place >= 0; place-- {
		if c := w.conns[place]; c.ctx.Err() != nil {
			w.take(place) // even if nobody comes to close it
			c.aborted = true
			c.abort()
		}
	}
	if len(w.conns) == 0 {
		w.timer = nil
		return
	}
	w.timer.Reset(lookEvery)
}
