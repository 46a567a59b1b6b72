//go:build integration

package postgres_test

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

// heard is what a listener was told.
type heard struct{ event, payload string }

func listen(t *testing.T, b *gatewayBench) <-chan heard {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan heard, 100)
	l := &postgres.Listener{
		URL:          postgrestest.URL(t, b.name, postgres.RoleGateway),
		Channels:     []string{postgres.ChannelSlices, postgres.ChannelQueue, postgres.ChannelSessions},
		Connected:    func(context.Context) { events <- heard{"connected", ""} },
		Disconnected: func(error) { events <- heard{"disconnected", ""} },
		Notified:     func(channel, payload string) { events <- heard{channel, payload} },
	}
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	expect(t, events, heard{"connected", ""})
	return events
}

func expect(t *testing.T, events <-chan heard, want heard) {
	t.Helper()
	select {
	case got := <-events:
		if got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("heard nothing, want %q", want)
	}
}

func TestNotifications(t *testing.T) {
	b := newGatewayBench(t)
	events := listen(t, b)

	b.addSlice(t, platform.SliceWarm, "current")
	expect(t, events, heard{postgres.ChannelSlices, "1 warm "})

	u, _ := b.signUp(t, "ana@example.com") // takes the slice: nothing about the queue
	expect(t, events, heard{postgres.ChannelSlices, "1 assigned " + u.ID})

	b.signUp(t, "ben@example.com")
	expect(t, events, heard{postgres.ChannelQueue, ""})

	h, _ := platform.HashSessionToken(platform.NewSessionToken())
	if err := b.store.CreateSession(t.Context(), u.ID, platform.SessionStart{TokenHash: h, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.DeleteSession(t.Context(), h, platform.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	expect(t, events, heard{postgres.ChannelSessions, hex.EncodeToString(h[:]) + " " + u.ID})
	got, userID, err := postgres.ParseSessionNotification(hex.EncodeToString(h[:]) + " " + u.ID)
	if err != nil || got != h || userID != u.ID {
		t.Errorf("parsed %x %s, %v", got, userID, err)
	}

	// The user whose slice is gone hears of it.
	b.exec(t, `UPDATE gateway.slices SET state = 'gone', user_id = NULL WHERE number = 1`)
	expect(t, events, heard{postgres.ChannelSlices, "1 gone " + u.ID})
	number, state, userID, err := postgres.ParseSliceNotification("1 gone " + u.ID)
	if err != nil || number != 1 || state != platform.SliceGone || userID != u.ID {
		t.Errorf("parsed %d %s %s, %v", number, state, userID, err)
	}
}

func TestListenerReconnects(t *testing.T) {
	b := newGatewayBench(t)
	events := listen(t, b)
	b.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	expect(t, events, heard{"disconnected", ""})
	expect(t, events, heard{"connected", ""})
	b.addSlice(t, platform.SliceWarm, "current")
	expect(t, events, heard{postgres.ChannelSlices, "1 warm "})
}
