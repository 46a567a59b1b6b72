package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func TestLogIsWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		l := newLog(&out, slog.LevelInfo)
		log := slog.New(l)
		log.Debug("never")
		log.Info("first")
		if out.String() != "" {
			t.Errorf("written at once: %s", out.String())
		}
		time.Sleep(2 * logFlushEvery)
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d events after a while, want 1", n)
		}
		log.With("a", 1).WithGroup("g").Info("second")
		log.With("a", 1).Error("third", "b", 2)
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d events after an error, want 3", n)
		}
		log.Info("last")
		l.Close()
		l.Close()
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 4 || !strings.Contains(lines[3], `"msg":"last"`) {
			t.Errorf("at the end %q", lines)
		}
	})
}
