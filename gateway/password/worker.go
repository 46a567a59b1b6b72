package password

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// niceness lets the other threads of the container go first, and leaves a
	// tenth of a busy core for hashing.
	niceness = 10

	// workerMemory is for one hash and the garbage of another.
	workerMemory = 32 << 20 // bytes

	// workerTimeout is for one job on a machine that is very busy.
	workerTimeout = 30 * time.Second
)

// Work does jobs from in, answering on out, until in ends: what a worker
// program runs. It lowers the priority of its process group, which process has
// made its own, and leaves a core free.
func Work(in io.Reader, out io.Writer) error {
	if err := stepBack(); err != nil {
		return fmt.Errorf("password worker: %w", err)
	}
	debug.SetMemoryLimit(workerMemory)
	jobs, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j job
		if err := jobs.Decode(&j); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return errors.New("password worker: a malformed job") // the error could quote it
		}
		answer, err := local{}.do(j)
		if err != nil {
			answer = outcome{Error: err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("password worker: %w", err)
		}
	}
}

// stepBack leaves the first of this process's cores to everything else on the
// machine, whatever number of workers and gateways run there: priorities do not
// reach beyond a container. Threads that are made later are like their makers.
func stepBack() error {
	if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness); err != nil {
		return fmt.Errorf("priority: %w", err)
	}
	var cores unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cores); err != nil {
		return fmt.Errorf("cores: %w", err)
	}
	if cores.Count() < 2 {
		return nil
	}
	first := 0
	for !cores.IsSet(first) {
		first++
	}
	cores.Clear(first)
	// A thread that is not moved yet may make others meanwhile: done when a look
	// at all of them finds nothing to move.
	for moved := true; moved; {
		var err error
		if moved, err = moveThreads(cores); err != nil {
			return fmt.Errorf("cores: %w", err)
		}
	}
	return nil
}

// moveThreads has this process's threads run on these cores only, and reports
// whether any did not.
func moveThreads(cores unix.CPUSet) (moved bool, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return false, err
		}
		var has unix.CPUSet
		err = unix.SchedGetaffinity(id, &has)
		if err == nil && has != cores {
			moved = true
			err = unix.SchedSetaffinity(id, &cores)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
			return false, err
		}
	}
	return moved, nil
}

// process is a worker process. It starts with the first job, and anew after it
// failed. One job at a time.
type process struct {
	command []string

	cmd  *exec.Cmd // nil while none runs
	in   io.WriteCloser
	send *json.Encoder
	recv *json.Decoder
}

// do tries twice: a worker may have been killed since its last job, and a job
// that is done again harms nobody.
func (p *process) do(j job) (outcome, error) {
	out, err := p.try(j)
	if err != nil {
		out, err = p.try(j)
	}
	return out, err
}

func (p *process) try(j job) (out outcome, err error) {
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return out, err
		}
	}
	stuck := time.AfterFunc(workerTimeout, kill(p.cmd.Process))
	defer stuck.Stop()
	if err = p.send.Encode(j); err == nil { //nolint:gosec // the pipe leads to the worker alone
		err = p.recv.Decode(&out)
	}
	if err != nil {
		stuck.Stop()
		p.close()
		return outcome{}, fmt.Errorf("worker: %w", err)
	}
	return out, nil
}

func (p *process) start() error {
	// It outlives the request that it is started for; close ends it.
	cmd := exec.CommandContext(context.Background(), p.command[0], p.command[1:]...)
	cmd.Env = []string{}                                  // it needs no secret
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // see Work
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	p.cmd, p.in = cmd, in
	p.send, p.recv = json.NewEncoder(in), json.NewDecoder(out)
	return nil
}

// close ends the worker, which leaves when its input ends.
func (p *process) close() {
	if p.cmd == nil {
		return
	}
	p.in.Close()
	stuck := time.AfterFunc(time.Second, kill(p.cmd.Process))
	defer stuck.Stop()
	_ = p.cmd.Wait() // what it answered is known already
	p.cmd = nil
}

func kill(p *os.Process) func() {
	return func() { _ = p.Kill() } // an error means that it has ended
}
