package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logBuffer     = 64 << 10               // bytes
	logFlushEvery = 200 * time.Millisecond // how late an event may be
)

// newLog returns a log in JSON. Events are written in batches, for a write costs
// as much as half of what else a request needs; warnings and errors at once,
// with what came before. Close it in the end.
func newLog(out io.Writer, level slog.Level) *eventLog {
	l := &eventLog{w: bufio.NewWriterSize(out, logBuffer), stop: make(chan struct{}), done: make(chan struct{})}
	l.Handler = slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level})
	go l.flushNowAndThen()
	return l
}

type eventLog struct {
	slog.Handler
	stop, done chan struct{}
	once       sync.Once

	mu sync.Mutex
	w  *bufio.Writer // guarded by mu
}

// Handle flushes after what somebody may be waiting for.
func (l *eventLog) Handle(ctx context.Context, r slog.Record) error {
	if l.writePlain(r) {
		return nil
	}
	err := l.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		l.flush()
	}
	return err
}

// writePlain writes an event that appendPlain takes. There is one for each request.
func (l *eventLog) writePlain(r slog.Record) bool {
	if r.Level >= slog.LevelWarn {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := appendPlain(l.w.AvailableBuffer(), r)
	if ok {
		_, _ = l.w.Write(b) // there is nowhere to report it to
	}
	return ok
}

// WithAttrs and WithGroup keep the flush.
func (l *eventLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return derivedLog{l.Handler.WithAttrs(attrs), l}
}

// WithGroup is WithAttrs for a group.
func (l *eventLog) WithGroup(name string) slog.Handler {
	return derivedLog{l.Handler.WithGroup(name), l}
}

type derivedLog struct {
	slog.Handler
	log *eventLog
}

func (d derivedLog) Handle(ctx context.Context, r slog.Record) error {
	err := d.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		d.log.flush()
	}
	return err
}

func (d derivedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return derivedLog{d.Handler.WithAttrs(attrs), d.log}
}

func (d derivedLog) WithGroup(name string) slog.Handler {
	return derivedLog{d.Handler.WithGroup(name), d.log}
}

// Write takes one event from the handler.
func (l *eventLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (l *eventLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.w.Flush() // there is nowhere to report it to
}

func (l *eventLog) flushNowAndThen() {
	defer close(l.done)
	tick := time.NewTicker(logFlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			l.flush()
			return
		case <-tick.C:
			l.flush()
		}
	}
}

// Close writes what is left.
func (l *eventLog) Close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}
