package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
)

func TestOutagesAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want platform.ErrorCode
	}{
		"connection refused":       {&net.OpError{Op: "dial", Err: errors.New("refused")}, platform.ErrUnavailable},
		"connection cut":           {io.ErrUnexpectedEOF, platform.ErrUnavailable},
		"server stops":             {&pgconn.PgError{Code: "57P01"}, platform.ErrUnavailable},
		"too many connections":     {&pgconn.PgError{Code: "53300"}, platform.ErrUnavailable},
		"a fault of the statement": {&pgconn.PgError{Code: "42601"}, platform.ErrInternal},
		"the client went away":     {context.Canceled, platform.ErrInternal},
		"none":                     {nil, ""},
	} {
		if got := platform.CodeOf(outage(tc.err)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestDatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	// A port that nobody listens on.
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	db, err := pgxpool.New(t.Context(), "postgres://gateway@"+l.Addr().String()+"/platform?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s, ctx := NewGatewayStore(db), t.Context()
	var token [32]byte
	for name, f := range map[string]func() error{
		"sign-up": func() error {
			_, _, err := s.SignUp(ctx, "a@example.com", "x", platform.SessionStart{TokenHash: token, ExpiresAt: time.Now()}, platform.AuditEntry{})
			return err
		},
		"log-in": func() error { _, _, err := s.UserByEmail(ctx, "a@example.com"); return err },
		"session": func() error {
			return s.CreateSession(ctx, "x", platform.SessionStart{TokenHash: token, ExpiresAt: time.Now()}, platform.AuditEntry{})
		},
		"log-out":  func() error { return s.DeleteSession(ctx, token, platform.AuditEntry{}) },
		"position": func() error { _, err := s.QueuePosition(ctx, "x"); return err },
		"slices":   func() error { _, _, err := s.ListSlices(ctx, "", 0, 1); return err },
	} {
		if err := f(); platform.CodeOf(err) != platform.ErrUnavailable {
			t.Errorf("%s: %v, want %s", name, err, platform.ErrUnavailable)
		}
	}
}
