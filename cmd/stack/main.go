// Stack runs the platform on this machine.
//
//	stack up        start everything that is not running, and print where it is
//	stack status    show each part and its health
//	stack down      stop everything, keep the data
//	stack destroy   stop everything, remove the data
//	stack env       print shell exports for the nomad and consul command lines
//	stack migrate   prepare a PostgreSQL server: roles, database, schema
//	stack seccomp   print the seccomp profile that slices run under
//	stack test      start a stack of its own, run the tests against it, remove it
//
// It is configured by the environment; see the README.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"ipnoelp.io/platform/internal/stack"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/slice/seccomp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "\nstack: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want one of: up, status, down, destroy, env, migrate, seccomp, test")
	}
	command, args := args[0], args[1:]
	switch command {
	case "test":
		return stack.RunTests(ctx, args, os.Stdout)
	case "migrate":
		return migrate(ctx, args)
	case "seccomp":
		profile, err := seccomp.Profile()
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(profile)
		return err
	}
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments", command)
	}
	cfg, err := stack.ConfigFromEnv()
	if err != nil {
		return err
	}
	switch command {
	case "up":
		s, err := stack.Up(ctx, cfg, os.Stdout)
		if err != nil {
			return err
		}
		s.WriteSummary(os.Stdout)
		return nil
	case "status":
		parts, err := stack.Status(ctx, cfg)
		if err != nil {
			return err
		}
		if !stack.WriteStatus(os.Stdout, parts) {
			return errors.New("not everything is healthy; `make up` starts what is not running")
		}
		return nil
	case "down":
		return stack.Down(ctx, cfg, os.Stdout)
	case "destroy":
		return stack.Destroy(ctx, cfg, os.Stdout)
	case "env":
		s, err := stack.Open(cfg)
		if err != nil {
			return err
		}
		lines, err := s.ShellExports(ctx)
		if err != nil {
			return err
		}
		fmt.Println(strings.Join(lines, "\n"))
		return nil
	}
	return fmt.Errorf("%q: want one of: up, status, down, destroy, env, migrate, seccomp, test", command)
}

// migrate prepares a server that `make up` does not run. The passwords come
// from the environment, where no process list shows them.
func migrate(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("migrate", flag.ContinueOnError)
	url := f.String("database-url", os.Getenv("DATABASE_URL"), "superuser's URL of the server")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *url == "" {
		return errors.New("migrate: -database-url or DATABASE_URL is required")
	}
	return postgres.Prepare(ctx, *url, postgres.PrepareOptions{
		GatewayPassword:     os.Getenv("GATEWAY_PASSWORD"),
		ProvisionerPassword: os.Getenv("PROVISIONER_PASSWORD"),
	})
}
