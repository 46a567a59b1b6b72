package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// StepError says which step failed, what the log that matters says last, and
// what to do about it.
type StepError struct {
	Step    string
	LogFile string // "" when there is none
	Hint    string
	Err     error
}

func (e *StepError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed: %v\n", e.Step, e.Err)
	if e.LogFile != "" {
		fmt.Fprintf(&b, "\nLast lines of %s:\n%s\n", e.LogFile, tail(e.LogFile, 15))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\nWhat to do: %s\n", e.Hint)
	}
	return b.String()
}

func (e *StepError) Unwrap() error { return e.Err }

// failure adds to an error the log and the advice that go with it.
type failure struct {
	err     error
	logFile string
	hint    string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func advise(err error, logFile, hint string) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, logFile: logFile, hint: hint}
}

// progress prints a line per step with the time it took. A step that is
// skipped because nothing had to be done says so.
type progress struct {
	out   io.Writer
	start time.Time

	mu sync.Mutex // guards out
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

// step runs f, which returns a word on what it did.
func (p *progress) step(ctx context.Context, name string, f func(context.Context) (string, error)) error {
	begun := time.Now()
	done := make(chan struct{})
	go p.stillAtIt(name, begun, done)
	note, err := f(ctx)
	close(done)
	if err != nil {
		p.line("✗", name, begun, "failed")
		e := &StepError{Step: name, Err: err}
		var f *failure
		if errors.As(err, &f) {
			e.LogFile, e.Hint = f.logFile, f.hint
		}
		return e
	}
	p.line("✓", name, begun, note)
	return nil
}

// stillAtIt shows during a long step that it goes on.
func (p *progress) stillAtIt(name string, begun time.Time, done <-chan struct{}) {
	const interval = 20 * time.Second
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			p.line("…", name, begun, "")
		}
	}
}

func (p *progress) line(mark, name string, begun time.Time, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s %6.1fs  %-34s %5.1fs  %s\n", mark, time.Since(p.start).Seconds(), name, time.Since(begun).Seconds(), note)
}

// tail returns the last lines of a file, or says why it cannot.
func tail(file string, lines int) string {
	const most = 16 << 10 // bytes read from the end
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
