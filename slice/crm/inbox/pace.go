package inbox

import (
	"math/rand/v2"
	"time"
)

// How fast a slice sends. WhatsApp bans numbers that write like machines: many
// messages in a short time, evenly spaced, to people who did not write first.
const (
	// A person who types is never slowed down by this; a program that uses the
	// API is.
	defaultPerMinute = 30
	maxPerMinute     = 60
	burst            = 10 // messages at once after a rest

	// Broadcasts go to many who did not write, so they are slow and uneven.
	defaultBroadcastPerMinute = 6
	maxBroadcastPerMinute     = 20

	jitter = 0.35 // of a pause, either way
)

// pace is a token bucket for all messages, and a pause between two broadcasts on
// top of it. It belongs to the goroutine of Service.Run.
type pace struct {
	perMinute, broadcastPerMinute int

	tokens    float64
	updated   time.Time // when tokens was right; zero before the first message
	broadcast time.Time // when the next broadcast may go
}

// wait returns how long a message must wait, 0 when it may go now.
func (p *pace) wait(now time.Time, source string) time.Duration {
	p.refill(now)
	wait := time.Duration(0)
	if p.tokens < 1 {
		wait = uneven(time.Duration((1 - p.tokens) * float64(time.Minute) / float64(p.perMinute)))
	}
	if source == SourceBroadcast {
		wait = max(wait, p.broadcast.Sub(now))
	}
	return wait
}

// sent takes note of a message that goes now.
func (p *pace) sent(now time.Time, source string) {
	p.refill(now)
	p.tokens--
	if source == SourceBroadcast {
		p.broadcast = now.Add(uneven(time.Minute / time.Duration(p.broadcastPerMinute)))
	}
}

func (p *pace) refill(now time.Time) {
	if p.updated.IsZero() {
		p.tokens = burst
	} else if since := now.Sub(p.updated); since > 0 {
		p.tokens = min(burst, p.tokens+since.Minutes()*float64(p.perMinute))
	}
	p.updated = now
}

// uneven spreads a pause.
func uneven(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*jitter*float64(d)) //nolint:gosec // not a secret
}
