//go:build integration

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What the runbook says to type works, whether or not the programs are on PATH.
func TestCommandLinesReachTheStack(t *testing.T) {
	b := setup(t)
	exports, err := b.ShellExports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	script := strings.Join(exports, "\n") + `
set -e
nomad job status gateway
nomad job status -namespace=slices
consul catalog services
`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"slice-", "provisioner", "whatsappsim"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}
