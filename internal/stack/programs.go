package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// caddyTool is a proxy that the gateway is compared with.
var caddyTool = tool{name: "caddy", module: "github.com/caddyserver/caddy/v2", pkg: "/cmd/caddy", minMajor: 2, minMinor: 11}

// programNeeds is what Programs takes from Debian's packages.
var programNeeds = []need{
	{postgresPrograms + "/postgres", "postgresql-15"},
	{"nginx", "nginx-light"},
}

const postgresPrograms = "/usr/lib/postgresql/15/bin"

// Programs are those that benchmarks of the gateway run on this machine
// themselves, without a stack: no Nomad, no containers.
type Programs struct {
	Consul      string
	Caddy       string
	Nginx       string
	PostgresDir string // folder of PostgreSQL's programs
	PeersDir    string // copy of bench/peers with what its lock file names
	SourceDir   string // the checkout
	Dir         string // for what a run keeps; others than root may pass through

	cfg    Config
	unlock func()
}

// OpenPrograms finds, installs or builds them and ends what an earlier run
// left behind. Close when done.
func OpenPrograms(ctx context.Context, name string, out io.Writer) (_ *Programs, err error) {
	cfg := Bench()
	cfg.Name = name
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Programs{cfg: cfg, SourceDir: cfg.SourceDir, Dir: cfg.path("work"), PostgresDir: postgresPrograms, Nginx: "nginx"}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	tool := func(t tool, path *string) func(context.Context) (string, error) {
		return func(ctx context.Context) (note string, err error) {
			*path, note, err = cfg.ensureTool(ctx, t)
			return note, err
		}
	}
	progress := newProgress(out)
	for _, step := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"toolchain", cfg.checkToolchain},
		{"one run at a time", p.begin},
		{"Debian packages", func(ctx context.Context) (string, error) { return cfg.installPackages(ctx, programNeeds) }},
		{"Consul program", tool(consulTool, &p.Consul)},
		{"Caddy program", tool(caddyTool, &p.Caddy)},
		{"proxies of bench/peers", p.installPeers},
	} {
		if err := progress.step(ctx, step.name, step.run); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// begin takes the state folder for this run.
func (p *Programs) begin(ctx context.Context) (note string, err error) {
	if p.unlock, err = p.cfg.lock(); err != nil {
		return "", err
	}
	if note, err = p.cfg.killMarked(ctx); err != nil {
		return "", err
	}
	if err := os.RemoveAll(p.Dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(p.Dir, 0o711); err != nil {
		return "", err
	}
	return note + " of an earlier run", os.Chmod(p.Dir, 0o711)
}

func (p *Programs) installPeers(ctx context.Context) (string, error) {
	p.PeersDir = filepath.Join(p.Dir, "peers")
	if err := copyTree(filepath.Join(p.SourceDir, "bench", "peers"), p.PeersDir); err != nil {
		return "", err
	}
	return "", p.cfg.npmInstall(ctx, "peers", p.PeersDir)
}

// Environ is what a program that a benchmark starts needs of this one's
// environment. By it the next run finds those that were left behind.
func (p *Programs) Environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir, p.cfg.mark()}
}

// Close ends what is left of the programs that were started with Environ, and
// removes their data.
func (p *Programs) Close() {
	if p.unlock == nil {
		return // another run's
	}
	if _, err := p.cfg.killMarked(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "ending what is left of the run: %v\n", err)
	}
	os.RemoveAll(p.cfg.StateDir)
	p.unlock()
	p.unlock = nil
}
