package inbox

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := pace{perMinute: 30, broadcastPerMinute: 6}
	for i := range burst {
		if w := p.wait(now, SourceUser); w != 0 {
			t.Fatalf("message %d of a burst waits %v", i+1, w)
		}
		p.sent(now, SourceUser)
	}
	if w := p.wait(now, SourceUser); w < time.Second || w > 3*time.Second {
		t.Errorf("after a burst a message waits %v, want about 2s", w)
	}
	now = now.Add(time.Hour)
	p.sent(now, SourceBroadcast)
	if w := p.wait(now, SourceBroadcast); w < 6*time.Second || w > 14*time.Second {
		t.Errorf("the next broadcast waits %v, want about 10s", w)
	}
	if w := p.wait(now, SourceUser); w != 0 {
		t.Errorf("a reply waits %v for a broadcast", w)
	}
	// Over ten minutes the rate holds, and no two pauses are alike.
	start, sent, pauses := now, 0, map[time.Duration]bool{}
	for now.Sub(start) < 10*time.Minute {
		if w := p.wait(now, SourceBroadcast); w > 0 {
			pauses[w] = true
			now = now.Add(w)
			continue
		}
		p.sent(now, SourceBroadcast)
		sent++
	}
	if sent < 50 || sent > 75 || len(pauses) < sent/2 {
		t.Errorf("%d broadcasts in ten minutes with %d different pauses, want about 60", sent, len(pauses))
	}
}
