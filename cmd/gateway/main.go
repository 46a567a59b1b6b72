// Command gateway authenticates users and sends their requests to their
// slices. It is configured by environment variables; see Config.
//
// With the argument hash-passwords it hashes passwords for gateways instead: on
// the Unix socket that is the second argument, or on its standard input and
// output for the gateway that started it.
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
	if len(os.Args) > 1 {
		return hash(os.Args[1:])
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
	hashWorker := password.Socket(cfg.HashSocket)
	if cfg.HashSocket == "" {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		hashWorker = password.Program(program, hashPasswords)
	}
	app, err := Build(cfg, hashWorker, log)
	if err != nil {
		return err
	}
	defer app.Close()
	return app.Run(ctx)
}

func hash(args []string) error {
	if args[0] != hashPasswords || len(args) > 2 {
		return fmt.Errorf("usage: gateway [%s [socket]]", hashPasswords)
	}
	if len(args) == 1 {
		return password.Work(os.Stdin, os.Stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return password.Serve(ctx, args[1], slog.New(slog.NewJSONHandler(os.Stdout, nil)))
}
