package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	agentStopTimeout    = 15 * time.Second
	taskStopTimeout     = 20 * time.Second // above a slice's kill timeout
	postgresStopTimeout = 60 * time.Second // a shutdown writes a checkpoint
)

// Down stops everything that Up started and keeps the data. It works on
// whatever of it is there.
func Down(ctx context.Context, cfg Config, out io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(cfg.StateDir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(out, "nothing to stop: there is no stack of this name")
		return nil
	}
	unlock, err := cfg.lock()
	if err != nil {
		return &StepError{Step: "one at a time", Err: err, Hint: "wait until it ends, and run the command again"}
	}
	defer unlock()
	return cfg.down(ctx, newProgress(out))
}

func (c *Config) down(ctx context.Context, p *progress) error {
	steps := []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		// First, or it would start again what is stopped below.
		{"Nomad agent", func(ctx context.Context) (string, error) { return "", c.process("nomad").stop(ctx, agentStopTimeout) }},
		{"containers", c.stopTasks},
		{"log collectors", c.killMarked},
		{"Consul agent", func(ctx context.Context) (string, error) { return "", c.process("consul").stop(ctx, agentStopTimeout) }},
		{"Docker engine", c.stopEngine},
	}
	for _, step := range steps {
		if err := p.step(ctx, step.name, step.run); err != nil {
			return err
		}
	}
	return nil
}

// killMarked ends what Nomad started beside the containers and leaves to its
// next agent: two processes per task that collect its output.
func (c *Config) killMarked(context.Context) (string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "", err
	}
	killed := 0
	for _, dir := range dirs {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), c.mark()) {
			continue // gone, a kernel thread, or somebody else's
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || pid == c.process("consul").pid() {
			continue // Consul is stopped in an orderly way
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return fmt.Sprintf("ended %d", killed), nil
}

// stopTasks ends the containers, the database last: the others write to it
// while they stop. They are removed so that Nomad starts them anew.
func (c *Config) stopTasks(ctx context.Context) (string, error) {
	if err := engineAnswers(ctx); err != nil {
		return "the engine is not running", nil
	}
	all, err := c.containers(ctx)
	if err != nil {
		return "", err
	}
	database, err := c.containers(ctx, "label="+labelJobName+"=postgres")
	if err != nil {
		return "", err
	}
	var others []string
	for _, id := range all {
		if !strings.Contains(strings.Join(database, " "), id) {
			others = append(others, id)
		}
	}
	if err := stopContainers(ctx, taskStopTimeout, others); err != nil {
		return "", err
	}
	if err := stopContainers(ctx, postgresStopTimeout, database); err != nil {
		return "", err
	}
	return fmt.Sprintf("stopped %d", len(all)), removeContainers(ctx, all)
}

// Destroy stops the stack and removes its data. What was built (programs,
// images) stays.
func Destroy(ctx context.Context, cfg Config, out io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(cfg.StateDir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(out, "nothing to remove: there is no stack of this name")
		return nil
	}
	unlock, err := cfg.lock()
	if err != nil {
		return &StepError{Step: "one at a time", Err: err, Hint: "wait until it ends, and run the command again"}
	}
	defer unlock()
	p := newProgress(out)
	if err := cfg.down(ctx, p); err != nil {
		return err
	}
	return p.step(ctx, "data", func(context.Context) (string, error) {
		if err := unmountBelow(cfg.StateDir); err != nil {
			return "", err
		}
		return "removed " + cfg.StateDir, os.RemoveAll(cfg.StateDir)
	})
}

// unmountBelow takes away the memory file systems in which Nomad keeps the
// tasks' secrets; they outlive the agent.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	prefix := filepath.Clean(dir) + "/"
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		point := strings.ReplaceAll(fields[1], `\040`, " ")
		if !strings.HasPrefix(point, prefix) {
			continue
		}
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}
