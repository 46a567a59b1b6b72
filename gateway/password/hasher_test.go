package password

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

const asWorker = "work"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asWorker {
		var err error
		if len(os.Args) == 2 {
			err = Work(os.Stdin, os.Stdout)
		} else {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			err = Serve(ctx, os.Args[2], slog.New(slog.DiscardHandler))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newHasher(t *testing.T, open Opener) *Hasher {
	t.Helper()
	h, err := NewHasher(prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hash"}), open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestHasher(t *testing.T) {
	for name, open := range map[string]Opener{
		"in this process": nil, "in programs": Program(os.Args[0], asWorker), "over a socket": Socket(serve(t)),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHasher(t, open)
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

// countingEngine counts what is hashed, and with which parameters.
type countingEngine struct {
	engine
	jobs []job
}

func (e *countingEngine) do(j job) (outcome, error) {
	e.jobs = append(e.jobs, j)
	return e.engine.do(j)
}

// For an account that does not exist the same work is done as for a wrong
// password: one hash with the same parameters.
func TestUnknownAccountsCostAHash(t *testing.T) {
	h := newHasher(t, nil)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingEngine{engine: <-h.idle}
	for len(h.idle) > 0 { // so that it is the only one
		(<-h.idle).close()
		h.slots--
	}
	h.idle <- counting
	for _, of := range []string{hash, ""} {
		if match, err := h.Verify(t.Context(), "wrong horse", of); err != nil || match {
			t.Errorf("%v, %v", match, err)
		}
	}
	if len(counting.jobs) != 2 {
		t.Fatalf("%d hashes, want one for each", len(counting.jobs))
	}
	parameters := func(hash string) string { return strings.Join(strings.Split(hash, "$")[:4], "$") }
	if known, unknown := parameters(counting.jobs[0].Hash), parameters(counting.jobs[1].Hash); known != unknown || !strings.Contains(known, "argon2id") {
		t.Errorf("a wrong password costs %s, an unknown account %s", known, unknown)
	}
}

func TestWorker(t *testing.T) {
	before, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{open: Program(os.Args[0], asWorker)}
	defer r.close()
	if out, err := r.do(job{Password: "horse"}); err != nil || out.Hash == "" {
		t.Fatalf("%+v, %v", out, err)
	}
	pid := r.conn.(*process).cmd.Process.Pid
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
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if out, err := r.do(job{Password: "horse"}); err != nil || out.Hash == "" || r.conn.(*process).cmd.Process.Pid == pid {
		t.Errorf("after a kill: %+v, %v", out, err)
	}
	// Closed, it leaves nothing behind.
	pid = r.conn.(*process).cmd.Process.Pid
	r.close()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("still there")
	}
	missing := &remote{open: Program("/nonexistent")}
	if _, err := missing.do(job{Password: "horse"}); err == nil {
		t.Error("a program that does not exist hashed")
	}
}

// serve runs a worker on the socket that it returns.
func serve(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "hash.sock")
	startServing(t, socket)
	return socket
}

func startServing(t *testing.T, socket string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], asWorker, socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "hash.sock")
	h := newHasher(t, Socket(socket))
	// It is waited for, at first and while it is started again, over the socket
	// that the one before left.
	var worker *exec.Cmd
	for range 2 {
		if worker != nil {
			_ = worker.Process.Kill()
			_ = worker.Wait()
		}
		started := make(chan *exec.Cmd, 1)
		time.AfterFunc(2*socketPause, func() { started <- startServing(t, socket) })
		hash, err := h.Hash(t.Context(), "horse")
		if err != nil {
			t.Fatal(err)
		}
		if match, err := h.Verify(t.Context(), "horse", hash); err != nil || !match {
			t.Errorf("%v, %v", match, err)
		}
		worker = <-started
	}
	// A malformed job costs its sender the connection, nobody else.
	conn, err := Socket(socket)()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, `{"password": horse}`); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes answer a malformed job", n)
	}
	if _, err := h.Hash(t.Context(), "horse"); err != nil {
		t.Error(err)
	}
	// Told to end, it does.
	if err := errors.Join(worker.Process.Signal(syscall.SIGTERM), worker.Wait()); err != nil {
		t.Error(err)
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
