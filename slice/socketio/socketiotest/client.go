// Package socketiotest runs npm's socket.io-client, which is what browsers run.
package socketiotest

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

//go:embed client
var files embed.FS

const patience = 10 * time.Second

// Line is what the client prints: what happened, and JSON about it.
type Line struct {
	What string
	Data json.RawMessage
}

// Client is a running client. It emits once to the server.
type Client struct {
	Lines <-chan Line // closed when it ends

	passed []Line // came while another kind was waited for
	t      testing.TB
}

// Install returns a folder in which clients can be started.
func Install(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.js"} {
		b, err := files.ReadFile("client/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("this test needs Node and npm, and socket.io-client from its registry: %v\n%s", err, out)
	}
	return dir
}

// Start connects a client to url with the transports, separated by commas, and
// extra headers. env is added to its environment. It ends with the test.
func Start(t testing.TB, dir, url, transports string, header map[string]string, env ...string) *Client {
	t.Helper()
	extra, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "client.js", url, transports, string(extra))
	cmd.Dir, cmd.Stderr, cmd.Env = dir, os.Stderr, append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Node: %v", err)
	}
	lines := make(chan Line, 100)
	go func() { // ends with the program
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l Line
			if json.Unmarshal(s.Bytes(), &l) == nil {
				lines <- l
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		time.AfterFunc(patience, cancel)
		cmd.Wait()
		cancel()
	})
	if _, err := io.WriteString(in, "emit\n"); err != nil {
		t.Fatal(err)
	}
	return &Client{Lines: lines, t: t}
}

// Wait returns the data of the next line of that kind. Lines of other kinds are
// left for those who wait for them: what happens at once comes in any order.
func (c *Client) Wait(what string) string {
	c.t.Helper()
	for i, l := range c.passed {
		if l.What == what {
			c.passed = slices.Delete(c.passed, i, i+1)
			return string(l.Data)
		}
	}
	timeout := time.After(patience)
	for {
		select {
		case l, ok := <-c.Lines:
			if !ok {
				c.t.Fatalf("the client ended before %s, after %v", what, c.passed)
			}
			if l.What == what {
				return string(l.Data)
			}
			c.passed = append(c.passed, l)
		case <-timeout:
			c.t.Fatalf("no %s, but %v", what, c.passed)
		}
	}
}

func (l Line) String() string { return fmt.Sprintf("%s %.200s", l.What, l.Data) }
