package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

type memoryPasskey struct {
	platform.Passkey
	userID string
}

// passkeysOf and findPasskey are called while holding mu.
func (s *memoryStore) passkeysOf(userID string) (all []platform.Passkey) {
	for _, p := range slices.Backward(s.passkeys) {
		if p.userID == userID {
			p.UserHandle = s.handles[userID]
			all = append(all, p.Passkey)
		}
	}
	return all
}

func (s *memoryStore) findPasskey(userID, id string) (int, error) {
	i := slices.IndexFunc(s.passkeys, func(p memoryPasskey) bool { return p.userID == userID && p.ID == id })
	if i < 0 {
		return i, platform.Errorf(platform.ErrNotFound, "no passkey")
	}
	return i, nil
}

func (s *memoryStore) PasskeyHandle(_ context.Context, userID string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if s.handles[userID] == nil {
		s.handles[userID] = make([]byte, 32)
		rand.Read(s.handles[userID])
	}
	return s.handles[userID], nil
}

func (s *memoryStore) ListPasskeys(_ context.Context, userID string) ([]platform.Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	return s.passkeysOf(userID), nil
}

func (s *memoryStore) PasskeyByCredential(_ context.Context, credentialID []byte) (platform.Passkey, platform.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Passkey{}, platform.User{}, s.down
	}
	for _, p := range s.passkeys {
		if bytes.Equal(p.CredentialID, credentialID) {
			p.UserHandle = s.handles[p.userID]
			return p.Passkey, s.byID(p.userID).User, nil
		}
	}
	return platform.Passkey{}, platform.User{}, platform.Errorf(platform.ErrNotFound, "no passkey")
}

func (s *memoryStore) CreatePasskey(_ context.Context, userID string, session [32]byte, p platform.Passkey, by platform.AuditEntry) (platform.Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Passkey{}, s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return p, err
	}
	if len(s.passkeysOf(userID)) >= platform.MaxPasskeys {
		return p, platform.Errorf(platform.ErrConflict, "too many")
	}
	for _, o := range s.passkeys {
		if bytes.Equal(p.CredentialID, o.CredentialID) {
			return p, platform.Errorf(platform.ErrConflict, "registered")
		}
	}
	p.ID, p.CreatedAt = uuid.NewString(), time.Now()
	s.passkeys = append(s.passkeys, memoryPasskey{p, userID})
	s.queueMail(platform.MailPasskeyAdded, userID, s.byID(userID).Email)
	s.note(by, "passkey.create", userID)
	return p, nil
}

func (s *memoryStore) RenamePasskey(_ context.Context, userID, id, name string, by platform.AuditEntry) (platform.Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Passkey{}, s.down
	}
	i, err := s.findPasskey(userID, id)
	if err != nil {
		return platform.Passkey{}, err
	}
	s.passkeys[i].Name = name
	s.note(by, "passkey.rename", userID)
	return s.passkeys[i].Passkey, nil
}

func (s *memoryStore) DeletePasskey(_ context.Context, userID string, session [32]byte, id string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return err
	}
	i, err := s.findPasskey(userID, id)
	if err != nil {
		return err
	}
	s.passkeys = slices.Delete(s.passkeys, i, i+1)
	s.queueMail(platform.MailPasskeyRemoved, userID, s.byID(userID).Email)
	s.note(by, "passkey.delete", userID)
	return nil
}

func (s *memoryStore) UseChallenge(_ context.Context, hash [32]byte, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	fresh := !s.used[hash]
	s.used[hash] = true
	return fresh, nil
}

func (s *memoryStore) UsePasskey(_ context.Context, userID, id string, signCount uint32, synced bool, by platform.AuditEntry) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	i, err := s.findPasskey(userID, id)
	if err != nil {
		return false, err
	}
	p := &s.passkeys[i]
	if !p.Counted(signCount) {
		s.note(by, "passkey.clone_suspected", userID)
		return false, nil
	}
	p.SignCount, p.Synced, p.LastUsedAt = signCount, synced, time.Now()
	return true, nil
}

func (s *memoryStore) ResetSecondFactors(_ context.Context, userID string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if !s.removeFactors(userID, by) {
		return platform.Errorf(platform.ErrNotFound, "none")
	}
	return nil
}

// removeFactors reports whether there was anything. Called while holding mu.
func (s *memoryStore) removeFactors(userID string, by platform.AuditEntry) bool {
	passkeys := len(s.passkeysOf(userID))
	if s.factor(userID).secret == nil && passkeys == 0 {
		return false
	}
	delete(s.factors, userID)
	s.passkeys = slices.DeleteFunc(s.passkeys, func(p memoryPasskey) bool { return p.userID == userID })
	if passkeys > 0 {
		s.queueMail(platform.MailPasskeyRemoved, userID, s.byID(userID).Email)
	}
	s.note(by, "user.second_factor_reset", userID)
	return true
}
