package provisionertest

import (
	"context"
	"sync"
)

// Faults makes calls fail.
type Faults struct {
	faultMu sync.Mutex // guards faultOf
	faultOf func(call string, number int) error
}

// FailOn sets what each call asks first: its answer, unless nil, is the call's.
// The call's name is that of its method, in lower case with hyphens.
func (f *Faults) FailOn(fault func(call string, number int) error) {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	f.faultOf = fault
}

func (f *Faults) fault(call string, number int) error {
	f.faultMu.Lock()
	fault := f.faultOf
	f.faultMu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(call, number)
}

// Watchers are those who are woken by changes.
type Watchers struct {
	watchMu sync.Mutex // guards the following fields
	wakes   map[int]func()
	lastID  int
}

// Watch implements provisioner.Waker.
func (w *Watchers) Watch(ctx context.Context, wake func()) error {
	w.watchMu.Lock()
	if w.wakes == nil {
		w.wakes = make(map[int]func())
	}
	w.lastID++
	id := w.lastID
	w.wakes[id] = wake
	w.watchMu.Unlock()
	wake()
	<-ctx.Done()
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	delete(w.wakes, id)
	return nil
}

func (w *Watchers) notify() {
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	for _, wake := range w.wakes {
		wake()
	}
}
