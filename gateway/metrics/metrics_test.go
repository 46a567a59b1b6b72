package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// increase() sees no first event of a series that begins with it.
func TestCountersBeginAtZero(t *testing.T) {
	m := New(func() int { return 0 })
	err := testutil.GatherAndCompare(m.Registry, strings.NewReader(`
# HELP gateway_sign_ups_total Sign-ups, by whether a warm slice was there.
# TYPE gateway_sign_ups_total counter
gateway_sign_ups_total{result="hit"} 0
gateway_sign_ups_total{result="queued"} 0
# HELP gateway_log_ins_total Attempts to log in, by result.
# TYPE gateway_log_ins_total counter
gateway_log_ins_total{result="ok"} 0
gateway_log_ins_total{result="throttled"} 0
gateway_log_ins_total{result="wrong"} 0
`), "gateway_sign_ups_total", "gateway_log_ins_total")
	if err != nil {
		t.Error(err)
	}
}
