// Command provisioner keeps slices warm. Several instances may run; a lock in
// Consul makes one of them act. It is configured by environment variables; see
// Config. "provisioner -fault-points" lists the points at which FAULT_POINT
// can make it end itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	faultPoints := flag.Bool("fault-points", false, "list the values of FAULT_POINT and exit")
	flag.Parse()
	if *faultPoints {
		for _, s := range faultSteps() {
			fmt.Println(s)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "provisioner:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg, err := ParseConfig()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: cfg.LogLevel}))
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	app, err := Build(cfg, log)
	if err != nil {
		return err
	}
	defer app.Close()
	return app.Run(ctx)
}
