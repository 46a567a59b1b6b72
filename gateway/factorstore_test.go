package gateway

import (
	"bytes"
	"context"

	"ipnoelp.io/platform"
)

// memoryFactor is a second factor of a user.
type memoryFactor struct {
	secret, pending []byte
	step            int64
	codes           map[[32]byte]bool
}

// factor is called while holding mu.
func (s *memoryStore) factor(userID string) *memoryFactor {
	if s.factors[userID] == nil {
		s.factors[userID] = &memoryFactor{}
	}
	return s.factors[userID]
}

func (s *memoryStore) SecondFactor(_ context.Context, userID string) (platform.SecondFactor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.SecondFactor{}, s.down
	}
	f := s.factor(userID)
	return platform.SecondFactor{Secret: f.secret, Pending: f.pending, RecoveryCodes: len(f.codes), Passkeys: len(s.passkeysOf(userID))}, nil
}

func (s *memoryStore) OfferSecondFactor(_ context.Context, userID string, pending []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	f := s.factor(userID)
	if f.secret != nil {
		return platform.Errorf(platform.ErrConflict, "in force")
	}
	f.pending = pending
	return nil
}

func (f *memoryFactor) setCodes(codes [][32]byte) {
	f.codes = make(map[[32]byte]bool)
	for _, c := range codes {
		f.codes[c] = true
	}
}

func (s *memoryStore) EnableSecondFactor(_ context.Context, userID string, session [32]byte, pending []byte, step int64, codes [][32]byte, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return err
	}
	f := s.factor(userID)
	if f.secret != nil || !bytes.Equal(f.pending, pending) {
		return platform.Errorf(platform.ErrConflict, "another")
	}
	f.secret, f.pending, f.step = pending, nil, step
	f.setCodes(codes)
	s.note(by, "user.second_factor_enable", userID)
	return nil
}

func (s *memoryStore) DisableSecondFactor(_ context.Context, userID string, session [32]byte, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return err
	}
	if s.factor(userID).secret == nil {
		return platform.Errorf(platform.ErrNotFound, "none")
	}
	delete(s.factors, userID)
	s.note(by, "user.second_factor_disable", userID)
	return nil
}

func (s *memoryStore) ReplaceRecoveryCodes(_ context.Context, userID string, session [32]byte, codes [][32]byte, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return err
	}
	if s.factor(userID).secret == nil {
		return platform.Errorf(platform.ErrNotFound, "none")
	}
	s.factor(userID).setCodes(codes)
	s.note(by, "user.recovery_codes_replace", userID)
	return nil
}

func (s *memoryStore) UseCodeStep(_ context.Context, userID string, step int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	f := s.factor(userID)
	if f.secret == nil || f.step >= step {
		return false, nil
	}
	f.step = step
	return true, nil
}

func (s *memoryStore) UseRecoveryCode(_ context.Context, userID string, hash [32]byte, by platform.AuditEntry) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	f := s.factor(userID)
	if !f.codes[hash] {
		return false, nil
	}
	delete(f.codes, hash)
	s.note(by, "user.recovery_code_use", userID)
	return true, nil
}
