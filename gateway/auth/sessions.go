package auth

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

// RenewEvery is between two calls of Sessions.Renew.
const RenewEvery = 5 * time.Second

const (
	cacheTTL     = time.Minute     // bounds the harm of a notification that never came
	cacheEntries = 65_536          // sessions remembered, about 0.8 KiB each
	loadTimeout  = 5 * time.Second // for one read from the database

	renewBefore = 3 * RenewEvery // of the end of cacheTTL: two may fail
	renewBatch  = 500            // sessions read by one statement
)

// Identity is who sends a request, and the slice that serves them. It is
// shared between requests: nobody changes it.
type Identity struct {
	Session         [32]byte  // hash of the token
	SessionID       string    // by which users name it
	AuthenticatedAt time.Time // when the user last proved who they are
	ExpiresAt       time.Time // unless it is used before
	EndsAt          time.Time // however much it is used
	User            platform.User
	ImpersonatorID  string         // of the admin who acts for the user; "" for the user
	Slice           platform.Slice // zero if the user has none
	Scope           platform.Scope // of an API token; "" for a session
	SliceToken      string         // by which the slice knows the gateway; "" without a slice
}

// SessionStore reads sessions from the database.
type SessionStore interface {
	// Session returns a session and its user's slice, zero if there is none.
	// Returns ErrNotFound if the session does not exist or has expired.
	Session(ctx context.Context, tokenHash [32]byte) (platform.Session, platform.Slice, error)

	// Sessions gives each those of the sessions that exist and have not expired.
	Sessions(ctx context.Context, tokenHashes [][32]byte, each func(platform.Session, platform.Slice)) error
}

// Sessions authenticates requests. It remembers sessions for a short time,
// but only while it is told of changes (Resume, Suspend): what was revoked on
// another gateway must not live on here. It is safe for concurrent use.
type Sessions struct {
	store   SessionStore
	key     []byte // slice tokens are derived from it
	now     func() time.Time
	hits    prometheus.Counter
	misses  prometheus.Counter
	renewed prometheus.Counter
	flights singleflight.Group

	mu      sync.RWMutex
	live    bool                     // guarded by mu; notifications arrive
	epoch   uint64                   // guarded by mu; changes with each invalidation
	entries map[[32]byte]*cacheEntry // guarded by mu
	byUser  map[string]*cacheEntry   // guarded by mu; the first of each user's entries

	seenMu sync.Mutex
	seen   map[[32]byte]bool // guarded by seenMu; in use, and not noted in the database yet
}

type cacheEntry struct {
	Identity
	until          time.Time
	used           atomic.Bool // since it was remembered, by others than who had it read
	next, previous *cacheEntry // guarded by Sessions.mu; of the same user, nil at the ends
}

// NewSessions returns an authenticator that remembers nothing until Resume.
func NewSessions(store SessionStore, platformKey []byte, lookups *prometheus.CounterVec) *Sessions {
	return &Sessions{
		store: store, key: platformKey, now: time.Now,
		hits: lookups.WithLabelValues("hit"), misses: lookups.WithLabelValues("miss"), renewed: lookups.WithLabelValues("renewed"),
		entries: make(map[[32]byte]*cacheEntry), byUser: make(map[string]*cacheEntry),
		seen: make(map[[32]byte]bool),
	}
}

var errNoSession = platform.Errorf(platform.ErrUnauthenticated, "Log in first.")

// Authenticate returns who sends the request. Returns ErrUnauthenticated
// without a valid session, ErrBlocked if its user is blocked.
func (s *Sessions) Authenticate(r *http.Request) (*Identity, error) {
	hash, ok := platform.HashSessionToken(SessionToken(r))
	if !ok {
		return nil, errNoSession
	}
	id, err := s.Lookup(r.Context(), hash)
	if err == nil && id.ImpersonatorID != "" {
		request.From(r.Context()).ImpersonatorID = id.ImpersonatorID
	}
	return id, err
}

// ErrBlocked is the error of whoever acts for a user whom an admin blocked.
var ErrBlocked = platform.Errorf(platform.ErrForbidden, "Your account is blocked. Write to support if you think this is a mistake.")

// Lookup returns whose session has this token hash. Returns ErrUnauthenticated
// if it does not exist or has expired, ErrBlocked if its user is, ErrUnavailable
// if that cannot be told.
func (s *Sessions) Lookup(ctx context.Context, hash [32]byte) (*Identity, error) {
	e, err := s.lookup(ctx, hash)
	switch {
	case err != nil:
		return nil, err
	case e.User.Blocked:
		return nil, ErrBlocked
	}
	return &e.Identity, nil
}

func (s *Sessions) lookup(ctx context.Context, hash [32]byte) (*cacheEntry, error) {
	e, live, epoch := s.remembered(hash)
	if e != nil {
		s.hits.Inc()
		return e, nil
	}
	s.misses.Inc()
	if !live {
		return s.load(ctx, hash)
	}
	return s.loadShared(ctx, hash, epoch)
}

// remembered returns the entry of a session, nil when there is none that counts.
func (s *Sessions) remembered(hash [32]byte) (e *cacheEntry, live bool, epoch uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e = s.entries[hash]
	switch now := s.now(); {
	case e == nil:
	case !now.Before(e.until) || !now.Before(e.ExpiresAt):
		e = nil
	case !e.used.Load(): // most find that it is
		e.used.Store(true)
	}
	return e, s.live, s.epoch
}

// Reload returns what the database says now.
func (s *Sessions) Reload(ctx context.Context, hash [32]byte) (*Identity, error) {
	s.Invalidate(hash)
	return s.Lookup(ctx, hash)
}

// loadShared reads once for all who ask for the same session at the same time.
// What was read before an invalidation is neither remembered nor given to
// those who ask after it.
func (s *Sessions) loadShared(ctx context.Context, hash [32]byte, epoch uint64) (*cacheEntry, error) {
	key := string(binary.BigEndian.AppendUint64(hash[:], epoch))
	result := s.flights.DoChan(key, func() (any, error) {
		// Not the caller's context: others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		// Another flight may have landed since the caller looked.
		if e, _, now := s.remembered(hash); e != nil && now == epoch {
			return e, nil
		}
		e, err := s.load(ctx, hash)
		if err == nil {
			s.remember(e, epoch)
		}
		return e, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("session: %w", ctx.Err())
	case res := <-result:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*cacheEntry), nil
	}
}

func (s *Sessions) load(ctx context.Context, hash [32]byte) (*cacheEntry, error) {
	ses, slice, err := s.store.Session(ctx, hash)
	switch {
	case platform.CodeOf(err) == platform.ErrNotFound:
		return nil, errNoSession
	case err != nil:
		return nil, platform.Errorf(platform.ErrUnavailable, "Your session cannot be checked right now. Try again shortly.").WithCause(err)
	}
	return s.identify(ses, slice), nil
}

// identify returns whose session that is, and notes that it is in use: one that is gets
// read again every minute, which is often enough, and not with each request.
func (s *Sessions) identify(ses platform.Session, slice platform.Slice) *cacheEntry {
	if s.now().Sub(ses.LastSeenAt) >= platform.SessionSeenEvery {
		s.seenMu.Lock()
		s.seen[ses.TokenHash] = true
		s.seenMu.Unlock()
	}
	e := &cacheEntry{Identity: Identity{
		Session: ses.TokenHash, SessionID: ses.ID, AuthenticatedAt: ses.AuthenticatedAt, ExpiresAt: ses.ExpiresAt, EndsAt: ses.EndsAt,
		User: ses.User, ImpersonatorID: ses.ImpersonatorID, Slice: slice, Scope: ses.Scope,
	}}
	if slice.Number != 0 {
		e.SliceToken = platform.SliceToken(s.key, slice.Number, slice.Generation)
	}
	e.compact()
	return e
}

// compact puts all text into one piece of memory: most of it is read with each
// request, and the collector of garbage has the less to follow.
func (id *Identity) compact() {
	parts := [...]*string{
		&id.User.ID, &id.User.Email, &id.SliceToken, (*string)(&id.Slice.State), (*string)(&id.User.Role), (*string)(&id.Scope),
		&id.ImpersonatorID, &id.SessionID, &id.Slice.UserID, &id.Slice.Failure,
	}
	size := 0
	for _, p := range parts {
		size += len(*p)
	}
	var all strings.Builder
	all.Grow(size)
	for _, p := range parts {
		all.WriteString(*p)
	}
	rest := all.String()
	for _, p := range parts {
		*p, rest = rest[:len(*p)], rest[len(*p):]
	}
}

// TakeSeen returns the sessions that are in use without the database knowing,
// each once.
func (s *Sessions) TakeSeen() [][32]byte {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	all := slices.Collect(maps.Keys(s.seen))
	clear(s.seen)
	return all
}

func (s *Sessions) remember(e *cacheEntry, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || s.epoch != epoch {
		return
	}
	if old := s.entries[e.Session]; old != nil {
		s.forget(old)
	} else if len(s.entries) >= cacheEntries {
		for _, one := range s.entries { // any: it is read again when needed
			s.forget(one)
			break
		}
	}
	e.until = s.now().Add(cacheTTL)
	s.add(e)
}

// add puts an entry in. The caller holds mu.
func (s *Sessions) add(e *cacheEntry) {
	s.entries[e.Session] = e
	if e.next = s.byUser[e.User.ID]; e.next != nil {
		e.next.previous = e
	}
	s.byUser[e.User.ID] = e
}

// forget undoes add. The caller holds mu.
func (s *Sessions) forget(e *cacheEntry) {
	delete(s.entries, e.Session)
	if e.next != nil {
		e.next.previous = e.previous
	}
	switch {
	case e.previous != nil:
		e.previous.next = e.next
	case e.next != nil:
		s.byUser[e.next.User.ID] = e.next // the key is part of what stays
	default:
		delete(s.byUser, e.User.ID)
	}
	e.next, e.previous = nil, nil // a request may hold it for long
}

// Renew reads the sessions that are in use again before they are forgotten, many at once:
// nobody who is at work waits for the database every minute. It is called at each
// RenewEvery.
func (s *Sessions) Renew(ctx context.Context) error {
	due, over := s.due()
	for batch := range slices.Chunk(over, renewBatch) {
		s.forgetThese(batch)
	}
	for batch := range slices.Chunk(due, renewBatch) {
		if err := s.renewThese(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// due returns the entries in use that are soon over, and those that are.
func (s *Sessions) due() (due, over []*cacheEntry) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	for _, e := range s.entries {
		switch left := e.until.Sub(now); {
		case left <= 0:
			over = append(over, e)
		case left < renewBefore && e.used.Load():
			due = append(due, e)
		}
	}
	return due, over
}

func (s *Sessions) forgetThese(batch []*cacheEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		if s.entries[e.Session] == e {
			s.forget(e)
		}
	}
}

// renewThese leaves alone whatever was read or invalidated meanwhile.
func (s *Sessions) renewThese(ctx context.Context, batch []*cacheEntry) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	until := s.now().Add(cacheTTL)
	hashes := make([][32]byte, len(batch))
	for i, e := range batch {
		hashes[i] = e.Session
	}
	read := make(map[[32]byte]*cacheEntry, len(batch))
	err := s.store.Sessions(ctx, hashes, func(ses platform.Session, slice platform.Slice) {
		read[ses.TokenHash] = s.identify(ses, slice)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		if s.entries[e.Session] != e {
			continue
		}
		s.forget(e)
		if fresh := read[e.Session]; fresh != nil {
			// Not in use yet: it is read ahead once more only if somebody comes.
			fresh.until = until
			s.add(fresh)
			s.renewed.Inc()
		}
	}
	return nil
}

// Invalidate says that a session changed or ended.
func (s *Sessions) Invalidate(hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if e := s.entries[hash]; e != nil {
		s.forget(e)
	}
}

// InvalidateUser says that something about a user or their slice changed.
func (s *Sessions) InvalidateUser(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for e := s.byUser[userID]; e != nil; e = s.byUser[userID] {
		s.forget(e)
	}
}

// Resume says that from now on all changes are told: sessions are remembered.
func (s *Sessions) Resume() { s.reset(true) }

// Suspend says that changes may be missed: nothing is remembered until Resume.
func (s *Sessions) Suspend() { s.reset(false) }

func (s *Sessions) reset(live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = live
	s.epoch++
	for _, e := range s.entries {
		s.forget(e)
	}
}
