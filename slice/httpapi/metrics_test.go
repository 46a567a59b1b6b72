package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/whatsapp"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	part, handler, _ := setup(t)
	part.link.stats = whatsapp.Stats{
		State:    whatsapp.StateReady,
		Entered:  map[whatsapp.State]uint64{whatsapp.StateReady: 3},
		Restarts: map[string]uint64{"page_crashed": 2},
		Reloads:  map[string]uint64{"memory": 1},
		Memory:   whatsapp.Memory{Used: 100, Limit: 200},
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, newRequest("GET", "/metrics", ""))
	for _, want := range []string{
		`slice_whatsapp_state{state="ready"} 1`,
		`slice_whatsapp_state{state="qr"} 0`,
		`slice_whatsapp_transitions_total{state="ready"} 3`,
		`slice_browser_restarts_total{cause="page_crashed"} 2`,
		`slice_page_reloads_total{cause="memory"} 1`,
		`slice_memory_bytes 100`,
		`slice_memory_limit_bytes 200`,
		`go_goroutines `,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, answer.Body)
		}
	}

	foreign := newRequest("GET", "/metrics?slice=42", "")
	foreign.Header.Del(platform.HeaderSliceToken)
	refused := httptest.NewRecorder()
	handler.ServeHTTP(refused, foreign)
	if refused.Code != 401 {
		t.Errorf("as the gateway, without a token: %d, want 401", refused.Code)
	}
}

// Prometheus has no token of a slice. It says by the address which slice it
// means, and gets the metrics and nothing else.
func TestMetricsForAScraper(t *testing.T) {
	t.Parallel()
	_, handler, _ := setup(t)
	for target, want := range map[string]int{
		"GET /metrics?slice=42":                    200,
		"GET /metrics?slice=43":                    421,
		"GET /metrics?slice=042":                   421,
		"GET /metrics?slice=":                      421,
		"GET /metrics?slice=42&slice=43":           401,
		"GET /metrics?Slice=42":                    401,
		"GET /metrics":                             401,
		"POST /metrics?slice=42":                   401,
		"HEAD /metrics?slice=42":                   401,
		"GET /metrics/?slice=42":                   401,
		"GET /metrics/..%2fapi/chats?slice=42":     401,
		"GET //metrics?slice=42":                   401,
		"GET /api/chats?slice=42":                  401,
		"GET /api/whatsapp?slice=42":               401,
		"GET /socket.io/?EIO=4&slice=42&a=polling": 401,
	} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want || (want == 200) != strings.Contains(w.Body.String(), "slice_memory_bytes") {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
}
