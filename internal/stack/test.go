package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	goErr := s.goTest(ctx, out, environ, args)
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

// goTest tests the packages that need the stack for themselves one after the
// other, and then two at a time those that only use a part of it. What goes
// to `go test` besides packages, flags and their values, keeps all to one run.
func (s *Stack) goTest(ctx context.Context, out io.Writer, environ, args []string) error {
	run := func(atOnce string, what []string) error {
		goArgs := append([]string{"test", "-tags", "integration", "-p", atOnce, "-timeout", "20m", "-count", "1"}, what...)
		return s.command(ctx, out, environ, s.cfg.SourceDir, "go", goArgs...)
	}
	if slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "./") }) {
		return run("1", args)
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-tags", "integration", "-f", "{{.Dir}}"}, args...)...)
	list.Dir, list.Stderr = s.cfg.SourceDir, out
	dirs, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the packages to test: %w", err)
	}
	var whole, alone []string
	for dir := range strings.Lines(string(dirs)) {
		pkg, err := filepath.Rel(s.cfg.SourceDir, strings.TrimSpace(dir))
		if err != nil {
			return err
		}
		if usesStack(pkg) {
			whole = append(whole, "./"+pkg)
		} else {
			alone = append(alone, "./"+pkg)
		}
	}
	var errs []error
	if len(whole) > 0 {
		errs = append(errs, run("1", whole))
	}
	if len(alone) > 0 {
		errs = append(errs, run("2", alone))
	}
	return errors.Join(errs...)
}

// usesStack reports whether the tests of a package (by its folder) need the whole
// stack for themselves: they break parts of it, or count what runs in it.
func usesStack(pkg string) bool {
	top, _, _ := strings.Cut(pkg, "/")
	return top == "internal" || pkg == "cmd/provisioner"
}
