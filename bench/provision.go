package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"ipnoelp.io/platform/internal/stack"
)

const provisionRounds = 10

type provisionResult struct {
	Warm  float64 `json:"warm_p50_ms"`
	Bare  float64 `json:"bare_p50_ms"`
	Ratio float64 `json:"ratio"`
	N     int     `json:"n"`
}

// provision takes turns: a bare `docker run` of the slice image until its
// health check answers, then a whole slice from its row to warm. The bare one
// finds its database made; ours makes it on the way.
func provision(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	kept, err := f.keepOne(ctx)
	if err != nil {
		return nil, err
	}
	bare, err := f.BareSlice(ctx, kept)
	if err != nil {
		return nil, err
	}
	var ours, theirs []time.Duration
	for round := range provisionRounds {
		if err := f.waitWarm(ctx, 1); err != nil {
			return nil, err
		}
		took, err := runBare(ctx, bare)
		if err != nil {
			return nil, fmt.Errorf("bare run %d: %w", round+1, err)
		}
		theirs = append(theirs, took)
		if took, err = f.refill(ctx); err != nil {
			return nil, fmt.Errorf("slice %d: %w", round+1, err)
		}
		ours = append(ours, took)
		if err := f.retireAssigned(ctx, kept); err != nil {
			return nil, err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "until ready\tp50 ms\tmin ms\tmax ms\t")
	fmt.Fprintf(w, "slice, requested to warm\t%.0f\t%.0f\t%.0f\t\n", ms(percentile(ours, 50)), ms(percentile(ours, 0)), ms(percentile(ours, 100)))
	fmt.Fprintf(w, "bare docker run\t%.0f\t%.0f\t%.0f\t\n", ms(percentile(theirs, 50)), ms(percentile(theirs, 0)), ms(percentile(theirs, 100)))
	w.Flush()
	warm, bareTime := percentile(ours, 50), percentile(theirs, 50)
	return provisionResult{ms(warm), ms(bareTime), float64(warm*1000/bareTime) / 1000, len(ours)}, nil
}

func runBare(ctx context.Context, bare *stack.BareSlice) (time.Duration, error) {
	c, err := bare.Start(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Stop(ctx)
	return c.WaitHealthy(ctx)
}

// keepOne has one user take a slice, whose database the bare runs then use.
func (f *fixture) keepOne(ctx context.Context) (number int, err error) {
	if err := f.signUpOne(ctx); err != nil {
		return 0, err
	}
	err = f.db.QueryRow(ctx, `SELECT number FROM gateway.slices WHERE state = 'assigned'`).Scan(&number)
	return number, err
}

func (f *fixture) signUpOne(ctx context.Context) error {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.CertPool()}}, Timeout: time.Minute}
	defer c.CloseIdleConnections()
	_, _, err := signUp(ctx, c, f.AppURL())
	return err
}

// refill takes the warm slice away by a sign-up and returns how long its
// successor took, by the times in its row.
func (f *fixture) refill(ctx context.Context) (time.Duration, error) {
	var last int
	if err := f.db.QueryRow(ctx, `SELECT max(number) FROM gateway.slices`).Scan(&last); err != nil {
		return 0, err
	}
	if err := f.signUpOne(ctx); err != nil {
		return 0, err
	}
	if err := f.waitWarm(ctx, 1); err != nil {
		return 0, err
	}
	var seconds float64
	err := f.db.QueryRow(ctx, `SELECT extract(epoch FROM warm_at - requested_at)::float8 FROM gateway.slices
		WHERE number > $1 AND warm_at IS NOT NULL ORDER BY number LIMIT 1`, last).Scan(&seconds)
	return time.Duration(seconds * float64(time.Second)), err
}
