package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/internal/stack"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/whatsappsim"
)

const (
	largeChats    = 500
	largeMessages = 50_000
	settle        = 2 * time.Minute // from linked to measured
	linkPatience  = 5 * time.Minute // a large account is synced first

	machineMiB = 61 << 10 // the prototype's machine
	sharedMiB  = 2 << 10  // kept for what is not a slice
)

type sliceMemoryResult struct {
	Ours     float64 `json:"ours_mib"`
	Baseline float64 `json:"baseline_mib"`
	Ratio    float64 `json:"ratio"`
	Slices   int     `json:"slices_in_61_gb"`
	Beside   float64 `json:"beside_mib"` // of Nomad and Docker, for each slice
}

// sliceMemory measures a slice's container and the baseline's, one after the
// other, each alone on the machine: a second container of the same image would
// share the programs' pages, and each would look smaller.
func sliceMemory(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	image, err := buildBaseline(ctx, f.SourceDir(), out)
	if err != nil {
		return nil, err
	}
	beside, err := f.besideSlice(ctx)
	if err != nil {
		return nil, err
	}
	bare, err := f.quietSlice(ctx)
	if err != nil {
		return nil, err
	}
	sim := &whatsappsim.Client{BaseURL: f.SimURL()}
	ours, err := measureOurs(ctx, bare, sim)
	if err != nil {
		return nil, fmt.Errorf("slice: %w", err)
	}
	fmt.Fprintf(out, "slice: %s\n", ours)
	theirs, err := measureBaseline(ctx, bare, image, sim)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	fmt.Fprintf(out, "%d chats, %d messages, %v after the link; PSS of all processes in the container\n\n", largeChats, largeMessages, settle)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "MiB\tcontainer\tits parts\t")
	fmt.Fprintf(w, "slice\t%.1f\t%s\t\n", ours.total(), ours)
	fmt.Fprintf(w, "baseline\t%.1f\t%s\t\n", theirs.total(), theirs)
	fmt.Fprintf(w, "Nomad and Docker beside a slice\t%.1f\t%s\t\n", beside.total(), beside)
	w.Flush()
	r := sliceMemoryResult{Ours: round1(ours.total()), Baseline: round1(theirs.total()), Beside: round1(beside.total())}
	r.Ratio = float64(int(ours.total()/theirs.total()*1000)) / 1000
	r.Slices = int((machineMiB - sharedMiB) / (ours.total() + beside.total()))
	return r, nil
}

func round1(x float64) float64 { return float64(int(x*10+0.5)) / 10 }

// measureOurs links the slice to a large account and measures after a while.
func measureOurs(ctx context.Context, bare *stack.BareSlice, sim *whatsappsim.Client) (memory, error) {
	phone := "4915100000001"
	if err := largeAccount(ctx, sim, phone); err != nil {
		return nil, err
	}
	c, err := bare.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Stop(ctx)
	var code string
	if _, err := c.Wait(ctx, func() (err error) { code, err = qrOf(ctx, bare, c); return err }); err != nil {
		return nil, err
	}
	if err := sim.Scan(ctx, phone, code); err != nil {
		return nil, err
	}
	err = until(ctx, linkPatience, func() error {
		s, err := statusOf(ctx, bare, c)
		if err == nil && s.State != whatsapp.StateReady {
			err = fmt.Errorf("the state is %s", s.State)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return afterAWhile(ctx, c)
}

func measureBaseline(ctx context.Context, bare *stack.BareSlice, image string, sim *whatsappsim.Client) (memory, error) {
	phone := "4915100000002"
	if err := largeAccount(ctx, sim, phone); err != nil {
		return nil, err
	}
	c, err := bare.StartOther(ctx, image)
	if err != nil {
		return nil, err
	}
	defer c.Stop(ctx)
	var qr struct {
		Text string `json:"fullCode"`
	}
	_, err = c.Wait(ctx, func() error {
		err := getJSON(ctx, c.URL+"/qr", nil, &qr)
		if err == nil && qr.Text == "" {
			err = errors.New("no QR code")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := sim.Scan(ctx, phone, qr.Text); err != nil {
		return nil, err
	}
	err = until(ctx, linkPatience, func() error {
		var state struct {
			Mode  string
			Chats int
		}
		err := getJSON(ctx, c.URL+"/state", nil, &state)
		if err == nil && (state.Mode != "MAIN" || state.Chats < largeChats) {
			err = fmt.Errorf("mode %s, %d chats", state.Mode, state.Chats)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return afterAWhile(ctx, c)
}

func largeAccount(ctx context.Context, sim *whatsappsim.Client, phone string) error {
	if _, err := sim.CreateAccount(ctx, phone, "Large account"); err != nil {
		return err
	}
	_, err := sim.Populate(ctx, phone, whatsappsim.Population{Chats: largeChats, Messages: largeMessages, Seed: 1})
	return err
}

func afterAWhile(ctx context.Context, c *stack.BareContainer) (memory, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settle):
	}
	return containerMemory(c.ID)
}

// until asks f twice a second.
func until(ctx context.Context, patience time.Duration, f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// quietSlice leaves one slice's database and no slice that runs, so that nothing
// is measured beside what the benchmark starts.
func (f *fixture) quietSlice(ctx context.Context) (*stack.BareSlice, error) {
	kept, err := f.keepOne(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.waitWarm(ctx, 1); err != nil {
		return nil, err
	}
	if _, _, err := f.Nomad().Jobs().Deregister("provisioner", false, (&nomad.WriteOptions{}).WithContext(ctx)); err != nil {
		return nil, fmt.Errorf("stop the provisioner: %w", err)
	}
	slices := (&nomad.QueryOptions{Namespace: platform.SliceNamespace}).WithContext(ctx)
	jobs, _, err := f.Nomad().Jobs().List(slices)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if _, _, err := f.Nomad().Jobs().Deregister(j.ID, false, (&nomad.WriteOptions{Namespace: platform.SliceNamespace}).WithContext(ctx)); err != nil {
			return nil, fmt.Errorf("stop %s: %w", j.ID, err)
		}
	}
	err = until(ctx, time.Minute, func() error {
		for _, j := range jobs {
			allocs, _, err := f.Nomad().Jobs().Allocations(j.ID, false, slices)
			if err != nil {
				return err
			}
			for _, a := range allocs {
				if a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending {
					return fmt.Errorf("%s still runs", j.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.BareSlice(ctx, kept)
}
