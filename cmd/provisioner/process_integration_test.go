//go:build integration

package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

type imageRefs struct{ healthy, broken string }

// images builds the test's slice images, from nothing: no registry is needed.
func images(t *testing.T) imageRefs {
	t.Helper()
	refs, err := buildImages()
	if err != nil {
		t.Fatalf("build the test's slice images: %v", err)
	}
	return refs
}

var buildImages = sync.OnceValues(func() (imageRefs, error) {
	refs := imageRefs{"provisioner-test-slice:healthy", "provisioner-test-slice:broken"}
	dir, err := os.MkdirTemp("", "slice-image-")
	if err != nil {
		return refs, err
	}
	defer os.RemoveAll(dir)
	if err := command("go", "build", "-o", filepath.Join(dir, "slice"), "./testdata/slice"); err != nil {
		return refs, err
	}
	for ref, cmd := range map[string]string{refs.healthy: `["/slice"]`, refs.broken: `["/slice", "broken"]`} {
		file := filepath.Join(dir, "Dockerfile")
		if err := os.WriteFile(file, []byte("FROM scratch\nCOPY slice /slice\nUSER 10001:10001\nCMD "+cmd+"\n"), 0o600); err != nil {
			return refs, err
		}
		if err := command("docker", "build", "-q", "-t", ref, "-f", file, dir); err != nil {
			return refs, err
		}
	}
	return refs, nil
})

var buildProgram = sync.OnceValues(func() (string, error) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("provisioner-test-%d", os.Getpid()))
	return file, command("go", "build", "-o", file, ".")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if file, err := buildProgram(); err == nil {
		os.Remove(file)
	}
	os.Exit(code)
}

func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// process is one running provisioner.
type process struct {
	cmd  *exec.Cmd
	addr chan string
	done chan error
}

// start runs the program; extra variables come after the bench's.
func (b *bench) start(t *testing.T, extra ...string) *process {
	t.Helper()
	file, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(file), addr: make(chan string, 1), done: make(chan error, 1)}
	p.cmd.Env = append(slices.Clone(b.env), extra...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := t.Output()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			fmt.Fprintln(log, line)
			if _, rest, ok := strings.Cut(line, `"listening","addr":"`); ok {
				addr, _, _ := strings.Cut(rest, `"`)
				p.addr <- addr
			}
		}
		p.done <- p.cmd.Wait()
	}()
	t.Cleanup(func() { p.kill(t) })
	return p
}

// kill ends it as a power cut would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.cmd.Process.Kill() // it may have ended
	p.wait(t)
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.wait(t); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err // for whoever asks again
		return err
	case <-time.After(patience):
		t.Fatal("the program does not end")
		return nil
	}
}

func (p *process) killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	addr := <-p.addr
	p.addr <- addr
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
