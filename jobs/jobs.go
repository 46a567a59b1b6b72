// Package jobs embeds the Nomad jobs of the platform: the same files that
// `nomad job run` takes.
package jobs

import (
	"embed"
	"fmt"
)

//go:embed *.nomad.hcl
var files embed.FS

// Slice is the name of the job that the provisioner registers for each slice.
const Slice = "slice"

// Source returns the text of a job by its name, such as Slice.
func Source(name string) (string, error) {
	b, err := files.ReadFile(name + ".nomad.hcl")
	if err != nil {
		return "", fmt.Errorf("job %s: %w", name, err)
	}
	return string(b), nil
}
