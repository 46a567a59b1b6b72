package stack

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

// backgroundNice is a tenth of the share that a session has otherwise.
const backgroundNice = "10"

// process is a daemon that outlives the program that started it, known by a
// file with its process id.
type process struct {
	name    string
	pidFile string
	logFile string
}

func (c *Config) process(name string) process {
	return process{name: name, pidFile: c.path("run", name+".pid"), logFile: c.path("log", name+".log")}
}

// pid returns the id of the running process, or 0. A file left by a machine
// that was cut off may name somebody else's process: the program's name is
// compared too.
func (p process) pid() int {
	b, err := os.ReadFile(p.pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return 0
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(comm)) != p.name {
		return 0
	}
	return pid
}

// start runs the program in a session of its own, its output in the log file.
func (p process) start(program string, environ []string, args ...string) error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environ
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() // reaped while this program lives, by init afterwards
	return os.WriteFile(p.pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600)
}

// background has other sessions go first where all want the processor: the kernel
// gives each session its share, whatever number of threads it has. Containers are
// in control groups of their own; so are the units of a machine with systemd, where
// CPUWeight says the same. Kernels that do not group sessions have no such file.
func (p process) background() error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", p.pid()), []byte(backgroundNice), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// stop asks the process to end, and kills it when it has not in time.
func (p process) stop(ctx context.Context, grace time.Duration) error {
	pid := p.pid()
	if pid == 0 {
		os.Remove(p.pidFile)
		return nil
	}
	syscall.Kill(pid, syscall.SIGTERM)
	graceful, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if poll(graceful, 50*time.Millisecond, func() error { return p.gone(pid) }) != nil {
		syscall.Kill(pid, syscall.SIGKILL)
		if err := poll(ctx, 50*time.Millisecond, func() error { return p.gone(pid) }); err != nil {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	os.Remove(p.pidFile)
	return nil
}

func (p process) gone(pid int) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// A zombie has ended; whoever started it has yet to notice.
	if i := strings.LastIndexByte(string(b), ')'); i > 0 && len(b) > i+2 && b[i+2] == 'Z' {
		return nil
	}
	return fmt.Errorf("process %d still runs", pid)
}

// final wraps an error that no waiting will mend.
type final struct{ error }

// poll calls f until it returns nil or a final error, and returns its last
// error when the context ends first.
func poll(ctx context.Context, interval time.Duration, f func() error) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		var f final
		if errors.As(err, &f) {
			return f.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", err)
		case <-t.C:
		}
	}
}

// portFree returns an error when another program listens on the address.
func portFree(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s is in use by another program: %w", addr, err)
	}
	return l.Close()
}

// run executes a program to its end, its output in the log file.
func (c *Config) run(ctx context.Context, logName, dir string, environ []string, name string, args ...string) error {
	logFile := c.path("log", logName+".log")
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdout, cmd.Stderr = log, log
	killGroup(cmd)
	if err := cmd.Run(); err != nil {
		return advise(fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args[:min(len(args), 3)], " "), err), logFile, "")
	}
	return nil
}

// killGroup makes the end of a command's context the end of all that it
// started: npm does not pass a signal on.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
