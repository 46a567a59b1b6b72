package whatsapp

import (
	"sync"

	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// maxQueuedCalls bounds what waits for the engine. When a page says more than
// that, calls are dropped and the engine is told that events were lost.
const maxQueuedCalls = 4096

// pageQueue takes in what a page does. Its listener runs on the goroutine that
// reads from the browser and must never wait.
type pageQueue struct {
	wake chan struct{} // has one entry when there is something to take
	gone chan struct{} // closed when the page crashed: nothing answers any more

	mu      sync.Mutex // guards the following fields
	loaded  bool       // a document was loaded; it has no agent yet
	crashed bool
	lost    bool
	calls   []string
}

// taken is what a pageQueue held.
type taken struct {
	loaded, crashed, lost bool
	calls                 []string
}

func newPageQueue() *pageQueue {
	return &pageQueue{wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

func (q *pageQueue) listen(ev any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventBindingCalled:
		switch {
		case ev.Name != bindingName:
			return
		case len(q.calls) >= maxQueuedCalls || len(ev.Payload) > maxPayloadBytes:
			q.lost = true
		default:
			q.calls = append(q.calls, ev.Payload)
		}
	case *page.EventDomContentEventFired:
		q.loaded = true
	case *inspector.EventTargetCrashed, *inspector.EventDetached:
		if !q.crashed {
			close(q.gone)
		}
		q.crashed = true
	default:
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *pageQueue) take() taken {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := taken{q.loaded, q.crashed, q.lost, q.calls}
	q.loaded, q.lost, q.calls = false, false, nil // a crash is for good
	return t
}
