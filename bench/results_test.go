package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// The last line of a benchmark is read by programs.
func TestResultKeys(t *testing.T) {
	for _, c := range []struct {
		result any
		keys   []string
	}{
		{gatewayResult{1, 2, 3, 4, 5, 6}, []string{"ours_us", "nginx_us", "caddy_us", "reverseproxy_us", "chp_us", "express_us"}},
		{websocketResult{1, 2, 3}, []string{"ws_kib", "relay_p99_us", "nginx_relay_p99_us"}},
		{routesResult{1, 2, 3}, []string{"us_10", "us_1000", "us_10000"}},
		{claimsResult{1, 0, 0, 0}, []string{"p99_without_hash_ms", "hits", "lost", "double"}},
	} {
		b, err := json.Marshal(c.result)
		var got map[string]float64
		if err != nil || json.Unmarshal(b, &got) != nil {
			t.Fatalf("%s: %v", b, err)
		}
		slices.Sort(c.keys)
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, c.keys) {
			t.Errorf("%s: keys %v, want %v", b, keys, c.keys)
		}
	}
}
