package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process is one that runs on this machine, containers included.
type process struct {
	pid       int
	name      string
	arguments string // with spaces between
	zombie    bool
}

func (p process) kill() error { return syscall.Kill(p.pid, syscall.SIGKILL) }

// processes lists those for which wanted is true. One that ends meanwhile is
// left out.
func processes(wanted func(p process, cgroup string) bool) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		read := func(file string) string {
			data, readErr := os.ReadFile(filepath.Join("/proc", e.Name(), file))
			if readErr != nil {
				err = readErr
			}
			return string(data)
		}
		p := process{pid: pid, name: strings.TrimSpace(read("comm"))}
		p.arguments = strings.ReplaceAll(read("cmdline"), "\x00", " ")
		_, state, _ := strings.Cut(read("stat"), ") ")
		p.zombie = strings.HasPrefix(state, "Z")
		if cgroup := read("cgroup"); err == nil && wanted(p, cgroup) {
			all = append(all, p)
		}
	}
	return all, nil
}

// processesOf lists a container's.
func processesOf(container string) ([]process, error) {
	return processes(func(_ process, cgroup string) bool { return strings.Contains(cgroup, container) })
}

// memory is the proportional set size of processes in MiB, by program.
type memory map[string]float64

func (m memory) total() (sum float64) {
	for _, v := range m {
		sum += v
	}
	return sum
}

func (m memory) String() string {
	var parts []string
	for name, v := range m {
		parts = append(parts, fmt.Sprintf("%s %.0f", name, v))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// containerMemory adds up all processes in a container.
func containerMemory(id string) (memory, error) {
	all, err := processesOf(id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("container %.12s has no process", id)
	}
	return memoryOf(all)
}

func memoryOf(all []process) (memory, error) {
	m := memory{}
	for _, p := range all {
		rollup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "smaps_rollup"))
		if err != nil {
			continue // it ended
		}
		for line := range strings.Lines(string(rollup)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
				kib, err := strconv.ParseFloat(fields[1], 64)
				if err != nil {
					return nil, fmt.Errorf("smaps_rollup: %q", line)
				}
				m[p.name] += kib / 1024
			}
		}
	}
	return m, nil
}

// besideSlice is what Nomad's and Docker's helpers take for each container that
// Nomad runs.
func (f *fixture) besideSlice(ctx context.Context) (memory, error) {
	if err := f.waitWarm(ctx, 1); err != nil {
		return nil, err
	}
	tasks := 0
	helpers, err := processes(func(p process, _ string) bool {
		if strings.Contains(p.arguments, " logmon") {
			tasks++
		}
		return strings.Contains(p.arguments, " logmon") || strings.Contains(p.arguments, " docker_logger") ||
			strings.HasPrefix(p.name, "containerd-shim") || p.name == "docker-proxy"
	})
	if err != nil {
		return nil, err
	}
	if tasks == 0 {
		return nil, errors.New("no task's log collector was found")
	}
	m, err := memoryOf(helpers)
	for name := range m {
		m[name] /= float64(tasks)
	}
	return m, err
}
