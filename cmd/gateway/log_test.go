package main

import (
	"bytes"
	"io"
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

// What is written for less is what slog writes.
func TestPlainEvents(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7_000, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		at    time.Time
		msg   string
		attrs []slog.Attr
		plain bool
	}{
		"a request":      {at, "request", []slog.Attr{slog.String("method", "GET"), slog.Int("status", 200), slog.Int64("bytes", -1), slog.Duration("duration", 1500*time.Microsecond)}, true},
		"nothing":        {at, "", nil, true},
		"more than five": {at, "m", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3), slog.Int("d", 4), slog.Int("e", 5), slog.Int("f", 6), slog.String("g", "<&> ~")}, true},
		"UTC":            {at.UTC(), "m", nil, true},
		"quotation":      {at, "m", []slog.Attr{slog.String("error", `it said "no"`)}, false},
		"backslash":      {at, `a\b`, nil, false},
		"line break":     {at, "m", []slog.Attr{slog.String("error", "two\nlines")}, false},
		"beyond ASCII":   {at, "m", []slog.Attr{slog.String("error", "é\u2028")}, false},
		"odd key":        {at, "m", []slog.Attr{slog.String("a\"b", "c"), slog.Int("d", 1)}, false},
		"no time":        {time.Time{}, "m", nil, false},
		"a group":        {at, "m", []slog.Attr{slog.Group("g", slog.Int("a", 1))}, false},
		"an error":       {at, "m", []slog.Attr{slog.Any("error", io.EOF)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := slog.NewRecord(c.at, slog.LevelInfo, c.msg, 0)
			r.AddAttrs(c.attrs...)
			var want, got bytes.Buffer
			if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if b, ok := appendPlain(nil, r); ok != c.plain || ok && string(b) != want.String() {
				t.Errorf("%v, %s, want %s", ok, b, want.Bytes())
			}
			l := newLog(&got, slog.LevelInfo)
			if err := l.Handle(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			l.Close()
			if got.String() != want.String() {
				t.Errorf("%s, want %s", got.Bytes(), want.Bytes())
			}
		})
	}
}
