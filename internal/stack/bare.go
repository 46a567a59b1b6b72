package stack

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// BareSlice is a slice's image run by `docker run` alone, to compare with: the
// same options and environment as Nomad gives it, no scheduler, no catalog.
type BareSlice struct {
	args []string
	name string
}

// BareSlice uses the database of a slice that there is.
func (s *Stack) BareSlice(ctx context.Context, number int) (*BareSlice, error) {
	v, _, err := s.nomad.Variables().Read("nomad/jobs/"+platform.SliceName(number), (&nomad.QueryOptions{Namespace: platform.SliceNamespace}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	b := &BareSlice{name: s.cfg.nodeName() + "-bare"}
	b.args = []string{"run", "-d", "--name", b.name, "-p", "127.0.0.1::8080", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--security-opt", "seccomp=" + s.seccompFile(),
		"--tmpfs", "/tmp", "--tmpfs", "/profile:uid=10001,mode=0700", "-e", "PROFILE_DIR=/profile/chromium",
		"-e", "SLICE_NUMBER=" + fmt.Sprint(number), "-e", "SLICE_TOKEN=" + v.Items["token"],
		"-e", "DATABASE_URL=" + v.Items["database_url"], "-e", "WHATSAPP_URL=" + s.whatsappURL(), s.images.slice}
	return b, nil
}

// Run starts the container, waits until its health check answers, removes it,
// and returns how long it took to become healthy.
func (b *BareSlice) Run(ctx context.Context) (time.Duration, error) {
	if err := removeContainers(ctx, []string{b.name}); err != nil { // one that was cut off
		return 0, err
	}
	begun := time.Now()
	if _, err := exec.CommandContext(ctx, "docker", b.args...).Output(); err != nil {
		return 0, fmt.Errorf("docker run: %w", commandError(err))
	}
	defer removeContainers(context.WithoutCancel(ctx), []string{b.name}) //nolint:errcheck // the next run removes it too
	out, err := exec.CommandContext(ctx, "docker", "port", b.name, "8080/tcp").Output()
	if err != nil {
		return 0, fmt.Errorf("docker port: %w", commandError(err))
	}
	url := "http://" + strings.TrimSpace(string(out)) + "/healthz"
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = poll(waiting, 10*time.Millisecond, func() error {
		res, err := http.Get(url)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("health check: status %d", res.StatusCode)
		}
		return nil
	})
	return time.Since(begun), err
}
