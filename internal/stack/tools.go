package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// tool is a program that no Debian package holds: taken from PATH when new
// enough, built from a pinned Go module otherwise.
type tool struct {
	name       string
	module     string
	pkg        string // the program's folder in the module, where it is not the module itself
	minMajor   int
	minMinor   int
	buildFlags []string
}

var (
	nomadTool  = tool{name: "nomad", module: "github.com/hashicorp/nomad", minMajor: 1, minMinor: 10, buildFlags: []string{"-tags", "ui"}}
	consulTool = tool{name: "consul", module: "github.com/hashicorp/consul", minMajor: 1, minMinor: 20}
)

var versionPattern = regexp.MustCompile(`v(\d+)\.(\d+)\.(\d+)`)

// ensureTool returns the program's path and how it was come by. Builds are
// kept by version, so that every checkout on the machine shares them.
func (c *Config) ensureTool(ctx context.Context, t tool) (path, note string, err error) {
	if p, version, ok := t.onPath(ctx); ok {
		return p, version + " from PATH", nil
	}
	path, version, err := c.builtTool(t)
	if err != nil {
		return "", "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, version + " built before", nil
	}
	part := path + ".part"
	dir := filepath.Join(c.SourceDir, "tools", t.name)
	args := append([]string{"build", "-o", part}, append(t.buildFlags, t.module+t.pkg)...)
	if err := c.run(ctx, "build-"+t.name, dir, []string{"GOFLAGS=-mod=readonly -buildvcs=false"}, "go", args...); err != nil {
		return "", "", err
	}
	return path, version + " built", os.Rename(part, path)
}

// onPath returns the program that PATH has, if that is new enough.
func (t tool) onPath(ctx context.Context) (path, version string, ok bool) {
	path, err := exec.LookPath(t.name)
	if err != nil {
		return "", "", false
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", "", false
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil || !t.newEnough(m) {
		return "", "", false
	}
	return path, m[0], true
}

// builtTool is where the program of the pinned version is once it is built.
func (c *Config) builtTool(t tool) (path, version string, err error) {
	mod, err := os.ReadFile(filepath.Join(c.SourceDir, "tools", t.name, "go.mod"))
	if err != nil {
		return "", "", err
	}
	m := regexp.MustCompile(regexp.QuoteMeta(t.module) + ` (v[0-9][^\s]*)`).FindSubmatch(mod)
	if m == nil {
		return "", "", fmt.Errorf("tools/%s/go.mod does not pin %s", t.name, t.module)
	}
	version = string(m[1])
	return filepath.Join(c.CacheDir, "tools", t.name+"-"+version, t.name), version, nil
}

func (t tool) newEnough(version []string) bool {
	major, _ := strconv.Atoi(version[1])
	minor, _ := strconv.Atoi(version[2])
	return major > t.minMajor || major == t.minMajor && minor >= t.minMinor
}
