package stack

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// BareSlice is a slice's image run by `docker run` alone, to measure and to
// compare with: the same options and environment as Nomad gives it, no
// scheduler, no catalog. It uses the database of a slice that there is.
type BareSlice struct {
	Number      int
	Image       string
	DatabaseURL string // with the slice's password
	WhatsAppURL string
	token       string
	name        string
	seccomp     string
}

// BareContainer is one that runs.
type BareContainer struct {
	ID    string
	URL   string // where it listens
	Begun time.Time
	slice *BareSlice
}

// BareSlice uses the database of a slice that there is.
func (s *Stack) BareSlice(ctx context.Context, number int) (*BareSlice, error) {
	v, _, err := s.nomad.Variables().Read("nomad/jobs/"+platform.SliceName(number), (&nomad.QueryOptions{Namespace: platform.SliceNamespace}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return &BareSlice{
		Number: number, Image: s.images.slice, DatabaseURL: v.Items["database_url"], WhatsAppURL: s.whatsappURL(),
		token: v.Items["token"], name: s.cfg.nodeName() + "-bare", seccomp: s.seccompFile(),
	}, nil
}

// Confinement is what a slice's container is confined by, for another image.
func (b *BareSlice) Confinement() []string {
	return []string{"--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--security-opt", "seccomp=" + b.seccomp,
		"--tmpfs", "/tmp", "--tmpfs", "/profile:uid=10001,mode=0700"}
}

// Header is what a request to the slice must carry.
func (b *BareSlice) Header() http.Header {
	return http.Header{platform.HeaderSliceNumber: {strconv.Itoa(b.Number)}, platform.HeaderSliceToken: {b.token}}
}

// Start starts the container; one that was cut off is removed first.
func (b *BareSlice) Start(ctx context.Context) (*BareContainer, error) {
	return b.start(ctx, b.Image, "-e", "PROFILE_DIR=/profile/chromium",
		"-e", "SLICE_NUMBER="+strconv.Itoa(b.Number), "-e", "SLICE_TOKEN="+b.token,
		"-e", "DATABASE_URL="+b.DatabaseURL, "-e", "WHATSAPP_URL="+b.WhatsAppURL)
}

// StartOther starts another image with the same confinement, database and page.
func (b *BareSlice) StartOther(ctx context.Context, image string) (*BareContainer, error) {
	return b.start(ctx, image, "-e", "DATABASE_URL="+b.DatabaseURL, "-e", "WHATSAPP_URL="+b.WhatsAppURL)
}

func (b *BareSlice) start(ctx context.Context, image string, options ...string) (*BareContainer, error) {
	if err := removeContainers(ctx, []string{b.name}); err != nil {
		return nil, err
	}
	args := append([]string{"run", "-d", "--name", b.name, "-p", "127.0.0.1::8080"}, b.Confinement()...)
	args = append(append(args, options...), image)
	begun := time.Now()
	id, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("docker run: %w", commandError(err))
	}
	c := &BareContainer{ID: strings.TrimSpace(string(id)), Begun: begun, slice: b}
	out, err := exec.CommandContext(ctx, "docker", "port", b.name, "8080/tcp").Output()
	if err != nil {
		c.Stop(ctx)
		return nil, fmt.Errorf("docker port: %w", commandError(err))
	}
	c.URL = "http://" + strings.TrimSpace(string(out))
	return c, nil
}

// Stop removes the container.
func (c *BareContainer) Stop(ctx context.Context) {
	removeContainers(context.WithoutCancel(ctx), []string{c.slice.name}) //nolint:errcheck // the next start removes it too
}

// WaitHealthy returns how long it took from the start until the health check
// answered.
func (c *BareContainer) WaitHealthy(ctx context.Context) (time.Duration, error) {
	return c.Wait(ctx, func() error {
		res, err := http.Get(c.URL + "/healthz")
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("health check: status %d", res.StatusCode)
		}
		return nil
	})
}

// Wait asks every 10 ms, a minute at most, and returns how long it took from the
// start until f returned nil.
func (c *BareContainer) Wait(ctx context.Context, f func() error) (time.Duration, error) {
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(waiting, 10*time.Millisecond, f)
	if err != nil {
		err = fmt.Errorf("%w; the container's log ends:\n%s", err, c.log(ctx))
	}
	return time.Since(c.Begun), err
}

// log is the end of what the container wrote.
func (c *BareContainer) log(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "docker", "logs", "--tail", "20", c.ID).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}
