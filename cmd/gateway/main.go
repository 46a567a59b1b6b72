// Command gateway authenticates users and sends their requests to their
// slices. It is configured by environment variables; see Config. With the
// argument hash-passwords it is the worker that it starts for itself.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"ipnoelp.io/platform/gateway/password"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// gcPercent trades memory for time: what lives long is small here, and most of
// what a request makes is gone with it. GOGC and GOMEMLIMIT have the last word.
const gcPercent = 400

const hashPasswords = "hash-passwords"

func run() error {
	if len(os.Args) == 2 && os.Args[1] == hashPasswords {
		return password.Work(os.Stdin, os.Stdout)
	}
	cfg, err := ParseConfig()
	if err != nil {
		return err
	}
	events := newLog(os.Stdout, cfg.LogLevel)
	defer events.Close()
	log := slog.New(events)
	slog.SetDefault(log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	program, err := os.Executable()
	if err != nil {
		return err
	}
	app, err := Build(cfg, []string{program, hashPasswords}, log)
	if err != nil {
		return err
	}
	defer app.Close()
	return app.Run(ctx)
}
