//go:build integration

package postgres_test

import (
	"testing"
	"time"

	"ipnoelp.io/platform"
)

func TestAPITokens(t *testing.T) {
	b := newGatewayBench(t)
	number := b.addSlice(t, platform.SliceWarm, "current")
	u, _ := b.signUp(t, "ana@example.com")
	other, _ := b.signUp(t, "ben@example.com")
	by := platform.AuditEntry{ActorID: u.ID, RequestID: "r1"}
	add := func(left time.Duration) platform.APIToken {
		t.Helper()
		made, err := b.store.CreateAPIToken(t.Context(), u.ID, firstSession(u.Email), platform.APIToken{
			TokenHash: token(t), Name: "n8n", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(left),
		}, by)
		if err != nil || made.ID == "" || made.CreatedAt.IsZero() {
			t.Fatalf("made %+v, %v", made, err)
		}
		return made
	}
	live, expired := add(time.Hour), add(-time.Second)
	ses, sl, err := b.store.APITokenSession(t.Context(), live.TokenHash)
	if err != nil || ses.Scope != platform.ScopeRead || ses.User.ID != u.ID || sl.Number != number {
		t.Errorf("session %+v %+v, %v", ses, sl, err)
	}
	if _, _, err := b.store.APITokenSession(t.Context(), expired.TokenHash); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("expired: %v", err)
	}
	if _, _, err := b.store.Session(t.Context(), live.TokenHash); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("a token is a session: %v", err)
	}
	served, err := b.store.SessionsServed(t.Context(), [][32]byte{live.TokenHash, expired.TokenHash})
	if err != nil || len(served) != 1 || !served[live.TokenHash] {
		t.Errorf("served %v, %v", served, err)
	}
	b.exec(t, `UPDATE gateway.users SET last_seen_at = now() - interval '1 h'`)
	if err := b.store.SessionsSeen(t.Context(), [][32]byte{live.TokenHash}); err != nil {
		t.Fatal(err)
	}
	if seen, err := b.store.LastSeen(t.Context(), []string{u.ID, other.ID}); err != nil || time.Since(seen[u.ID]) > time.Minute || time.Since(seen[other.ID]) < time.Hour {
		t.Errorf("last seen %v, %v: a program of ana's was there", seen, err)
	}
	all, err := b.store.ListAPITokens(t.Context(), u.ID)
	if err != nil || len(all) != 1 || all[0].ID != live.ID || all[0].LastUsedAt.IsZero() {
		t.Errorf("tokens %+v, %v", all, err)
	}
	if _, err := b.store.DeleteExpiredSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.api_tokens`); n != 1 {
		t.Errorf("%d tokens left, want 1", n)
	}
	if _, err := b.store.DeleteAPIToken(t.Context(), other.ID, live.ID, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("somebody else's: %v", err)
	}
	if hash, err := b.store.DeleteAPIToken(t.Context(), u.ID, live.ID, by); err != nil || hash != live.TokenHash {
		t.Errorf("deleted %v", err)
	}
	b.wantAudit(t, "api_token.delete", u.ID)
	for range platform.MaxAPITokens {
		add(time.Hour)
	}
	if _, err := b.store.CreateAPIToken(t.Context(), u.ID, firstSession(u.Email), platform.APIToken{TokenHash: token(t), Name: "x", Scope: platform.ScopeRead, ExpiresAt: time.Now().Add(time.Hour)}, by); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("one too many: %v", err)
	}
	reset, _ := b.mail(t, platform.MailResetPassword, "", u.Email)
	if _, err := b.store.ResetPassword(t.Context(), reset, "new", by); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.api_tokens`); n != 0 {
		t.Errorf("%d tokens left after a reset", n)
	}
}
