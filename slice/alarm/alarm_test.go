package alarm

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls []time.Duration
		answers := []struct {
			next time.Duration // 0 is never
			err  error
		}{{10 * time.Second, nil}, {0, errors.New("database is away")}, {0, errors.New("still")}, {0, nil}, {0, nil}}
		a := New("test", slog.New(slog.DiscardHandler), func(context.Context) (time.Time, error) {
			answer := answers[len(calls)]
			calls = append(calls, time.Since(start))
			if answer.next == 0 {
				return time.Time{}, answer.err
			}
			return start.Add(answer.next), answer.err
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		time.Sleep(100 * time.Hour)
		a.Wake()
		synctest.Wait()
		cancel()
		<-done
		want := []time.Duration{0, 10 * time.Second, 11 * time.Second, 13 * time.Second, 100 * time.Hour}
		if len(calls) != len(want) {
			t.Fatalf("called at %v, want %v", calls, want)
		}
		for i := range want {
			if calls[i] != want[i] {
				t.Errorf("call %d at %v, want %v", i, calls[i], want[i])
			}
		}
	})
}
