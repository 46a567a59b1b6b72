package password

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// niceness lets the other threads of the container, if there are any, go
	// first, and leaves a tenth of a busy core for hashing.
	niceness = 10

	// workMemory is for one hash and the garbage of another.
	workMemory = 32 << 20 // bytes

	// serveMemory is for maxSlots hashes and the garbage of as many.
	serveMemory = 96 << 20 // bytes
)

// Work does jobs from in, answering on out, until in ends: what a program runs
// that Program starts. It lowers the priority of its process group, which is to
// be its own, and leaves a core free.
func Work(in io.Reader, out io.Writer) error {
	if err := stepBack(); err != nil {
		return fmt.Errorf("password worker: %w", err)
	}
	debug.SetMemoryLimit(workMemory)
	return work(in, out)
}

// Serve does the jobs of everybody who connects to a Unix socket, until ctx is
// done: what a program runs whose socket Socket is told. It makes way for others
// as Work does.
func Serve(ctx context.Context, socket string, log *slog.Logger) error {
	if err := stepBack(); err != nil {
		return fmt.Errorf("password worker: %w", err)
	}
	debug.SetMemoryLimit(serveMemory)
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one before that was killed
		return fmt.Errorf("password worker: %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("password worker: %w", err)
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	log.Info("listening", "addr", socket)
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("password worker: %w", err)
		}
		go func() {
			defer conn.Close()
			if err := work(conn, conn); err != nil {
				log.Warn("connection", "error", err)
			}
		}()
	}
}

func work(in io.Reader, out io.Writer) error {
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
