package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// RunTests starts the test stack, runs every test against it, and removes it
// again, whatever the tests say. With arguments it runs `go test` on those
// instead of everything, and with "-keep" first it leaves the stack running
// for the next run.
func RunTests(ctx context.Context, args []string, out io.Writer) error {
	keep := len(args) > 0 && args[0] == "-keep"
	if keep {
		args = args[1:]
	}
	cfg := Test()
	if err := cfg.Validate(); err != nil {
		return err
	}
	p := newProgress(out)
	if !keep {
		// What an earlier run left would make this one's result depend on it.
		if err := Destroy(ctx, cfg, io.Discard); err != nil {
			return err
		}
	}
	s, err := Up(ctx, cfg, out)
	if !keep {
		defer func() {
			// The context may be over: what runs must end all the same.
			cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
			defer cancel()
			if err := Destroy(cleaning, cfg, out); err != nil {
				fmt.Fprintf(out, "removing the test stack: %v\n", err)
			}
		}()
	}
	if err != nil {
		return err
	}
	if err := p.step(ctx, "test tools", func(ctx context.Context) (string, error) { return cfg.installPackages(ctx, testNeeds) }); err != nil {
		return err
	}
	return s.test(ctx, args, out)
}

// test runs the Go tests and the browser tests with what they need to find the
// stack.
func (s *Stack) test(ctx context.Context, args []string, out io.Writer) error {
	waJS, err := s.cfg.fetchWAJS(ctx)
	if err != nil {
		return err
	}
	environ := append(os.Environ(), s.Environ()...)
	environ = append(environ,
		"TEST_DATABASE_URL="+s.DatabaseURL("postgres"),
		"TEST_STACK="+s.cfg.Name,
		"WA_JS_BUNDLE="+waJS,
		"APP_URL="+s.cfg.AppURL(),
		"SIM_URL="+s.SimURL(),
	)
	all := len(args) == 0
	if all {
		args = []string{"./..."}
	}
	// One package at a time: they share the stack's machine.
	goArgs := append([]string{"test", "-tags", "integration", "-p", "1", "-timeout", "20m", "-count", "1"}, args...)
	goErr := s.command(ctx, out, environ, s.cfg.SourceDir, "go", goArgs...)
	if !all {
		return goErr
	}
	web := filepath.Join(s.cfg.SourceDir, "web")
	return errors.Join(goErr,
		s.cfg.npmInstall(ctx, "web", web),
		s.command(ctx, out, environ, web, "npm", "run", "lint"),
		s.command(ctx, out, environ, web, "npm", "test"),
		s.command(ctx, out, environ, web, "npm", "run", "e2e"),
	)
}

func (s *Stack) command(ctx context.Context, out io.Writer, environ []string, dir, name string, args ...string) error {
	fmt.Fprintf(out, "\n# %s %v\n", name, args)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environ, out, out
	killGroup(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w", name, args, err)
	}
	return nil
}
