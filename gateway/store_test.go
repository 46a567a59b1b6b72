package gateway

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"ipnoelp.io/platform"
)

// memoryStore keeps the contract of Store in memory.
type memoryStore struct {
	mu        sync.Mutex
	users     []memoryUser                    // guarded by mu
	sessions  map[[32]byte]platform.Session   // guarded by mu
	slices    []platform.Slice                // guarded by mu; by number - 1
	queue     []string                        // guarded by mu; user ids
	audit     []platform.AuditEntry           // guarded by mu; by id - 1
	mails     []memoryMail                    // guarded by mu
	tokens    map[[32]byte]memoryAccountToken // guarded by mu
	settings  platform.Settings               // guarded by mu
	factors   map[string]*memoryFactor        // guarded by mu; by user id
	apiTokens map[[32]byte]memoryToken        // guarded by mu
	passkeys  []memoryPasskey                 // guarded by mu; the oldest first
	handles   map[string][]byte               // guarded by mu; of passkeys, by user id
	used      map[[32]byte]bool               // guarded by mu; challenges
	history   *platform.ClaimHistory          // what ClaimHistory says; nil: what happened
	claims    platform.ClaimHistory           // guarded by mu; of all times
	made      int                             // guarded by mu; users ever
	down      error                           // guarded by mu
}

type memoryUser struct {
	platform.User
	hash        string
	blockReason string
	blockedAt   time.Time
	lastSeenAt  time.Time // zero: never

	deletionRequestedAt time.Time
}

// testUserID returns the id of the nth user.
func testUserID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func newMemoryStore() *memoryStore {
	return &memoryStore{
		settings: platform.Settings{Currency: "EUR", DeletionGraceDays: 14}, factors: make(map[string]*memoryFactor), apiTokens: make(map[[32]byte]memoryToken),
		sessions: make(map[[32]byte]platform.Session), tokens: make(map[[32]byte]memoryAccountToken),
		handles: make(map[string][]byte), used: make(map[[32]byte]bool),
	}
}

func (s *memoryStore) locked(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *memoryStore) addSlice(state platform.SliceState) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slices = append(s.slices, platform.Slice{Number: len(s.slices) + 1, State: state, Generation: 1, StateChangedAt: time.Now()})
	return len(s.slices)
}

// sizes is what "nothing changed" means.
func (s *memoryStore) sizes() (users, sessions, queued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users), len(s.sessions), len(s.queue)
}

func (s *memoryStore) claim(userID string) platform.Slice {
	for i := range s.slices {
		if s.slices[i].State == platform.SliceWarm {
			s.slices[i].State, s.slices[i].UserID, s.slices[i].StateChangedAt = platform.SliceAssigned, userID, time.Now()
			s.claims.Claims++
			return s.slices[i]
		}
	}
	return platform.Slice{}
}

func (s *memoryStore) SignUp(_ context.Context, email, hash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, platform.Slice{}, s.down
	}
	if s.byEmail(email) != nil {
		return platform.User{}, platform.Slice{}, platform.Errorf(platform.ErrConflict, "taken")
	}
	u, sl := s.newUser(email, hash, start, by)
	s.queueMail(platform.MailVerifyEmail, u.ID, email)
	return u, sl, nil
}

// newUser is called while holding mu.
func (s *memoryStore) newUser(email, hash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice) {
	s.made++
	u := platform.User{ID: testUserID(s.made), Email: email, Role: platform.RoleUser, CreatedAt: time.Now()}
	s.users = append(s.users, memoryUser{User: u, hash: hash, lastSeenAt: time.Now()})
	s.addSession(u, start)
	by.ActorID = u.ID
	s.note(by, "user.create", u.ID)
	var sl platform.Slice
	if len(s.queue) == 0 {
		sl = s.claim(u.ID)
	}
	if sl.Number != 0 {
		s.claims.Hits++
	} else {
		s.queue = append(s.queue, u.ID)
	}
	return u, sl
}

func (s *memoryStore) SignUpByMail(_ context.Context, tokenHash [32]byte, hash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, platform.Slice{}, s.down
	}
	t, err := s.useToken(tokenHash, platform.MailSignUp)
	if err == nil && s.byEmail(t.Email) != nil {
		err = platform.Errorf(platform.ErrNotFound, "no token")
	}
	if err != nil {
		return platform.User{}, platform.Slice{}, err
	}
	u, sl := s.newUser(t.Email, hash, start, by)
	s.byID(u.ID).EmailVerified, u.EmailVerified = true, true
	return u, sl, nil
}

func (s *memoryStore) SignUpCheck(_ context.Context, email string, delivered bool) (byMail, taken bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byMail = s.settings.SignUpsByMail(delivered)
	return byMail, !byMail && s.byEmail(email) != nil, s.down
}

func (s *memoryStore) SignUpToken(_ context.Context, hash [32]byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return "", s.down
	}
	t, err := s.token(hash)
	if err == nil && t.Purpose != platform.MailSignUp {
		err = platform.Errorf(platform.ErrNotFound, "no token")
	}
	return t.Email, err
}

func (s *memoryStore) UserByEmail(_ context.Context, email string) (platform.User, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, "", s.down
	}
	for _, u := range s.users {
		if u.Email == email {
			return u.User, u.hash, nil
		}
	}
	return platform.User{}, "", platform.Errorf(platform.ErrNotFound, "no user")
}

func (s *memoryStore) CreateSession(_ context.Context, userID string, start platform.SessionStart, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	u := s.byID(userID)
	if start.Password != "" && start.Password != u.hash {
		return platform.Errorf(platform.ErrUnauthenticated, "another password")
	}
	if start.Passkey != "" {
		if _, err := s.findPasskey(userID, start.Passkey); err != nil {
			return platform.Errorf(platform.ErrUnauthenticated, "no passkey")
		}
	}
	u.lastSeenAt = time.Now()
	s.addSession(u.User, start)
	by.After = fmt.Appendf(nil, `{"method":%q}`, start.Method)
	s.note(by, "session.create", userID)
	return nil
}

func (s *memoryStore) Session(_ context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Session{}, platform.Slice{}, s.down
	}
	ses, ok := s.sessions[hash]
	if !ok || !time.Now().Before(ses.ExpiresAt) {
		return platform.Session{}, platform.Slice{}, platform.Errorf(platform.ErrNotFound, "no session")
	}
	ses.User = s.byID(ses.User.ID).User
	for _, sl := range s.slices {
		if sl.UserID == ses.User.ID {
			return ses, sl, nil
		}
	}
	return ses, platform.Slice{}, nil
}

func (s *memoryStore) Sessions(ctx context.Context, hashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	return eachOf(ctx, hashes, s.Session, each)
}

func eachOf(ctx context.Context, hashes [][32]byte, one func(context.Context, [32]byte) (platform.Session, platform.Slice, error), each func(platform.Session, platform.Slice)) error {
	for _, h := range hashes {
		switch ses, sl, err := one(ctx, h); {
		case err == nil:
			each(ses, sl)
		case platform.CodeOf(err) != platform.ErrNotFound:
			return err
		}
	}
	return nil
}

func (s *memoryStore) DeleteSession(_ context.Context, hash [32]byte, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if ses, ok := s.sessions[hash]; ok {
		by.ActorID = cmp.Or(ses.ImpersonatorID, ses.User.ID)
		s.note(by, "session.delete", ses.User.ID)
	}
	delete(s.sessions, hash)
	return nil
}

func (s *memoryStore) DeleteExpiredSessions(ctx context.Context) (int64, error) {
	return 0, s.Ping(ctx)
}

func (s *memoryStore) SessionsServed(_ context.Context, hashes [][32]byte) (map[[32]byte]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	served := make(map[[32]byte]bool)
	for _, h := range hashes {
		ses, found := s.sessions[h]
		user, expiresAt := ses.User.ID, ses.ExpiresAt
		if t, ok := s.apiTokens[h]; ok {
			user, expiresAt, found = t.userID, t.ExpiresAt, true
		}
		stopped := slices.ContainsFunc(s.slices, func(sl platform.Slice) bool {
			return sl.UserID == user && sl.State != platform.SliceAssigned && sl.State != platform.SliceGone
		})
		if found && time.Now().Before(expiresAt) && !s.byID(user).Blocked && !stopped {
			served[h] = slices.ContainsFunc(s.slices, func(sl platform.Slice) bool { return sl.UserID == user && sl.State == platform.SliceAssigned })
		}
	}
	return served, nil
}

func (s *memoryStore) ServeQueue(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, s.down
	}
	n := 0
	for len(s.queue) > 0 && s.claim(s.queue[0]).Number != 0 {
		s.queue = s.queue[1:]
		n++
	}
	return n, nil
}

func (s *memoryStore) QueuePositions(context.Context) (map[string]platform.QueuePosition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	all := make(map[string]platform.QueuePosition)
	for i, id := range s.queue {
		all[id] = platform.QueuePosition{Position: i + 1, Estimate: time.Duration(i+1) * 4 * time.Second}
	}
	return all, nil
}

func (s *memoryStore) QueuePosition(ctx context.Context, userID string) (platform.QueuePosition, error) {
	all, err := s.QueuePositions(ctx)
	if err != nil {
		return platform.QueuePosition{}, err
	}
	if p, ok := all[userID]; ok {
		return p, nil
	}
	return platform.QueuePosition{}, platform.Errorf(platform.ErrNotFound, "not queued")
}

func (s *memoryStore) Pool(context.Context) (int, map[platform.SliceState]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, nil, s.down
	}
	counts := make(map[platform.SliceState]int)
	for _, sl := range s.slices {
		counts[sl.State]++
	}
	return len(s.queue), counts, nil
}

func (s *memoryStore) ListSlices(_ context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, nil, s.down
	}
	emails := make(map[string]string)
	for _, u := range s.users {
		emails[u.ID] = u.Email
	}
	var found []platform.Slice
	for i := len(s.slices) - 1; i >= 0 && len(found) < limit; i-- {
		if sl := s.slices[i]; (state == "" || sl.State == state) && (before == 0 || sl.Number < before) {
			found = append(found, sl)
		}
	}
	return found, emails, nil
}

// record adds an audit entry. The caller holds mu.
func (s *memoryStore) record(e platform.AuditEntry) {
	e.ID, e.At = int64(len(s.audit)+1), time.Now()
	s.audit = append(s.audit, e)
}

func (s *memoryStore) RecordAudit(_ context.Context, e platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.record(e)
	return nil
}

func (s *memoryStore) ListAudit(_ context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	is := func(want, got string) bool { return want == "" || want == got }
	var found []platform.AuditEntry
	for i := len(s.audit) - 1; i >= 0 && len(found) < f.Limit; i-- {
		e := s.audit[i]
		if is(f.ActorID, e.ActorID) && is(f.Action, e.Action) && is(f.SubjectType, e.SubjectType) && is(f.SubjectID, e.SubjectID) &&
			(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until)) && (f.Below == 0 || e.ID < f.Below) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (s *memoryStore) Ping(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *memoryStore) HasAdmin(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	for _, u := range s.users {
		if u.Role == platform.RoleAdmin {
			return true, nil
		}
	}
	return false, nil
}

func (s *memoryStore) CreateFirstAdmin(_ context.Context, email, hash string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	if slices.ContainsFunc(s.users, func(u memoryUser) bool { return u.Role == platform.RoleAdmin }) {
		return false, nil
	}
	if s.byEmail(email) != nil {
		return false, platform.Errorf(platform.ErrConflict, "taken")
	}
	s.made++
	u := platform.User{ID: testUserID(s.made), Email: email, Role: platform.RoleAdmin, CreatedAt: time.Now()}
	s.users = append(s.users, memoryUser{User: u, hash: hash})
	s.note(platform.AuditEntry{}, "user.create", u.ID)
	return true, nil
}

// user returns a user's place among the users, -1 if there is none. The caller
// holds mu.
func (s *memoryStore) user(id string) int {
	return slices.IndexFunc(s.users, func(u memoryUser) bool { return u.ID == id })
}

// userRecord returns the nth user. The caller holds mu.
func (s *memoryStore) userRecord(n int) platform.UserRecord {
	u := s.users[n]
	r := platform.UserRecord{User: u.User, BlockedAt: u.blockedAt, BlockReason: u.blockReason, Position: slices.Index(s.queue, u.ID) + 1}
	for _, sl := range s.slices {
		if sl.UserID == u.ID && sl.State != platform.SliceGone {
			r.Slice = sl
		}
	}
	for _, ses := range s.sessions {
		if ses.User.ID == u.ID {
			r.Sessions++
		}
	}
	return r
}

func (s *memoryStore) ListUsers(_ context.Context, f platform.UserFilter) ([]platform.UserRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	var found []platform.UserRecord
	for n := len(s.users) - 1; n >= 0 && len(found) < f.Limit; n-- {
		u := s.userRecord(n)
		if strings.Contains(u.Email, f.Email) && (f.Role == "" || u.Role == f.Role) && (f.State == "" || u.State() == f.State) &&
			(f.After.ID == "" || u.ID < f.After.ID) {
			found = append(found, u)
		}
	}
	return found, nil
}

func (s *memoryStore) UserRecord(_ context.Context, id string) (platform.UserRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.UserRecord{}, s.down
	}
	n := s.user(id)
	if n < 0 {
		return platform.UserRecord{}, platform.Errorf(platform.ErrNotFound, "no user")
	}
	return s.userRecord(n), nil
}

func (s *memoryStore) BlockUser(_ context.Context, id, reason string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	switch n := s.user(id); {
	case n < 0:
		return platform.Errorf(platform.ErrNotFound, "no user")
	case s.users[n].Blocked:
		return platform.Errorf(platform.ErrConflict, "blocked")
	case s.lastAdmin(id):
		return platform.Errorf(platform.ErrConflict, "the last admin")
	default:
		s.users[n].Blocked, s.users[n].blockedAt, s.users[n].blockReason = true, time.Now(), reason
		s.leaveQueue(id)
		s.endWhere(func(ses platform.Session) bool { return ses.ImpersonatorID == id })
		s.record(by)
		return nil
	}
}

// lastAdmin reports whether nobody else runs the platform. The caller holds mu.
func (s *memoryStore) lastAdmin(id string) bool {
	others := slices.ContainsFunc(s.users, func(u memoryUser) bool {
		return u.Role == platform.RoleAdmin && !u.Blocked && u.DeletionAt.IsZero() && u.ID != id
	})
	return s.byID(id).Role == platform.RoleAdmin && !others
}

func (s *memoryStore) leaveQueue(id string) {
	s.queue = slices.DeleteFunc(s.queue, func(q string) bool { return q == id })
}

func (s *memoryStore) UnblockUser(_ context.Context, id string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	switch n := s.user(id); {
	case n < 0:
		return platform.Errorf(platform.ErrNotFound, "no user")
	case !s.users[n].Blocked:
		return platform.Errorf(platform.ErrConflict, "not blocked")
	default:
		s.users[n].Blocked, s.users[n].blockReason = false, ""
		if s.userRecord(n).Slice.Number == 0 {
			s.queue = append(s.queue, id)
		}
		s.endSessions(id)
		s.record(by)
		return nil
	}
}

func (s *memoryStore) endSessions(id string) {
	for h, ses := range s.sessions {
		if ses.User.ID == id {
			delete(s.sessions, h)
		}
	}
}

func (s *memoryStore) DeleteUser(_ context.Context, id string, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	n := s.user(id)
	if n < 0 {
		return platform.Errorf(platform.ErrNotFound, "no user")
	}
	if s.lastAdmin(id) {
		return platform.Errorf(platform.ErrConflict, "the last admin")
	}
	for i := range s.slices {
		if s.slices[i].UserID == id {
			s.slices[i].UserID, s.slices[i].State = "", platform.SliceRetiring
		}
	}
	s.forgetEmail(s.users[n].Email)
	s.users = slices.Delete(s.users, n, n+1)
	s.leaveQueue(id)
	s.endSessions(id)
	s.record(by)
	return nil
}

func (s *memoryStore) Slice(_ context.Context, number int) (platform.Slice, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Slice{}, "", s.down
	}
	if number > len(s.slices) {
		return platform.Slice{}, "", platform.Errorf(platform.ErrNotFound, "no slice")
	}
	sl, email := s.slices[number-1], ""
	if n := s.user(sl.UserID); n >= 0 {
		email = s.users[n].Email
	}
	return sl, email, nil
}

func (s *memoryStore) RetireSlice(_ context.Context, number int, by platform.AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if number > len(s.slices) {
		return platform.Errorf(platform.ErrNotFound, "no slice")
	}
	sl := &s.slices[number-1]
	if sl.State == platform.SliceRetiring || sl.State == platform.SliceGone || sl.State == platform.SliceFailed {
		return platform.Errorf(platform.ErrConflict, "retiring")
	}
	if sl.UserID != "" {
		s.queue = append(s.queue, sl.UserID)
	}
	sl.State, sl.UserID = platform.SliceRetiring, ""
	s.record(by)
	return nil
}

func (s *memoryStore) ClaimHistory(context.Context, time.Time) (platform.ClaimHistory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.ClaimHistory{}, s.down
	}
	if s.history != nil {
		return *s.history, nil
	}
	return s.claims, nil
}

func (s *memoryStore) Settings(context.Context) (platform.Settings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Settings{}, s.down
	}
	return s.settings, nil
}

func (s *memoryStore) UpdateSettings(_ context.Context, change func(*platform.Settings) error, by platform.AuditEntry) (platform.Settings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.Settings{}, s.down
	}
	set := s.settings
	if err := change(&set); err != nil {
		return platform.Settings{}, err
	}
	if !reflect.DeepEqual(s.settings, set) {
		s.settings = set
		s.record(by)
	}
	return set, nil
}

func (s *memoryStore) Impersonate(_ context.Context, userID string, admin [32]byte, start platform.SessionStart, _ string, by platform.AuditEntry) (platform.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return platform.User{}, s.down
	}
	n := s.user(userID)
	if n < 0 {
		return platform.User{}, platform.Errorf(platform.ErrNotFound, "no user")
	}
	if u := s.users[n]; u.Blocked || u.Role == platform.RoleAdmin {
		return platform.User{}, platform.Errorf(platform.ErrConflict, "admin or blocked")
	}
	if a := s.byID(s.sessions[admin].User.ID); a.ID != by.ActorID || a.Role != platform.RoleAdmin || a.Blocked {
		return platform.User{}, platform.Errorf(platform.ErrUnauthenticated, "no session")
	}
	delete(s.sessions, admin)
	s.sessions[start.TokenHash] = platform.Session{
		ID: testUserID(len(s.sessions) + 1000), TokenHash: start.TokenHash, User: s.users[n].User, ExpiresAt: start.ExpiresAt, EndsAt: start.ExpiresAt, ImpersonatorID: by.ActorID,
	}
	s.queueMail(platform.MailSupportAccess, userID, s.users[n].Email)
	s.record(by)
	return s.users[n].User, nil
}

func (s *memoryStore) LastSeen(_ context.Context, userIDs []string) (map[string]time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	seen := make(map[string]time.Time)
	for _, u := range s.users {
		if slices.Contains(userIDs, u.ID) && !u.lastSeenAt.IsZero() {
			seen[u.ID] = u.lastSeenAt
		}
	}
	return seen, nil
}
