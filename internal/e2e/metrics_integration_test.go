//go:build integration

package e2e

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

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
