package gateway

import (
	"context"
	"time"

	"ipnoelp.io/platform"
)

func (s *memoryStore) ScheduleDeletion(_ context.Context, userID string, but [32]byte, by platform.AuditEntry) (time.Time, [][32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return time.Time{}, nil, s.down
	}
	if err := s.haveSession(userID, but); err != nil {
		return time.Time{}, nil, err
	}
	u := s.byID(userID)
	if !u.DeletionAt.IsZero() {
		return time.Time{}, nil, platform.Errorf(platform.ErrConflict, "scheduled")
	}
	if s.lastAdmin(userID) {
		return time.Time{}, nil, platform.Errorf(platform.ErrConflict, "the last admin")
	}
	u.deletionRequestedAt = time.Now()
	u.DeletionAt = u.deletionRequestedAt.AddDate(0, 0, s.settings.DeletionGraceDays)
	ended := s.endAll(userID, but)
	for h, t := range s.apiTokens {
		if t.userID == userID {
			ended = append(ended, h)
			delete(s.apiTokens, h)
		}
	}
	s.queueMail(platform.MailDeletionRequested, userID, u.Email)
	s.note(by, "user.deletion_request", userID)
	return u.DeletionAt, ended, nil
}

func (s *memoryStore) CancelOwnDeletion(ctx context.Context, userID string, session [32]byte, by platform.AuditEntry) error {
	var err error
	s.locked(func() {
		if err = s.down; err == nil {
			err = s.haveSession(userID, session)
		}
	})
	if err != nil {
		return err
	}
	return s.CancelDeletion(ctx, userID, by)
}

func (s *memoryStore) CancelDeletion(_ context.Context, userID string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	n := s.user(userID)
	if n < 0 {
		return platform.Errorf(platform.ErrNotFound, "no user")
	}
	u := &s.users[n]
	if u.DeletionAt.IsZero() {
		return platform.Errorf(platform.ErrConflict, "not scheduled")
	}
	u.DeletionAt, u.deletionRequestedAt = time.Time{}, time.Time{}
	s.queueMail(platform.MailDeletionCancelled, userID, u.Email)
	s.note(by, "user.deletion_cancel", userID)
	return nil
}

func (s *memoryStore) DeleteDueUsers(ctx context.Context) (deleted []string, err error) {
	type due struct{ id, email string }
	var all []due
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	s.locked(func() {
		for _, u := range s.users {
			if !u.DeletionAt.IsZero() && !time.Now().Before(u.DeletionAt) {
				all = append(all, due{u.ID, u.Email})
			}
		}
	})
	for _, d := range all {
		if err := s.DeleteUser(ctx, d.id, platform.AuditEntry{Action: "user.delete", SubjectType: "user", SubjectID: d.id}); err != nil {
			return deleted, err
		}
		s.locked(func() { s.queueMail(platform.MailAccountDeleted, "", d.email) })
		deleted = append(deleted, d.id)
	}
	return deleted, nil
}

func (s *memoryStore) AccountHistory(_ context.Context, userID string) (h platform.AccountHistory, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.AccountHistory{}, s.down
	}
	n := s.user(userID)
	if n < 0 {
		return h, platform.Errorf(platform.ErrNotFound, "no user")
	}
	u := s.users[n]
	h.DeletionRequestedAt = u.deletionRequestedAt
	for _, sl := range s.slices {
		if sl.UserID == userID {
			h.Slices = append(h.Slices, platform.SliceClaim{Number: sl.Number, State: sl.State, Current: true})
		}
	}
	for _, m := range s.mails {
		if m.gone || m.left {
			continue
		}
		if m.userID == userID && m.Kind != platform.MailChangeEmail || m.Recipient == u.Email && m.Kind == platform.MailSignUp ||
			m.Recipient == u.Email && m.Kind == platform.MailResetPassword && !m.CreatedAt.Before(u.CreatedAt) {
			h.Mails = append(h.Mails, platform.SentMail{Kind: m.Kind, Recipient: m.Recipient, CreatedAt: m.CreatedAt})
		}
	}
	return h, nil
}
