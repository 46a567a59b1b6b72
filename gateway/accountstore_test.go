package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"ipnoelp.io/platform"
)

// memoryMail is a queued mail, or one that is out.
type memoryMail struct {
	platform.QueuedMail
	userID string
	over   bool
	sentAt time.Time // zero if it was dropped
	gone   bool      // whoever asks for it does not find it
	left   bool      // its user has another address by now
}

type memoryAccountToken struct {
	platform.AccountToken
	expiresAt time.Time
}

// byEmail and those below are called while holding mu.
func (s *memoryStore) byEmail(email string) *memoryUser {
	for i := range s.users {
		if s.users[i].Email == email {
			return &s.users[i]
		}
	}
	return nil
}

func (s *memoryStore) byID(id string) *memoryUser {
	for i := range s.users {
		if s.users[i].ID == id {
			return &s.users[i]
		}
	}
	return &memoryUser{}
}

func (s *memoryStore) addSession(u platform.User, start platform.SessionStart) {
	now := time.Now()
	s.sessions[start.TokenHash] = platform.Session{
		ID: uuid.NewString(), TokenHash: start.TokenHash, User: u, CreatedAt: now, AuthenticatedAt: now, LastSeenAt: now,
		ExpiresAt: start.ExpiresAt, EndsAt: start.ExpiresAt, UserAgent: start.UserAgent, ClientAddr: start.ClientAddr,
	}
}

func (s *memoryStore) queueMail(kind platform.MailKind, userID, to string) {
	s.mails = append(s.mails, memoryMail{
		QueuedMail: platform.QueuedMail{ID: int64(len(s.mails) + 1), Kind: kind, Recipient: to, CreatedAt: time.Now()}, userID: userID,
	})
}

func (s *memoryStore) useToken(hash [32]byte, purposes ...platform.MailKind) (platform.AccountToken, error) {
	t, err := s.token(hash)
	if err != nil || !slices.Contains(purposes, t.Purpose) {
		return t, platform.Errorf(platform.ErrNotFound, "no token")
	}
	if o := s.byEmail(t.Email); t.Purpose == platform.MailChangeEmail && o != nil && o.ID != t.User.ID {
		return t, platform.Errorf(platform.ErrConflict, "taken")
	}
	delete(s.tokens, hash)
	if t.Purpose == platform.MailSignUp { // nobody's
		return t, nil
	}
	t.User = s.byID(t.User.ID).User
	for h, o := range s.tokens {
		if o.User.ID == t.User.ID && o.Purpose == t.Purpose {
			delete(s.tokens, h)
		}
	}
	return t, nil
}

func (s *memoryStore) token(hash [32]byte) (platform.AccountToken, error) {
	t, ok := s.tokens[hash]
	if !ok || !time.Now().Before(t.expiresAt) {
		return platform.AccountToken{}, platform.Errorf(platform.ErrNotFound, "no token")
	}
	return t.AccountToken, nil
}

func (s *memoryStore) note(by platform.AuditEntry, action, userID string) {
	by.Action, by.SubjectType, by.SubjectID = action, "user", userID
	s.record(by)
}

func (s *memoryStore) endWhere(match func(platform.Session) bool) (ended [][32]byte) {
	for h, ses := range s.sessions {
		if match(ses) {
			ended = append(ended, h)
			delete(s.sessions, h)
		}
	}
	return ended
}

// othersOf matches a user's sessions but for one, with those in which they act for
// others.
func othersOf(userID string, but [32]byte) func(platform.Session) bool {
	return func(ses platform.Session) bool {
		return ses.User.ID == userID && ses.TokenHash != but || ses.ImpersonatorID == userID
	}
}

// endAll ends a user's sessions but one, and their links, those on their way too.
// Called while holding mu.
func (s *memoryStore) endAll(userID string, but [32]byte) (ended [][32]byte) {
	maps.DeleteFunc(s.tokens, func(_ [32]byte, t memoryAccountToken) bool {
		return t.User.ID == userID && t.Purpose != platform.MailVerifyEmail
	})
	s.dropChanges(userID)
	return s.endWhere(othersOf(userID, but))
}

// dropChanges forgets the changes of address whose mails are not out. Called while
// holding mu.
func (s *memoryStore) dropChanges(userID string) {
	for i := range s.mails {
		if m := &s.mails[i]; m.userID == userID && m.Kind == platform.MailChangeEmail && m.sentAt.IsZero() {
			m.over, m.gone = true, true
		}
	}
}

func (s *memoryStore) QueueMail(_ context.Context, kind platform.MailKind, userID, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.queueMail(kind, userID, to)
	return nil
}

// haveSession is called while holding mu.
func (s *memoryStore) haveSession(userID string, session [32]byte) error {
	if userID == "" || s.sessions[session].User.ID != userID {
		return platform.Errorf(platform.ErrUnauthenticated, "no session")
	}
	return nil
}

func (s *memoryStore) QueueEmailChange(_ context.Context, userID string, session [32]byte, email string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	err := s.haveSession(userID, session)
	if err == nil {
		s.queueMail(platform.MailChangeEmail, userID, email)
	}
	return err
}

// forgetEmail removes what was sent to an address and names no user. Called while
// holding mu.
func (s *memoryStore) forgetEmail(email string) {
	for i := range s.mails {
		if m := &s.mails[i]; m.Recipient == email && (m.Kind == platform.MailSignUp || m.Kind == platform.MailResetPassword) {
			m.over, m.gone, m.sentAt = true, true, time.Time{}
		}
	}
	maps.DeleteFunc(s.tokens, func(_ [32]byte, t memoryAccountToken) bool {
		return t.Purpose == platform.MailSignUp && t.Email == email
	})
}

func (s *memoryStore) PasswordHash(_ context.Context, userID string) (hash string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return "", s.down
	}
	n := s.user(userID)
	if n < 0 {
		return "", platform.Errorf(platform.ErrNotFound, "no user")
	}
	return s.users[n].hash, nil
}

func (s *memoryStore) AccountToken(_ context.Context, hash [32]byte) (platform.AccountToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.AccountToken{}, s.down
	}
	t, err := s.token(hash)
	if err == nil && t.Purpose == platform.MailSignUp {
		return platform.AccountToken{}, platform.Errorf(platform.ErrNotFound, "no user's token")
	}
	return t, err
}

func (s *memoryStore) VerifyEmail(_ context.Context, hash [32]byte, by platform.AuditEntry) (platform.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, s.down
	}
	t, err := s.useToken(hash, platform.MailVerifyEmail, platform.MailChangeEmail)
	if err != nil {
		return platform.User{}, err
	}
	u := s.byID(t.User.ID)
	switch {
	case t.Purpose == platform.MailVerifyEmail && t.Email == u.Email:
		s.note(by, "user.email_verify", u.ID)
	case t.Purpose == platform.MailChangeEmail:
		maps.DeleteFunc(s.tokens, func(_ [32]byte, o memoryAccountToken) bool { return o.User.ID == u.ID })
		s.dropChanges(u.ID)
		for i := range s.mails {
			s.mails[i].left = s.mails[i].left || s.mails[i].Recipient == u.Email && s.mails[i].userID == ""
		}
		s.queueMail(platform.MailEmailChanged, u.ID, u.Email)
		s.note(by, "user.email_change", u.ID)
	default:
		return platform.User{}, platform.Errorf(platform.ErrNotFound, "no token")
	}
	u.Email, u.EmailVerified = t.Email, true
	return u.User, nil
}

func (s *memoryStore) ResetPassword(_ context.Context, hash [32]byte, password string, by platform.AuditEntry) (platform.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, s.down
	}
	t, err := s.useToken(hash, platform.MailResetPassword)
	if err != nil {
		return platform.User{}, err
	}
	u := s.byID(t.User.ID)
	by.ActorID = u.ID
	if !u.EmailVerified && u.Role == platform.RoleUser {
		s.removeFactors(u.ID, by)
	}
	u.hash, u.EmailVerified = password, true
	s.endAll(u.ID, [32]byte{})
	maps.DeleteFunc(s.apiTokens, func(_ [32]byte, t memoryToken) bool { return t.userID == u.ID })
	s.queueMail(platform.MailPasswordChanged, u.ID, u.Email)
	s.note(by, "user.password_reset", u.ID)
	return u.User, nil
}

func (s *memoryStore) ChangePassword(_ context.Context, userID, before, after string, session, rotated [32]byte, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	u := s.byID(userID)
	if u.hash != before {
		return platform.Errorf(platform.ErrConflict, "changed")
	}
	if err := s.rotate(session, rotated); err != nil {
		return err
	}
	u.hash = after
	s.endAll(userID, rotated)
	s.queueMail(platform.MailPasswordChanged, userID, u.Email)
	s.note(by, "user.password_change", userID)
	return nil
}

func (s *memoryStore) rotate(session, rotated [32]byte) error {
	ses, ok := s.sessions[session]
	if !ok {
		return platform.Errorf(platform.ErrNotFound, "no session")
	}
	delete(s.sessions, session)
	ses.TokenHash, ses.AuthenticatedAt = rotated, time.Now()
	s.sessions[rotated] = ses
	return nil
}

func (s *memoryStore) Reauthenticated(_ context.Context, userID string, session, rotated [32]byte, _ platform.LogInMethod, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	err := s.rotate(session, rotated)
	if err == nil {
		s.note(by, "session.reauthenticate", userID)
	}
	return err
}

func (s *memoryStore) ListSessions(_ context.Context, userID string) ([]platform.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	var all []platform.Session
	for _, ses := range s.sessions {
		if ses.User.ID == userID {
			all = append(all, ses)
		}
	}
	return all, nil
}

func (s *memoryStore) EndSession(_ context.Context, userID, id string, by platform.AuditEntry) ([32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return [32]byte{}, s.down
	}
	ended := s.endWhere(func(ses platform.Session) bool { return ses.User.ID == userID && ses.ID == id })
	if len(ended) == 0 {
		return [32]byte{}, platform.Errorf(platform.ErrNotFound, "no session")
	}
	s.note(by, "session.revoke", userID)
	return ended[0], nil
}

func (s *memoryStore) EndOtherSessions(_ context.Context, userID string, but [32]byte, by platform.AuditEntry) ([][32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if err := s.haveSession(userID, but); err != nil {
		return nil, err
	}
	ended := s.endWhere(othersOf(userID, but))
	s.note(by, "session.revoke", userID)
	return ended, nil
}

func (s *memoryStore) SessionsSeen(_ context.Context, hashes [][32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	for _, h := range hashes {
		if ses, ok := s.sessions[h]; ok {
			ses.LastSeenAt = time.Now()
			s.sessions[h] = ses
			if ses.ImpersonatorID == "" {
				s.byID(ses.User.ID).lastSeenAt = time.Now()
			}
		} else if t, ok := s.apiTokens[h]; ok {
			s.byID(t.userID).lastSeenAt = time.Now()
		}
	}
	return nil
}

func (s *memoryStore) DeleteOldMails(ctx context.Context) error { return s.Ping(ctx) }

func (s *memoryStore) DueMails(_ context.Context, limit int, _ time.Duration) ([]platform.QueuedMail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	var due []platform.QueuedMail
	for i := range s.mails {
		if m := &s.mails[i]; !m.over && m.Attempts == 0 && len(due) < limit {
			m.Attempts++
			m.DeletionAt = s.byID(m.userID).DeletionAt
			m.HasAccount = m.Kind == platform.MailSignUp && s.byEmail(m.Recipient) != nil
			due = append(due, m.QueuedMail)
		}
	}
	return due, nil
}

func (s *memoryStore) AddMailToken(_ context.Context, id int64, hash [32]byte, expiresAt time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	m := s.mails[id-1]
	u := s.byID(m.userID)
	if m.Kind == platform.MailResetPassword {
		u = s.byEmail(m.Recipient)
	}
	if u == nil || m.gone || m.Kind == platform.MailVerifyEmail && (u.EmailVerified || u.Email != m.Recipient) ||
		m.Kind == platform.MailChangeEmail && s.byEmail(m.Recipient) != nil || s.sentSince(m, time.Hour) >= platform.MailsPerHour ||
		m.Kind == platform.MailSignUp && s.sentSince(m, 24*time.Hour) >= platform.SignUpMailsPerDay {
		return platform.Errorf(platform.ErrNotFound, "moot")
	}
	s.tokens[hash] = memoryAccountToken{platform.AccountToken{Purpose: m.Kind, Email: m.Recipient, User: u.User}, expiresAt}
	return nil
}

func (s *memoryStore) MailSent(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.mails[id-1].over, s.mails[id-1].sentAt = true, time.Now()
	return nil
}

func (s *memoryStore) DropMail(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.mails[id-1].over = true
	return nil
}

// sentSince counts the mails of m's kind to its recipient. Called while holding mu.
func (s *memoryStore) sentSince(m memoryMail, span time.Duration) int {
	n := 0
	for _, o := range s.mails {
		if o.Recipient == m.Recipient && o.Kind == m.Kind && !o.sentAt.IsZero() && time.Since(o.sentAt) < span {
			n++
		}
	}
	return n
}

func (s *memoryStore) ageMails(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.mails {
		m := &s.mails[i]
		m.CreatedAt = m.CreatedAt.Add(-d)
		if !m.sentAt.IsZero() {
			m.sentAt = m.sentAt.Add(-d)
		}
	}
}

func (s *memoryStore) MailFailed(ctx context.Context, _ int64, _ string, _ time.Time) error {
	return s.Ping(ctx)
}
