package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

type memoryToken struct {
	platform.APIToken
	userID string
}

func (s *memoryStore) CreateAPIToken(_ context.Context, userID string, session [32]byte, t platform.APIToken, by platform.AuditEntry) (platform.APIToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.APIToken{}, s.down
	}
	if err := s.haveSession(userID, session); err != nil {
		return t, err
	}
	n := 0
	for _, o := range s.apiTokens {
		if o.userID == userID {
			n++
		}
	}
	if n >= platform.MaxAPITokens {
		return t, platform.Errorf(platform.ErrConflict, "too many")
	}
	t.ID, t.CreatedAt = uuid.NewString(), time.Now()
	s.apiTokens[t.TokenHash] = memoryToken{t, userID}
	s.note(by, "api_token.create", userID)
	return t, nil
}

func (s *memoryStore) ListAPITokens(_ context.Context, userID string) ([]platform.APIToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	var all []platform.APIToken
	for _, t := range s.apiTokens {
		if t.userID == userID && time.Now().Before(t.ExpiresAt) {
			all = append(all, t.APIToken)
		}
	}
	slices.SortFunc(all, func(a, b platform.APIToken) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return all, nil
}

func (s *memoryStore) DeleteAPIToken(_ context.Context, userID, id string, by platform.AuditEntry) ([32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return [32]byte{}, s.down
	}
	for h, t := range s.apiTokens {
		if t.userID == userID && t.ID == id {
			delete(s.apiTokens, h)
			s.note(by, "api_token.delete", userID)
			return h, nil
		}
	}
	return [32]byte{}, platform.Errorf(platform.ErrNotFound, "no token")
}

func (s *memoryStore) APITokenSession(_ context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Session{}, platform.Slice{}, s.down
	}
	t, ok := s.apiTokens[hash]
	if !ok || !time.Now().Before(t.ExpiresAt) {
		return platform.Session{}, platform.Slice{}, platform.Errorf(platform.ErrNotFound, "no token")
	}
	ses := platform.Session{ID: t.ID, TokenHash: hash, User: s.byID(t.userID).User, ExpiresAt: t.ExpiresAt, EndsAt: t.ExpiresAt, Scope: t.Scope}
	for _, sl := range s.slices {
		if sl.UserID == t.userID {
			return ses, sl, nil
		}
	}
	return ses, platform.Slice{}, nil
}

func (s *memoryStore) APITokenSessions(ctx context.Context, hashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	return eachOf(ctx, hashes, s.APITokenSession, each)
}
