package inbox

import (
	"sync"

	"ipnoelp.io/platform/slice/whatsapp"
)

// maxQueuedEvents bounds what waits while the database is slow. Beyond it
// events are dropped; what they said is found by comparing with WhatsApp.
const maxQueuedEvents = 10_000

// eventQueue holds WhatsApp's events until the service takes them in.
type eventQueue struct {
	wake chan struct{} // has one entry when something was put in

	mu     sync.Mutex // guards the following fields
	events []whatsapp.Event
	lost   bool
}

func newEventQueue() *eventQueue { return &eventQueue{wake: make(chan struct{}, 1)} }

func (q *eventQueue) put(ev whatsapp.Event) {
	q.mu.Lock()
	if _, isStatus := ev.(whatsapp.StatusChanged); len(q.events) >= maxQueuedEvents && !isStatus {
		q.lost = true
	} else {
		q.events = append(q.events, ev)
	}
	q.mu.Unlock()
	q.ring()
}

// ring wakes the service though nothing was put in.
func (q *eventQueue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the next event, or false.
func (q *eventQueue) take() (whatsapp.Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 {
		if q.lost {
			q.lost = false
			return whatsapp.EventsLost{}, true
		}
		q.events = nil // lets a long list go
		return nil, false
	}
	ev := q.events[0]
	q.events = q.events[1:]
	return ev, true
}
