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
	if p, err := exec.LookPath(t.name); err == nil {
		if out, err := exec.CommandContext(ctx, p, "version").Output(); err == nil {
			if m := versionPattern.FindStringSubmatch(string(out)); m != nil && t.newEnough(m) {
				return p, m[0] + " from PATH", nil
			}
		}
	}
	dir := filepath.Join(c.SourceDir, "tools", t.name)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", "", err
	}
	m := regexp.MustCompile(regexp.QuoteMeta(t.module) + ` (v[0-9][^\s]*)`).FindSubmatch(mod)
	if m == nil {
		return "", "", fmt.Errorf("%s/go.mod does not pin %s", dir, t.module)
	}
	version := string(m[1])
	built := filepath.Join(c.CacheDir, "tools", t.name+"-"+version)
	path = filepath.Join(built, t.name)
	if _, err := os.Stat(path); err == nil {
		return path, version + " built before", nil
	}
	part := filepath.Join(built, t.name+".part")
	args := append([]string{"build", "-o", part}, append(t.buildFlags, t.module+t.pkg)...)
	if err := c.run(ctx, "build-"+t.name, dir, []string{"GOFLAGS=-mod=readonly -buildvcs=false"}, "go", args...); err != nil {
		return "", "", err
	}
	return path, version + " built", os.Rename(part, path)
}

func (t tool) newEnough(version []string) bool {
	major, _ := strconv.Atoi(version[1])
	minor, _ := strconv.Atoi(version[2])
	return major > t.minMajor || major == t.minMajor && minor >= t.minMinor
}
