package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const profileVariable = "BENCH_PROFILE"

// profileSource lets the gateway write a CPU profile between two signals. It
// is no part of the program that is shipped.
const profileSource = `package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

func init() {
	if os.Getenv("` + profileVariable + `") == "" || len(os.Args) > 1 {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR2 {
				pprof.StopCPUProfile()
				os.Rename(os.Getenv("` + profileVariable + `")+".part", os.Getenv("` + profileVariable + `"))
			} else if f, err := os.Create(os.Getenv("` + profileVariable + `")+".part"); err == nil {
				pprof.StartCPUProfile(f)
			}
		}
	}()
}
`

// cheapParams are the lowest that argon2id takes.
var cheapParams = []struct{ field, shipped, cheap string }{
	{"Memory", "12 * 1024", "8"},
	{"Iterations", "3", "1"},
}

// overlaid returns the file that adds profileSource to a build of the gateway
// and, if asked, makes its password hash cheap.
func overlaid(sourceDir, dir string, cheapHash bool) (overlay string, err error) {
	replace := make(map[string]string)
	add := func(file, text string) error {
		source := filepath.Join(dir, strings.ReplaceAll(file, string(filepath.Separator), "-")+".txt")
		replace[filepath.Join(sourceDir, file)] = source
		return os.WriteFile(source, []byte(text), 0o600)
	}
	if err := add(filepath.Join("cmd", "gateway", "profile_overlay.go"), profileSource); err != nil {
		return "", err
	}
	if cheapHash {
		file := filepath.Join("gateway", "password", "hash.go")
		text, err := os.ReadFile(filepath.Join(sourceDir, file))
		if err != nil {
			return "", err
		}
		for _, p := range cheapParams {
			line := regexp.MustCompile(p.field + `:(\s+)` + regexp.QuoteMeta(p.shipped) + `,`)
			if len(line.FindAll(text, -1)) != 1 {
				return "", fmt.Errorf("%s does not set %s to %s: the benchmark cannot make the hash cheap", file, p.field, p.shipped)
			}
			text = line.ReplaceAll(text, []byte(p.field+":${1}"+p.cheap+","))
		}
		if err := add(file, string(text)); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, fmt.Sprintf("overlay-cheap-%t.json", cheapHash))
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// writeProfile lets the gateway be profiled while load runs, into the file that
// PROFILE names.
func writeProfile(ctx context.Context, gateway *program, dir string, out io.Writer, load func() error) error {
	file := os.Getenv("PROFILE")
	if file == "" {
		return nil
	}
	if err := gateway.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	if err := load(); err != nil {
		return err
	}
	if err := gateway.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	var profile []byte
	err := gateway.until(ctx, func() (err error) {
		profile, err = os.ReadFile(filepath.Join(dir, "gateway.pprof"))
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: a CPU profile of the gateway, %s; see it with go tool pprof -top\n", file, time.Now().Format(time.DateTime))
	return os.WriteFile(file, profile, 0o600)
}
