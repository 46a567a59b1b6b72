package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	signUpsAtOnce = 20
	claimRounds   = 5
)

type claimResult struct {
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	HashP50        float64 `json:"hash_p50_ms"`
	P99WithoutHash float64 `json:"p99_without_hash_ms"`
	N              int     `json:"n"`
}

// claim signs up 20 users at a time through the edge, over connections that are
// already open as a browser's are, and takes from each answer how long the
// hashing of its password took, its wait for a processor included.
func claim(ctx context.Context, f *fixture, out io.Writer) (any, error) {
	var total, hash, rest []time.Duration
	for round := range claimRounds {
		if err := f.retireAssigned(ctx, 0); err != nil {
			return nil, err
		}
		if err := f.waitWarm(ctx, signUpsAtOnce); err != nil {
			return nil, err
		}
		if err := waitQuiet(ctx, out); err != nil {
			return nil, err
		}
		clients := make([]*http.Client, signUpsAtOnce)
		for i := range clients {
			clients[i] = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.CertPool()}}, Timeout: time.Minute}
			res, err := clients[i].Get(f.AppURL() + "/edge-health")
			if err != nil {
				return nil, err
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		times := make([][2]time.Duration, len(clients))
		var g errgroup.Group
		for i, c := range clients {
			g.Go(func() (err error) {
				times[i][0], times[i][1], err = signUp(ctx, c, f.AppURL())
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		for i, t := range times {
			total, hash, rest = append(total, t[0]), append(hash, t[1]), append(rest, t[0]-t[1])
			clients[i].CloseIdleConnections()
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "sign-up, %d at a time\tp50 ms\tp99 ms\t\n", signUpsAtOnce)
	for _, row := range []struct {
		name string
		d    []time.Duration
	}{{"answer", total}, {"of it hashing", hash}, {"without hashing", rest}} {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t\n", row.name, ms(percentile(row.d, 50)), ms(percentile(row.d, 99)))
	}
	w.Flush()
	return claimResult{ms(percentile(total, 50)), ms(percentile(total, 99)), ms(percentile(hash, 50)), ms(percentile(rest, 99)), len(total)}, nil
}

// signUp makes one account and demands that a slice came with the answer.
func signUp(ctx context.Context, c *http.Client, base string) (total, hash time.Duration, err error) {
	body, err := json.Marshal(map[string]string{"email": strings.ToLower(rand.Text()) + "@example.com", "password": rand.Text()})
	if err != nil {
		return 0, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/auth/signup", bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	res, err := c.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	total = time.Since(begun)
	if err != nil {
		return 0, 0, err
	}
	var me struct{ Slice struct{ State string } }
	if err := json.Unmarshal(answer, &me); err != nil || res.StatusCode != http.StatusCreated || me.Slice.State != "assigned" {
		return 0, 0, fmt.Errorf("sign-up: status %d, slice %q: %s", res.StatusCode, me.Slice.State, answer)
	}
	hash, err = hashTime(res.Header.Get("Server-Timing"))
	return total, hash, err
}

// hashTime reads "hash;dur=12.3", in milliseconds.
func hashTime(header string) (time.Duration, error) {
	for entry := range strings.SplitSeq(header, ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(entry), "hash;dur="); ok {
			f, err := strconv.ParseFloat(v, 64)
			return time.Duration(f * float64(time.Millisecond)), err
		}
	}
	return 0, errors.New("the answer does not say what hashing took: is SERVER_TIMING set?")
}
