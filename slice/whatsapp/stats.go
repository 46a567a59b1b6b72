package whatsapp

import "maps"

// Stats counts what happened since the program started.
type Stats struct {
	State    State             // the present one
	Entered  map[State]uint64  // how often each state was entered
	Restarts map[string]uint64 // of the browser, by cause: see endings
	Reloads  map[string]uint64 // of the page, by cause: memory, conflict
	Memory   Memory            // zero before the first reading
}

// Stats returns the present counts.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.State = e.status.State
	s.Entered, s.Restarts, s.Reloads = maps.Clone(s.Entered), maps.Clone(s.Restarts), maps.Clone(s.Reloads)
	return s
}

func (e *Engine) setMemory(m Memory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Memory = m
}

func (e *Engine) countReload(cause string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Reloads[cause]++
}
