package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// buildBaseline builds the image of bench/baseline and returns its name. The
// container's Node is this machine's.
func buildBaseline(ctx context.Context, source string, out io.Writer) (string, error) {
	const image = "ipnoelp/bench-baseline"
	dir, err := os.MkdirTemp("", "bench-baseline-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(source, "bench", "baseline"))); err != nil {
		return "", err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return "", err
	}
	for _, step := range [][]string{
		{"npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"},
		{"cp", "-L", node, "node"},
		{"docker", "build", "-q", "-t", image, "."},
	} {
		cmd := exec.CommandContext(ctx, step[0], step[1:]...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w: %s", step, err, output)
		}
	}
	version, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "baseline: Node %s", version)
	return image, nil
}
