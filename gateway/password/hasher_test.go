package password

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

const asWorker = "work"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asWorker {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newHasher(t *testing.T, worker ...string) *Hasher {
	t.Helper()
	h, err := NewHasher(prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hash"}), worker...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestHasher(t *testing.T) {
	for name, worker := range map[string][]string{"in this process": nil, "in workers": {os.Args[0], asWorker}} {
		t.Run(name, func(t *testing.T) {
			h := newHasher(t, worker...)
			const password = "correct \"horse\"\n\u2028 <&>"
			hash, err := h.Hash(t.Context(), password)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				password, hash string
				match          bool
			}{{password, hash, true}, {"wrong horse", hash, false}, {password, "", false}} {
				if match, err := h.Verify(t.Context(), c.password, c.hash); err != nil || match != c.match {
					t.Errorf("%q against %q: %v, %v", c.password, c.hash, match, err)
				}
			}
			if _, err := h.Verify(t.Context(), password, "not a hash"); err == nil || strings.Contains(err.Error(), "horse") {
				t.Errorf("a malformed hash: %v", err)
			}
			if hash, err := h.HashAfter(t.Context(), password, func() error { return os.ErrExist }); hash != "" || !errors.Is(err, os.ErrExist) {
				t.Errorf("hashed to %q, %v, though it was not to", hash, err)
			}
			var wg sync.WaitGroup
			for range 4 * h.slots {
				wg.Go(func() {
					if match, err := h.Verify(t.Context(), password, hash); err != nil || !match {
						t.Errorf("at once: %v, %v", match, err)
					}
				})
			}
			wg.Wait()
			// A caller who leaves while all slots are taken waits no longer.
			taken := make([]engine, h.slots)
			for i := range taken {
				taken[i] = <-h.idle
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := h.HashAfter(ctx, password, func() error { t.Error("called before its turn"); return nil }); err == nil {
				t.Error("hashed without a slot")
			}
			for _, e := range taken {
				h.idle <- e
			}
		})
	}
}

func TestWorker(t *testing.T) {
	before, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: []string{os.Args[0], asWorker}}
	defer p.close()
	if out, err := p.do(job{Password: "horse"}); err != nil || out.Hash == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	pid := p.cmd.Process.Pid
	// The raw system call answers 20 minus the niceness.
	if prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid); err != nil || prio != 20-niceness {
		t.Errorf("priority %d, %v", prio, err)
	}
	threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil || len(threads) < 2 {
		t.Errorf("%d threads, %v", len(threads), err)
	}
	for _, th := range threads {
		tid, _ := strconv.Atoi(th.Name())
		if prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid); err != nil || prio != 20-niceness {
			t.Errorf("thread %s: priority %d, %v", th.Name(), prio, err)
		}
		var own, has unix.CPUSet
		if err := errors.Join(unix.SchedGetaffinity(0, &own), unix.SchedGetaffinity(tid, &has)); err != nil || has.Count() != max(1, own.Count()-1) {
			t.Errorf("thread %s: %d of %d cores, %v", th.Name(), has.Count(), own.Count(), err)
		}
	}
	if prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid()); err != nil || prio != before {
		t.Errorf("who started it: priority %d, %v", prio, err)
	}
	if env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err != nil || len(env) > 0 {
		t.Errorf("environment %q, %v", env, err)
	}

	// Killed, it is started again for the next job.
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if out, err := p.do(job{Password: "horse"}); err != nil || out.Hash == "" || p.cmd.Process.Pid == pid {
		t.Errorf("after a kill: %+v, %v", out, err)
	}
	// Closed, it leaves nothing behind.
	pid = p.cmd.Process.Pid
	p.close()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("still there")
	}
	missing := &process{command: []string{"/nonexistent"}}
	if _, err := missing.do(job{Password: "horse"}); err == nil {
		t.Error("a program that does not exist hashed")
	}
}

func TestWorkMalformed(t *testing.T) {
	cmd := exec.Command(os.Args[0], asWorker)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin = strings.NewReader(`{"password": horse}`)
	if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "horse") {
		t.Errorf("%v: %s", err, out)
	}
}
