package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	programStartTimeout = 60 * time.Second
	programStopTimeout  = 15 * time.Second
)

// program is one that a benchmark started, in a process group of its own.
type program struct {
	name  string
	cmd   *exec.Cmd
	log   string // file that its output goes to
	stops syscall.Signal
	ended chan struct{}
}

// launch says how a program is started.
type launch struct {
	args    []string
	environ []string
	user    *syscall.Credential // none: this program's
	stops   syscall.Signal      // 0: SIGTERM
	dir     string
}

func (r *rig) start(name string, l launch) (*program, error) {
	p := &program{name: name, log: filepath.Join(r.Dir, name+".log"), stops: l.stops, ended: make(chan struct{})}
	if p.stops == 0 {
		p.stops = syscall.SIGTERM
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(l.args[0], l.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(r.Environ(), l.environ...)
	p.cmd.Dir = r.Dir
	if l.dir != "" {
		p.cmd.Dir = l.dir
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: l.user}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	r.programs = append(r.programs, p)
	return p, nil
}

// until polls f until it returns nil; it gives up when the program ends, and
// then shows the last of its output.
func (p *program) until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, programStartTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			err = errors.New("it has ended")
		case <-ctx.Done():
			err = fmt.Errorf("not ready in time: %w", err)
		case <-tick.C:
			continue
		}
		return p.failed(err)
	}
}

// failed adds to an error what the program said last.
func (p *program) failed(err error) error {
	said, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %w; it said: %s", p.name, err, said[max(0, len(said)-2000):])
}

// listens waits until the program takes connections.
func (p *program) listens(ctx context.Context, addr string) error {
	return p.until(ctx, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func (p *program) stop() {
	_ = p.cmd.Process.Signal(p.stops) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(programStopTimeout):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
	<-p.ended
}

// freeAddr returns an address on the loopback that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// cpuOf returns the processor time, user and system, of a process and all that
// it started. The kernel counts it to the nanosecond and shows it in ticks of
// 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	const tick = 10 * time.Millisecond
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	children := make(map[int][]int)
	ticks := make(map[int]int64)
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it ended
		}
		// After the name: state, parent, …; 11 to 14 are the times of the
		// process and of its children that have ended.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		fields := strings.Fields(rest)
		if len(fields) < 15 {
			return 0, fmt.Errorf("/proc/%d/stat: %q", id, stat)
		}
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], id)
		for _, f := range fields[11:15] {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/%d/stat: %q", id, stat)
			}
			ticks[id] += n
		}
	}
	if _, ok := ticks[pid]; !ok {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	var sum int64
	for all := []int{pid}; len(all) > 0; {
		id := all[0]
		all = append(all[1:], children[id]...)
		sum += ticks[id]
	}
	return time.Duration(sum) * tick, nil
}
