package passkeytest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// TestStore checks that a store keeps its contract. newUser makes a user
// with a session.
func TestStore(t *testing.T, s auth.PasskeyStore, newUser func(email string) (platform.User, [32]byte)) {
	ctx := t.Context()
	ana, session := newUser("ana@passkeys.example")
	ben, bens := newUser("ben@passkeys.example")
	by := platform.AuditEntry{ActorID: ana.ID, RequestID: "r1"}
	wantCode := func(what string, err error, want platform.ErrorCode) {
		t.Helper()
		if got := platform.CodeOf(err); got != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}

	handle, err := s.PasskeyHandle(ctx, ana.ID)
	again, err2 := s.PasskeyHandle(ctx, ana.ID)
	other, err3 := s.PasskeyHandle(ctx, ben.ID)
	if err != nil || err2 != nil || err3 != nil || len(handle) != 32 || !bytes.Equal(handle, again) || bytes.Equal(handle, other) {
		t.Fatalf("handles %x %x %x: %v %v %v", handle, again, other, err, err2, err3)
	}
	if all, err := s.ListPasskeys(ctx, ana.ID); err != nil || len(all) != 0 {
		t.Errorf("at first: %v, %v", all, err)
	}

	in := platform.Passkey{
		CredentialID: random(1023), PublicKey: []byte{1}, SignCount: 1<<32 - 2, Transports: []string{"usb", "nfc"}, Syncable: true, Name: "Schlüssel",
	}
	p, err := s.CreatePasskey(ctx, ana.ID, session, in, by)
	if err != nil || p.ID == "" || p.CreatedAt.IsZero() {
		t.Fatalf("created %+v, %v", p, err)
	}
	_, err = s.CreatePasskey(ctx, ben.ID, bens, in, by)
	wantCode("another's credential", err, platform.ErrConflict)
	_, err = s.CreatePasskey(ctx, ana.ID, [32]byte{}, platform.Passkey{CredentialID: random(16), PublicKey: []byte{1}, Transports: []string{}, Name: "x"}, by)
	wantCode("in a session that ended", err, platform.ErrUnauthenticated)

	got, user, err := s.PasskeyByCredential(ctx, in.CredentialID)
	if err != nil || user.ID != ana.ID || user.Email != ana.Email || user.Blocked {
		t.Fatalf("by credential: %+v %+v, %v", got, user, err)
	}
	want := p
	want.UserHandle, want.CreatedAt = handle, got.CreatedAt
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("by credential: %+v, want %+v", got, want)
	}
	_, _, err = s.PasskeyByCredential(ctx, []byte("nobody's"))
	wantCode("unknown credential", err, platform.ErrNotFound)

	// Counters rise. Of many uses with one counter, one is good.
	var wg sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range 8 {
		wg.Go(func() {
			ok, err := s.UsePasskey(ctx, ana.ID, p.ID, 1<<32-1, true, by)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				good++
			}
		})
	}
	wg.Wait()
	if good != 1 {
		t.Errorf("%d uses with one counter were good", good)
	}
	if ok, err := s.UsePasskey(ctx, ana.ID, p.ID, 0, true, by); ok || err != nil {
		t.Errorf("a counter of 0 after others: %v, %v", ok, err)
	}
	if got, _, err = s.PasskeyByCredential(ctx, in.CredentialID); err != nil || got.SignCount != 1<<32-1 || !got.Synced || got.LastUsedAt.IsZero() {
		t.Errorf("used: %+v, %v", got, err)
	}
	_, err = s.UsePasskey(ctx, ben.ID, p.ID, 1<<32-1, true, by)
	wantCode("another's", err, platform.ErrNotFound)

	// A challenge is good once.
	hash, used := sha256.Sum256(random(32)), 0
	for range 8 {
		wg.Go(func() {
			ok, err := s.UseChallenge(ctx, hash, time.Now().Add(time.Hour))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ok {
				used++
			}
		})
	}
	wg.Wait()
	if used != 1 {
		t.Errorf("a challenge was good %d times", used)
	}

	renamed, err := s.RenamePasskey(ctx, ana.ID, p.ID, "Telefon", by)
	if err != nil || renamed.Name != "Telefon" || !bytes.Equal(renamed.CredentialID, in.CredentialID) {
		t.Errorf("renamed %+v, %v", renamed, err)
	}
	for what, id := range map[string]string{"another's": p.ID, "unknown": uuid.NewString()} {
		_, err := s.RenamePasskey(ctx, ben.ID, id, "x", by)
		wantCode("rename "+what, err, platform.ErrNotFound)
		wantCode("delete "+what, s.DeletePasskey(ctx, ben.ID, bens, id, by), platform.ErrNotFound)
	}

	// As many as are allowed, also when several are made at once.
	failed := make(chan error, 2*platform.MaxPasskeys)
	for range 2 * platform.MaxPasskeys {
		wg.Go(func() {
			_, err := s.CreatePasskey(ctx, ana.ID, session, platform.Passkey{CredentialID: random(16), PublicKey: []byte{1}, Transports: []string{}, Name: "x"}, by)
			failed <- err
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			wantCode("too many", err, platform.ErrConflict)
		}
	}
	all, err := s.ListPasskeys(ctx, ana.ID)
	if err != nil || len(all) != platform.MaxPasskeys {
		t.Fatalf("%d passkeys, %v", len(all), err)
	}
	if all[len(all)-1].ID != p.ID {
		t.Error("the oldest is not the last")
	}

	wantCode("delete in a session that ended", s.DeletePasskey(ctx, ana.ID, [32]byte{}, p.ID, by), platform.ErrUnauthenticated)
	if err := s.DeletePasskey(ctx, ana.ID, session, p.ID, by); err != nil {
		t.Fatal(err)
	}
	wantCode("twice", s.DeletePasskey(ctx, ana.ID, session, p.ID, by), platform.ErrNotFound)
	_, _, err = s.PasskeyByCredential(ctx, in.CredentialID)
	wantCode("deleted", err, platform.ErrNotFound)
	if again, err := s.PasskeyHandle(ctx, ana.ID); err != nil || !bytes.Equal(handle, again) {
		t.Errorf("the handle changed: %v", err)
	}
}
