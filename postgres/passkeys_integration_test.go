//go:build integration

package postgres_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth/passkeytest"
)

func TestPasskeys(t *testing.T) {
	b := newGatewayBench(t)
	passkeytest.TestStore(t, b.store, func(email string) (platform.User, [32]byte) {
		u, _ := b.signUp(t, email)
		return u, firstSession(email)
	})
	u, _, err := b.store.UserByEmail(t.Context(), "ana@passkeys.example")
	if err != nil {
		t.Fatal(err)
	}
	b.wantAudit(t, "passkey.rename", u.ID)
	b.wantAudit(t, "passkey.delete", u.ID)
	b.wantQueued(t, platform.MailPasskeyRemoved, u.Email)
	for what, n := range map[string]int{
		`SELECT count(*) FROM gateway.audit_log WHERE action = 'passkey.create'`:          platform.MaxPasskeys,
		`SELECT count(*) FROM gateway.mails WHERE kind = 'passkey_added'`:                 platform.MaxPasskeys,
		`SELECT count(*) FROM gateway.audit_log WHERE action = 'passkey.clone_suspected'`: 8,
	} {
		if got := b.count(t, what); got != n {
			t.Errorf("%s: %d, want %d", what, got, n)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE before::text || after::text LIKE '%Telefon%'`); n != 0 {
		t.Error("the audit log has the names of passkeys")
	}

	// Nothing is left of a deleted account.
	if err := b.store.DeleteUser(t.Context(), u.ID, platform.AuditEntry{Action: "user.delete", SubjectType: "user", SubjectID: u.ID}); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT (SELECT count(*) FROM gateway.passkeys) + (SELECT count(*) FROM gateway.passkey_handles WHERE user_id = $1)`, u.ID); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestResetTakesCodesAndPasskeys(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	by := platform.AuditEntry{ActorID: u.ID, RequestID: "r1"}
	if err := b.store.ResetSecondFactors(t.Context(), u.ID, by); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("nothing to reset: %v", err)
	}
	if _, err := b.store.PasskeyHandle(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.CreatePasskey(t.Context(), u.ID, firstSession(u.Email), platform.Passkey{CredentialID: []byte("c"), PublicKey: []byte("k"), Transports: []string{}}, by); err != nil {
		t.Fatal(err)
	}
	if err := b.store.OfferSecondFactor(t.Context(), u.ID, []byte("s")); err != nil {
		t.Fatal(err)
	}
	if f, err := b.store.SecondFactor(t.Context(), u.ID); err != nil || f.Passkeys != 1 || f.Secret != nil || f.Pending == nil {
		t.Errorf("before: %+v, %v", f, err)
	}
	if err := b.store.EnableSecondFactor(t.Context(), u.ID, firstSession(u.Email), []byte("s"), 1, [][32]byte{{1}}, by); err != nil {
		t.Fatal(err)
	}
	if err := b.store.ResetSecondFactors(t.Context(), u.ID, by); err != nil {
		t.Fatal(err)
	}
	if f, err := b.store.SecondFactor(t.Context(), u.ID); err != nil || f.Secret != nil || f.Passkeys != 0 || f.RecoveryCodes != 0 {
		t.Errorf("after: %+v, %v", f, err)
	}
	b.wantAudit(t, "user.second_factor_reset", u.ID)
	b.wantQueued(t, platform.MailPasskeyRemoved, u.Email)
	if n := b.count(t, `SELECT count(*) FROM gateway.audit_log WHERE action = 'user.second_factor_reset' AND before = '{"codes": true, "passkeys": 1}'`); n != 1 {
		t.Error("the audit log does not say what was reset")
	}

	// The user's own removal of codes leaves passkeys alone, and so does a reset
	// of the password where the address was verified.
	verify, _ := b.mail(t, platform.MailVerifyEmail, u.ID, u.Email)
	if _, err := b.store.VerifyEmail(t.Context(), verify, by); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.CreatePasskey(t.Context(), u.ID, firstSession(u.Email), platform.Passkey{CredentialID: []byte("c"), PublicKey: []byte("k"), Transports: []string{}}, by); err != nil {
		t.Fatal(err)
	}
	hash, _ := b.mail(t, platform.MailResetPassword, "", u.Email)
	if _, err := b.store.ResetPassword(t.Context(), hash, "another", by); err != nil {
		t.Fatal(err)
	}
	if f, err := b.store.SecondFactor(t.Context(), u.ID); err != nil || f.Passkeys != 1 {
		t.Errorf("after a reset of the password: %+v, %v", f, err)
	}
}

func TestUsedChallengesAreForgotten(t *testing.T) {
	b := newGatewayBench(t)
	old, recent := sha256.Sum256([]byte("old")), sha256.Sum256([]byte("recent"))
	for hash, until := range map[[32]byte]time.Time{old: time.Now().Add(-time.Minute), recent: time.Now().Add(time.Minute)} {
		if ok, err := b.store.UseChallenge(t.Context(), hash, until); err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	if _, err := b.store.DeleteExpiredSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	for hash, fresh := range map[[32]byte]bool{old: true, recent: false} {
		if ok, err := b.store.UseChallenge(t.Context(), hash, time.Now().Add(time.Minute)); err != nil || ok != fresh {
			t.Errorf("%v, %v; want %v", ok, err, fresh)
		}
	}
}
