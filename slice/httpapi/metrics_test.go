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

	for _, target := range []string{"/metrics", "/metrics?slice=42"} { // no other way to say who asks for what
		for number, status := range map[string]int{"": 401, "42": 401, "43": 421} {
			r := httptest.NewRequest("GET", target, nil)
			if number != "" {
				r.Header.Set(platform.HeaderSliceNumber, number)
			}
			refused := httptest.NewRecorder()
			handler.ServeHTTP(refused, r)
			if refused.Code != status || strings.Contains(refused.Body.String(), "slice_memory_bytes") {
				t.Errorf("%s as %q without a token: %d, want %d", target, number, refused.Code, status)
			}
		}
	}
}
