package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"text/tabwriter"
	"time"

	"ipnoelp.io/platform/internal/stack"
	"ipnoelp.io/platform/slice/whatsapp"
)

const startRounds = 11

type sliceStartResult struct {
	P50         float64 `json:"p50_ms"`
	ChromiumP50 float64 `json:"chromium_p50_ms"`
	Ratio       float64 `json:"ratio"`
	N           int     `json:"n"`
}

// sliceStart takes turns: a container of the slice from `docker run` until its
// API shows a QR code, and the same image's Chromium alone, confined in the same
// way, from `docker run` until the same page is loaded.
func sliceStart(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	bare, err := f.quietSlice(ctx)
	if err != nil {
		return nil, err
	}
	var ours, theirs []time.Duration
	for round := range startRounds {
		if err := waitQuiet(ctx, out); err != nil {
			return nil, err
		}
		took, err := untilQR(ctx, bare)
		if err != nil {
			return nil, fmt.Errorf("slice %d: %w", round+1, err)
		}
		ours = append(ours, took)
		if took, err = chromiumUntilLoaded(ctx, bare); err != nil {
			return nil, fmt.Errorf("chromium %d: %w", round+1, err)
		}
		theirs = append(theirs, took)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "from docker run\tp50 ms\tmin ms\tmax ms\t")
	fmt.Fprintf(w, "slice, to the QR code\t%.0f\t%.0f\t%.0f\t\n", ms(percentile(ours, 50)), ms(percentile(ours, 0)), ms(percentile(ours, 100)))
	fmt.Fprintf(w, "Chromium alone, to the page loaded\t%.0f\t%.0f\t%.0f\t\n", ms(percentile(theirs, 50)), ms(percentile(theirs, 0)), ms(percentile(theirs, 100)))
	w.Flush()
	o, t := percentile(ours, 50), percentile(theirs, 50)
	return sliceStartResult{ms(o), ms(t), float64(o*1000/t) / 1000, len(ours)}, nil
}

func untilQR(ctx context.Context, bare *stack.BareSlice) (time.Duration, error) {
	c, err := bare.Start(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Stop(ctx)
	return c.Wait(ctx, func() error {
		_, err := qrOf(ctx, bare, c)
		return err
	})
}

// qrOf returns what a slice's QR code says, or an error while it shows none.
func qrOf(ctx context.Context, bare *stack.BareSlice, c *stack.BareContainer) (string, error) {
	s, err := statusOf(ctx, bare, c)
	if err == nil && s.QR == nil {
		err = fmt.Errorf("no QR code: the state is %s", s.State)
	}
	if err != nil {
		return "", err
	}
	return s.QR.Text, nil
}

func statusOf(ctx context.Context, bare *stack.BareSlice, c *stack.BareContainer) (s whatsapp.Status, err error) {
	err = getJSON(ctx, c.URL+"/api/whatsapp", bare.Header(), &s)
	return s, err
}

func getJSON(ctx context.Context, url string, header http.Header, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(v)
}

// chromiumUntilLoaded has Chromium print the page's document, which it does once
// the page is loaded.
func chromiumUntilLoaded(ctx context.Context, bare *stack.BareSlice) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	args := append([]string{"run", "--rm"}, bare.Confinement()...)
	args = append(args, "--entrypoint", "/usr/lib/chromium/chromium-headless-shell", bare.Image,
		"--user-data-dir=/profile/chromium", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-dev-shm-usage", "--dump-dom", bare.WhatsAppURL)
	cmd := exec.CommandContext(ctx, "docker", args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	document := bufio.NewReader(stdout)
	_, err = document.ReadByte()
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("no document: %w", err)
	}
	if _, err := io.Copy(io.Discard, document); err != nil {
		return 0, err
	}
	return took, cmd.Wait()
}
