//go:build integration

package postgres_test

import (
	"testing"

	"ipnoelp.io/platform"
)

func TestSecondFactor(t *testing.T) {
	b := newGatewayBench(t)
	u, _ := b.signUp(t, "ana@example.com")
	by := platform.AuditEntry{ActorID: u.ID, RequestID: "r1"}
	want := func(when string, secret, pending string, codes int) {
		t.Helper()
		f, err := b.store.SecondFactor(t.Context(), u.ID)
		if err != nil || string(f.Secret) != secret || string(f.Pending) != pending || f.RecoveryCodes != codes {
			t.Errorf("%s: %+v, %v", when, f, err)
		}
	}
	code := func(err error) platform.ErrorCode { return platform.CodeOf(err) }
	want("at first", "", "", 0)
	for _, offer := range []string{"one", "two"} {
		if err := b.store.OfferSecondFactor(t.Context(), u.ID, []byte(offer)); err != nil {
			t.Fatal(err)
		}
	}
	want("offered", "", "two", 0)
	hashes := [][32]byte{platform.HashRecoveryCode("a"), platform.HashRecoveryCode("b")}
	if err := b.store.EnableSecondFactor(t.Context(), u.ID, firstSession(u.Email), []byte("one"), 7, hashes, by); code(err) != platform.ErrConflict {
		t.Errorf("an older offer: %v", err)
	}
	if err := b.store.ReplaceRecoveryCodes(t.Context(), u.ID, firstSession(u.Email), hashes, by); code(err) != platform.ErrNotFound {
		t.Errorf("codes without a factor: %v", err)
	}
	if err := b.store.EnableSecondFactor(t.Context(), u.ID, firstSession(u.Email), []byte("two"), 7, hashes, by); err != nil {
		t.Fatal(err)
	}
	want("enabled", "two", "", 2)
	if err := b.store.OfferSecondFactor(t.Context(), u.ID, []byte("three")); code(err) != platform.ErrConflict {
		t.Errorf("offer while one is in force: %v", err)
	}
	for step, good := range map[int64]bool{6: false, 7: false} {
		if ok, err := b.store.UseCodeStep(t.Context(), u.ID, step); err != nil || ok != good {
			t.Errorf("step %d: %v, %v", step, ok, err)
		}
	}
	for _, good := range []bool{true, false} {
		if ok, err := b.store.UseCodeStep(t.Context(), u.ID, 8); err != nil || ok != good {
			t.Errorf("step 8: %v, %v; want %v", ok, err, good)
		}
		if ok, err := b.store.UseRecoveryCode(t.Context(), u.ID, hashes[0], by); err != nil || ok != good {
			t.Errorf("recovery code: %v, %v; want %v", ok, err, good)
		}
	}
	want("one code used", "two", "", 1)
	if err := b.store.ReplaceRecoveryCodes(t.Context(), u.ID, firstSession(u.Email), [][32]byte{platform.HashRecoveryCode("c")}, by); err != nil {
		t.Fatal(err)
	}
	if ok, err := b.store.UseRecoveryCode(t.Context(), u.ID, hashes[1], by); err != nil || ok {
		t.Errorf("replaced code: %v, %v", ok, err)
	}
	if err := b.store.DisableSecondFactor(t.Context(), u.ID, firstSession(u.Email), by); err != nil {
		t.Fatal(err)
	}
	want("disabled", "", "", 0)
	if err := b.store.DisableSecondFactor(t.Context(), u.ID, firstSession(u.Email), by); code(err) != platform.ErrNotFound {
		t.Errorf("twice: %v", err)
	}
	for _, action := range []string{"enable", "disable"} {
		b.wantAudit(t, "user.second_factor_"+action, u.ID)
	}
	b.wantAudit(t, "user.recovery_codes_replace", u.ID)
	b.wantAudit(t, "user.recovery_code_use", u.ID)
}
