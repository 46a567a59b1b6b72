package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	if len(args) > 0 {
		return s.goTest(ctx, out, environ, "1", args)
	}
	groups, err := s.testGroups(ctx, out)
	if err != nil {
		return err
	}
	web := filepath.Join(s.cfg.SourceDir, "web")
	if err := s.cfg.npmInstall(ctx, "web", web); err != nil {
		return err
	}
	// What needs the stack for itself leaves the processors idle half of the time.
	var besideOut bytes.Buffer
	beside := make(chan error, 1)
	go func() {
		beside <- errors.Join(
			s.command(ctx, &besideOut, environ, web, "npm", "run", "lint"),
			s.command(ctx, &besideOut, environ, web, "npm", "test"),
			s.goTest(ctx, &besideOut, environ, "1", groups[besideStack]),
		)
	}()
	stackErr := s.goTest(ctx, out, environ, "1", groups[wholeStack])
	besideErr := <-beside
	_, _ = besideOut.WriteTo(out) // it is for people to read
	return errors.Join(stackErr, besideErr,
		s.goTest(ctx, out, environ, "2", groups[partOfStack]),
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

// goTest runs `go test` with arguments of its own, so many packages at once.
func (s *Stack) goTest(ctx context.Context, out io.Writer, environ []string, atOnce string, args []string) error {
	goArgs := append([]string{"test", "-tags", "integration", "-p", atOnce, "-timeout", "20m", "-count", "1"}, args...)
	return s.command(ctx, out, environ, s.cfg.SourceDir, "go", goArgs...)
}

// testGroup says with what the tests of a package get along.
type testGroup int

const (
	wholeStack  testGroup = iota // they break parts of the stack, or count what runs in it
	besideStack                  // they use a database of their own, or nothing at all
	partOfStack                  // they use a part of the stack as it is, or a browser, which
	// loses its connections when a container starts
)

// groupOf tells the group of a package by its folder.
func groupOf(pkg string) testGroup {
	top, _, _ := strings.Cut(pkg, "/")
	switch {
	case top == "internal", pkg == "cmd/provisioner":
		return wholeStack
	case top == "gateway", top == "docs", top == "provisioner", strings.HasPrefix(pkg, "slice/crm/"):
		return besideStack
	}
	return partOfStack
}

// testGroups returns the packages of each group.
func (s *Stack) testGroups(ctx context.Context, out io.Writer) (map[testGroup][]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-tags", "integration", "-f", "{{.Dir}}", "./...")
	list.Dir, list.Stderr = s.cfg.SourceDir, out
	dirs, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages to test: %w", err)
	}
	groups := make(map[testGroup][]string)
	for dir := range strings.Lines(string(dirs)) {
		pkg, err := filepath.Rel(s.cfg.SourceDir, strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		g := groupOf(pkg)
		groups[g] = append(groups[g], "./"+pkg)
	}
	return groups, nil
}
