package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
)

// Channels that the triggers of the gateway schema notify.
const (
	ChannelSlices   = "gateway_slices"   // payload: ParseSliceNotification
	ChannelQueue    = "gateway_queue"    // no payload
	ChannelSessions = "gateway_sessions" // payload: ParseSessionNotification
	ChannelUsers    = "gateway_users"    // payload: ParseUserNotification
	ChannelSettings = "gateway_settings" // no payload
)

const (
	listenConnectTimeout = 5 * time.Second
	listenProbeEvery     = 10 * time.Second // a connection that died silently is noticed by then
	listenProbeTimeout   = 5 * time.Second
	listenRetryMin       = 100 * time.Millisecond
	listenRetryMax       = 5 * time.Second
)

// Listener holds one connection that listens on Channels. Notifications are
// lost while it is down, so whoever depends on them reads everything again in
// Connected and trusts nothing it remembers after Disconnected. The callbacks
// are called one at a time, from Run's goroutine, and should return soon.
type Listener struct {
	URL      string
	Channels []string

	Connected    func(ctx context.Context)     // LISTEN is in effect; may be nil
	Notified     func(channel, payload string) // a notification arrived
	Disconnected func(err error)               // the connection is lost; may be nil
	Log          *slog.Logger                  // slog.Default() unless set
}

// Run connects, and reconnects with back-off, until ctx is done; then it
// returns nil.
func (l *Listener) Run(ctx context.Context) error {
	log := l.Log
	if log == nil {
		log = slog.Default()
	}
	wait := listenRetryMin
	for {
		established, err := l.session(ctx)
		if established && l.Disconnected != nil {
			l.Disconnected(err)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ended as asked
		}
		if established {
			wait = listenRetryMin
		}
		log.Warn("database listener is down", "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2+1)): //nolint:gosec // spreads reconnects, hides nothing
		}
		wait = min(2*wait, listenRetryMax)
	}
}

// session is the life of one connection; established says that LISTEN was in
// effect.
func (l *Listener) session(ctx context.Context) (established bool, err error) {
	setup, cancel := context.WithTimeout(ctx, listenConnectTimeout)
	defer cancel()
	// The URL may be a pool's, whose own settings the server does not know.
	cfg, err := pgxpool.ParseConfig(l.URL)
	if err != nil {
		return false, fmt.Errorf("listen: the database URL is malformed")
	}
	conn, err := pgx.ConnectConfig(setup, cfg.ConnConfig)
	if err != nil {
		return false, fmt.Errorf("listen: connect: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), listenProbeTimeout)
		defer cancel()
		conn.Close(closing)
	}()
	for _, c := range l.Channels {
		if _, err := conn.Exec(setup, `LISTEN `+ident(c)); err != nil {
			return false, fmt.Errorf("listen on %s: %w", c, err)
		}
	}
	if l.Connected != nil {
		l.Connected(ctx)
	}
	for {
		if err := l.next(ctx, conn); err != nil {
			return true, err
		}
	}
}

// next delivers one notification, or probes the connection when there was none
// for a while.
func (l *Listener) next(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, listenProbeEvery)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		l.Notified(n.Channel, n.Payload)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !pgconn.Timeout(err):
		return fmt.Errorf("listen: %w", err)
	}
	probe, cancel := context.WithTimeout(ctx, listenProbeTimeout)
	defer cancel()
	if err := conn.Ping(probe); err != nil {
		return fmt.Errorf("listen: probe: %w", err)
	}
	return nil
}

// ParseSliceNotification reads a payload of ChannelSlices: the slice, its new
// state, and the user it serves or served until this change ("" if none).
func ParseSliceNotification(payload string) (number int, state platform.SliceState, userID string, err error) {
	parts := strings.Split(payload, " ")
	if len(parts) != 3 {
		return 0, "", "", fmt.Errorf("slice notification %q: want 3 words", payload)
	}
	number, err = strconv.Atoi(parts[0])
	if err != nil {
		return 0, "", "", fmt.Errorf("slice notification %q: %w", payload, err)
	}
	return number, platform.SliceState(parts[1]), parts[2], nil
}

// ParseUserNotification reads a payload of ChannelUsers: the account and what
// became of it.
func ParseUserNotification(payload string) (userID string, state platform.UserState, err error) {
	userID, word, ok := strings.Cut(payload, " ")
	if !ok || userID == "" || word == "" {
		return "", "", fmt.Errorf("user notification %q: want 2 words", payload)
	}
	return userID, platform.UserState(word), nil
}

// ParseSessionNotification reads a payload of ChannelSessions: the session
// that ended and its user.
func ParseSessionNotification(payload string) (tokenHash [32]byte, userID string, err error) {
	hash, userID, ok := strings.Cut(payload, " ")
	b, err := hex.DecodeString(hash)
	if err != nil || !ok || len(b) != len(tokenHash) {
		return tokenHash, "", fmt.Errorf("session notification: malformed payload of %d bytes", len(payload))
	}
	return [32]byte(b), userID, nil
}
