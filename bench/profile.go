package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// profiled returns the file that adds profileSource to a build of the gateway.
func profiled(sourceDir, dir string) (overlay string, err error) {
	source := filepath.Join(dir, "profile.go.txt")
	if err := os.WriteFile(source, []byte(profileSource), 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(sourceDir, "cmd", "gateway", "profile_overlay.go"): source}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
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
