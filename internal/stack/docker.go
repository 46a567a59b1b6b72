package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"ipnoelp.io/platform"
)

const (
	baseImage       = "debian:bookworm-slim"
	bridgeInterface = "docker0"

	// Labels that Nomad's Docker driver puts on what it starts.
	labelNodeName = "com.hashicorp.nomad.node_name"
	labelJobName  = "com.hashicorp.nomad.job_name"

	engineStartTimeout = 60 * time.Second
)

// startEngine makes sure that a Docker engine answers, starting one when none
// does: through systemd where that runs the machine, by itself elsewhere.
func (c *Config) startEngine(ctx context.Context) (string, error) {
	if engineAnswers(ctx) == nil {
		return "already running", nil
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		if out, err := exec.CommandContext(ctx, "systemctl", "start", "docker").CombinedOutput(); err != nil {
			return "", advise(fmt.Errorf("systemctl start docker: %w: %s", err, out), "", "see `journalctl -u docker`")
		}
	} else if err := c.startDockerd(); err != nil {
		return "", err
	}
	p := c.process("dockerd")
	waiting, cancel := context.WithTimeout(ctx, engineStartTimeout)
	defer cancel()
	if err := poll(waiting, 100*time.Millisecond, func() error { return engineAnswers(ctx) }); err != nil {
		return "", advise(err, p.logFile, "see the log; `dockerd` needs root and iptables")
	}
	return "started", nil
}

func engineAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run()
}

// startDockerd starts the engine beside no init system. Files with process ids
// that a cut-off machine left would keep it from starting.
func (c *Config) startDockerd() error {
	for file, program := range map[string]string{
		"/var/run/docker.pid":                       "dockerd",
		"/var/run/docker/containerd/containerd.pid": "containerd",
	} {
		if (process{name: program, pidFile: file}).pid() == 0 {
			os.Remove(file)
		}
	}
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		return err
	}
	// Containers reach the host and what it publishes, never each other.
	p := c.process("dockerd")
	if err := p.start(dockerd, os.Environ(), "--icc=false"); err != nil {
		return err
	}
	return p.background()
}

// bridgeIP is the host's address on the Docker bridge: slices publish their
// ports on it, and reach PostgreSQL and the stand-in at it.
func bridgeIP() (string, error) {
	i, err := net.InterfaceByName(bridgeInterface)
	if err != nil {
		return "", fmt.Errorf("%s: %w", bridgeInterface, err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return "", fmt.Errorf("%s: %w", bridgeInterface, err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", advise(fmt.Errorf("%s has no IPv4 address", bridgeInterface), "", "restart the Docker engine")
}

// ensureBaseImage makes the image that all others are built from: pulled where
// there is a registry, made from Debian's packages where there is none.
func (c *Config) ensureBaseImage(ctx context.Context) (string, error) {
	if imageExists(ctx, baseImage) {
		return "already there", nil
	}
	pulling, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if c.run(pulling, "image-base", "/", nil, "docker", "pull", "-q", baseImage) == nil {
		return "pulled", nil
	}
	if err := c.aptInstall(ctx, "mmdebstrap"); err != nil {
		return "", err
	}
	archive := c.path("base.tar")
	defer os.Remove(archive)
	if err := c.run(ctx, "image-base", "/", nil, "mmdebstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", archive); err != nil {
		return "", err
	}
	if err := c.run(ctx, "image-base", "/", nil, "docker", "import", archive, baseImage); err != nil {
		return "", err
	}
	return "made from Debian's packages", nil
}

func imageExists(ctx context.Context, ref string) bool {
	return exec.CommandContext(ctx, "docker", "image", "inspect", "--format", "{{.Id}}", ref).Run() == nil
}

// containers returns the ids of this stack's containers, running or not.
func (c *Config) containers(ctx context.Context, filters ...string) ([]string, error) {
	args := []string{"ps", "-aq", "--no-trunc", "--filter", "label=" + labelNodeName + "=" + c.nodeName()}
	for _, f := range filters {
		args = append(args, "--filter", f)
	}
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("docker ps: %w", commandError(err))
	}
	return strings.Fields(string(out)), nil
}

// SliceContainer returns the id of the container that runs the slice, or an error
// while none does.
func (s *Stack) SliceContainer(number int) (string, error) {
	ids, err := s.cfg.containers(context.Background(), "status=running", "label="+labelJobName+"="+platform.SliceName(number))
	if err == nil && len(ids) != 1 {
		err = fmt.Errorf("%s: %d running containers", platform.SliceName(number), len(ids))
	}
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// stopContainers ends containers, each with the time its job gives it at most.
func stopContainers(ctx context.Context, grace time.Duration, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	args := append([]string{"stop", "-t", fmt.Sprint(int(grace.Seconds()))}, ids...)
	_, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return fmt.Errorf("docker stop: %w", commandError(err))
	}
	return nil
}

func removeContainers(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := exec.CommandContext(ctx, "docker", append([]string{"rm", "-f"}, ids...)...).Output()
	if err != nil && !strings.Contains(commandError(err).Error(), "No such container") {
		return fmt.Errorf("docker rm: %w", commandError(err))
	}
	return nil
}

// commandError is an error with what the command said on its error output.
func commandError(err error) error {
	var e *exec.ExitError
	if errors.As(err, &e) && len(e.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
	}
	return err
}

// stopEngine ends an engine that this stack started, unless others use it.
func (c *Config) stopEngine(ctx context.Context) (string, error) {
	p := c.process("dockerd")
	if p.pid() == 0 {
		return "not started by this stack", nil
	}
	out, err := exec.CommandContext(ctx, "docker", "ps", "-q").Output()
	if err == nil && len(strings.Fields(string(out))) > 0 {
		return "left running: other containers use it", nil
	}
	if err := p.stop(ctx, 30*time.Second); err != nil {
		return "", err
	}
	os.Remove("/var/run/docker.pid")
	return "stopped", nil
}
