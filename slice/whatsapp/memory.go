package whatsapp

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

const (
	// memoryEvery is how often the memory is looked at.
	memoryEvery = 30 * time.Second

	// Shares of the limit. Above the soft one the page is reloaded when nobody
	// uses it, which gives back what WhatsApp Web gathered in days. Above the hard
	// one, twice in a row, the browser is started anew, before the kernel picks a
	// process to end.
	softMemory   = 0.7
	hardMemory   = 0.9
	hardReadings = 2

	idleBefore = 2 * time.Minute  // without use, before a reload for memory
	reloadGap  = 30 * time.Minute // between two of them: what does not help is not repeated
)

// Memory is what this program and its browser use, in bytes.
type Memory struct {
	Used  int64 // that no other process shares and no file backs
	Limit int64 // 0 is none
}

// memoryOf adds up this process and those of a process group.
func memoryOf(group int) (int64, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	var sum int64
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PGRP != group && p.PID != os.Getpid() {
			continue // it ended, or is not ours
		}
		if m, err := p.Statm(); err == nil {
			sum += int64(m.Resident-m.Shared) * int64(os.Getpagesize()) //nolint:gosec // below the machine's memory
		}
	}
	return sum, nil
}

// relief is what is done about memory.
type relief int

const (
	noRelief relief = iota
	reloadPage
	restartBrowser
)

// memoryWatch decides on it. Its zero value is ready to use.
type memoryWatch struct {
	tooMuch  int // readings above the hard share in a row
	reloaded time.Time
}

// next takes in a reading.
func (w *memoryWatch) next(m Memory, idle bool, now time.Time) relief {
	share := 0.0
	if m.Limit > 0 {
		share = float64(m.Used) / float64(m.Limit)
	}
	if share < hardMemory {
		w.tooMuch = 0
	} else if w.tooMuch++; w.tooMuch >= hardReadings {
		w.tooMuch = 0
		return restartBrowser
	}
	if share >= softMemory && idle && now.Sub(w.reloaded) >= reloadGap {
		w.reloaded = now
		return reloadPage
	}
	return noRelief
}

// checkMemory reads the memory when that is due, and does what is to be done.
func (w *watch) checkMemory(now time.Time) (relief, error) {
	if now.Sub(w.memoryRead) < w.engine.cfg.memoryEvery {
		return noRelief, nil
	}
	w.memoryRead = now
	used, err := w.engine.cfg.memoryOf(w.browser.group)
	if err != nil {
		return noRelief, err
	}
	m := Memory{Used: used, Limit: w.engine.cfg.MemoryLimit}
	w.engine.setMemory(m)
	return w.memory.next(m, w.idle(now), now), nil
}

// idle reports whether a reload would disturb nobody.
func (w *watch) idle(now time.Time) bool {
	switch w.engine.Status().State {
	case StateReady, StateOffline, StateConflict:
		return w.browser.idleSince(now) >= idleBefore
	case StateQR:
		return !w.engine.watched()
	}
	return false // somebody links a phone, or a history is being loaded
}
