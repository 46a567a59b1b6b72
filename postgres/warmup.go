package postgres

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// WarmUp has a new connection of the gateway do once what a sign-up does, and
// leaves nothing behind. A server's process reads the catalogs and compiles the
// triggers when it first needs them, which makes the first sign-up some thirty
// times as long as the next; without it a user of each connection would wait.
// It is for a pool's AfterConnect. Where it fails nothing is lost but that.
func WarmUp(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	// While somebody waits no slice is claimed: one that is locked, even for a
	// moment, is passed over by those who really sign up.
	waiting, email := strings.ToLower(rand.Text())+"@warm-up.invalid", strings.ToLower(rand.Text())+"@warm-up.invalid"
	token := make([]byte, 32) // its own: a token of another that warms up would be waited for
	rand.Read(token)
	for _, statement := range []struct {
		text      string
		arguments []any
	}{
		{`WITH account AS (INSERT INTO gateway.users (email, password_hash) VALUES ($1, '') RETURNING id)
			INSERT INTO gateway.queue (user_id) SELECT id FROM account`, []any{waiting}},
		{signUpCheck, []any{email, false}},
		{signUpNew, []any{email, "", token, time.Now(), "", "", "", ""}},
		{signUpMailed, []any{token, "", token, time.Now(), "", "", "", ""}}, // of no mail
	} {
		if _, err := tx.Exec(ctx, statement.text, statement.arguments...); err != nil {
			return err
		}
	}
	return nil
}
