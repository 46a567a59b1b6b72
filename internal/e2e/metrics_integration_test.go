//go:build integration

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/docs/monitoring"
)

// What the dashboard shows of slices is what Nomad tells of them.
func TestNomadTellsWhatSlicesUse(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	eventually(t, 30*time.Second, func() error {
		req, err := http.NewRequestWithContext(t.Context(), "GET", b.Nomad().Address()+"/v1/metrics?format=prometheus", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		found := make(map[string]float64)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			name, labels, _ := strings.Cut(s.Text(), "{")
			if strings.Contains(labels, `namespace="slices"`) && strings.Contains(labels, `job="`+platform.SliceName(u.number)+`"`) {
				found[name], _ = strconv.ParseFloat(labels[strings.LastIndexByte(labels, ' ')+1:], 64)
			}
		}
		for _, name := range monitoring.NomadMetrics() {
			if found[name] <= 0 {
				return fmt.Errorf("%s of slice %d is %v", name, u.number, found[name])
			}
		}
		return nil
	})
}

// metric reads a metric, named with its labels, from a Prometheus answer; absent is 0.
func metric(t testing.TB, res *http.Response, name string) float64 {
	t.Helper()
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("metrics: status %d", res.StatusCode)
	}
	s := bufio.NewScanner(res.Body)
	for s.Scan() {
		if v, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatalf("metric %s: %v", name, err)
			}
			return f
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return 0
}
