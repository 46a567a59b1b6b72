package admin

import (
	"context"
	"strings"
	"sync"

	"ipnoelp.io/platform"
)

// stateMetric is followed by the state's name; its value is 1 for one of them.
const stateMetric = `slice_whatsapp_state{state="`

// whatsAppState finds the state of the WhatsApp session in a slice's metrics:
// unlike its API these tell neither a code nor whose account it is.
func whatsAppState(metrics []byte) (string, bool) {
	for line := range strings.Lines(string(metrics)) {
		rest, ok := strings.CutPrefix(line, stateMetric)
		if !ok {
			continue
		}
		state, value, ok := strings.Cut(rest, `"} `)
		if ok && strings.TrimRight(value, "\r\n") == "1" && len(state) <= 40 {
			return state, true
		}
	}
	return "", false
}

// whatsApps returns the states of those slices that answer, by number.
func (s *Service) whatsApps(ctx context.Context, all []platform.Slice) map[int]string {
	var mu sync.Mutex
	states := make(map[int]string) // guarded by mu
	s.SliceMetrics.Each(ctx, all, func(sl platform.Slice, metrics []byte, err error) {
		if err != nil {
			return
		}
		if state, ok := whatsAppState(metrics); ok {
			mu.Lock()
			defer mu.Unlock()
			states[sl.Number] = state
		}
	})
	return states
}
