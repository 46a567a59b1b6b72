package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// need is a program from Debian's packages.
type need struct{ program, pkg string }

// runNeeds is what running the stack takes.
var runNeeds = []need{
	{"dockerd", "docker.io"},
	{"docker", "docker.io"},
	{"iptables", "iptables"},
}

// testNeeds is what the tests take besides.
var testNeeds = []need{
	{"chromium", "chromium"},
	{"chromium-headless-shell", "chromium-headless-shell"},
}

// installPackages installs what is missing from Debian's packages.
func (c *Config) installPackages(ctx context.Context, needs []need) (string, error) {
	var missing []string
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil {
			missing = append(missing, n.pkg)
		}
	}
	if missing == nil {
		return "all there", nil
	}
	return "installed " + strings.Join(missing, ", "), c.aptInstall(ctx, missing...)
}

func (c *Config) aptInstall(ctx context.Context, packages ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return advise(errors.New("no apt-get on this machine"), "", "install "+strings.Join(packages, ", ")+" by hand and run the command again")
	}
	environ := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := c.run(ctx, "apt-update", "/", environ, "apt-get", "update"); err != nil {
		return err
	}
	// Services are started by this program, not by the package.
	args := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	return c.run(ctx, "apt-install", "/", append(environ, "RUNLEVEL=1"), "apt-get", args...)
}

// checkToolchain says early and clearly which of the tools that a checkout is
// built with is missing.
func (c *Config) checkToolchain(ctx context.Context) (string, error) {
	if os.Geteuid() != 0 {
		return "", advise(errors.New("this needs root"), "", "run it with sudo")
	}
	var versions []string
	for _, tool := range [][]string{{"go", "version"}, {"node", "--version"}, {"npm", "--version"}, {"git", "--version"}} {
		out, err := exec.CommandContext(ctx, tool[0], tool[1:]...).Output()
		if err != nil {
			return "", advise(fmt.Errorf("%s: %w", tool[0], err), "", "install Go 1.26, Node 20 or newer, npm and git, and put them on the PATH (sudo may have another PATH)")
		}
		if tool[0] != "git" {
			versions = append(versions, tool[0]+" "+strings.TrimPrefix(strings.TrimSpace(string(out)), "go version "))
		}
	}
	for _, dir := range []string{"", "run", "log", "bin", "consul", "nomad", "postgres", "whatsappsim"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Join(c.CacheDir, "tools"), 0o755); err != nil {
		return "", err
	}
	// Programs in containers run as users of their own; what lies below is
	// protected one by one.
	for _, dir := range []string{filepath.Dir(c.StateDir), c.StateDir, c.path("nomad")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", err
		}
	}
	return strings.Join(versions, ", "), os.Chown(c.path("whatsappsim"), programUID, programUID)
}

// programUID is the user that the platform's own programs run as in their
// containers; see images/.
const programUID = 10001
