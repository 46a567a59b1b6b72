package whatsapp

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestMemoryWatch(t *testing.T) {
	t.Parallel()
	const limit = 1000
	type reading struct {
		used  int64
		idle  bool
		after time.Duration // since the reading before
		want  relief
	}
	for name, readings := range map[string][]reading{
		"little":                    {{699, true, 0, noRelief}},
		"much, in use":              {{800, false, 0, noRelief}, {800, true, memoryEvery, reloadPage}},
		"a reload that helps not":   {{800, true, 0, reloadPage}, {800, true, memoryEvery, noRelief}, {800, true, reloadGap, reloadPage}},
		"too much, once":            {{950, false, 0, noRelief}, {600, false, memoryEvery, noRelief}, {950, false, memoryEvery, noRelief}},
		"too much, twice":           {{950, false, 0, noRelief}, {950, false, memoryEvery, restartBrowser}, {950, false, memoryEvery, noRelief}},
		"too much, idle: reload":    {{950, true, 0, reloadPage}},
		"too much, and no reload":   {{950, true, 0, reloadPage}, {950, true, memoryEvery, restartBrowser}},
		"exactly at the soft share": {{700, true, 0, reloadPage}},
	} {
		var w memoryWatch
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i, r := range readings {
			now = now.Add(r.after)
			if got := w.next(Memory{Used: r.used, Limit: limit}, r.idle, now); got != r.want {
				t.Errorf("%s: reading %d: %v, want %v", name, i, got, r.want)
			}
		}
	}
	if got := new(memoryWatch).next(Memory{Used: 1 << 40}, true, time.Now()); got != noRelief {
		t.Errorf("without a limit: %v", got)
	}
}

func TestMemoryOfAProcessGroup(t *testing.T) {
	t.Parallel()
	alone, err := memoryOf(-1)
	if err != nil || alone < 1<<20 {
		t.Fatalf("this process alone: %d bytes, %v", alone, err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo; read y")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin, cmd.Stderr = nil, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	// This process may have grown or shrunk a little meanwhile.
	if both, err := memoryOf(cmd.Process.Pid); err != nil || both-alone < 6_000_000 {
		t.Errorf("with a process of 8 MB: %d bytes more, %v", both-alone, err)
	}
}
