package auth

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	cacheEntries = 65_536          // sessions remembered, about 0.5 KiB each
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
	live    bool                         // guarded by mu; notifications arrive
	epoch   uint64                       // guarded by mu; changes with each invalidation
	entries map[[32]byte]*cacheEntry     // guarded by mu
	byUser  map[string]map[[32]byte]bool // guarded by mu; the keys of entries

	seenMu sync.Mutex
	seen   map[[32]byte]bool // guarded by seenMu; in use, and not noted in the database yet
}

type cacheEntry struct {
	identity *Identity
	until    time.Time
	used     atomic.Bool // since it was remembered, by others than who had it read
}

// NewSessions returns an authenticator that remembers nothing until Resume.
func NewSessions(store SessionStore, platformKey []byte, lookups *prometheus.CounterVec) *Sessions {
	return &Sessions{
		store: store, key: platformKey, now: time.Now,
		hits: lookups.WithLabelValues("hit"), misses: lookups.WithLabelValues("miss"), renewed: lookups.WithLabelValues("renewed"),
		entries: make(map[[32]byte]*cacheEntry), byUser: make(map[string]map[[32]byte]bool),
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
	id, err := s.lookup(ctx, hash)
	if err == nil && id.User.Blocked {
		return nil, ErrBlocked
	}
	return id, err
}

func (s *Sessions) lookup(ctx context.Context, hash [32]byte) (*Identity, error) {
	id, live, epoch := s.remembered(hash)
	if id != nil {
		s.hits.Inc()
		return id, nil
	}
	s.misses.Inc()
	if !live {
		return s.load(ctx, hash)
	}
	return s.loadShared(ctx, hash, epoch)
}

// remembered returns the identity of a session, nil when it is not in the cache.
func (s *Sessions) remembered(hash [32]byte) (id *Identity, live bool, epoch uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[hash]
	if now := s.now(); ok && now.Before(e.until) && now.Before(e.identity.ExpiresAt) {
		if id = e.identity; !e.used.Load() { // most find that it is
			e.used.Store(true)
		}
	}
	return id, s.live, s.epoch
}

// Reload returns what the database says now.
func (s *Sessions) Reload(ctx context.Context, hash [32]byte) (*Identity, error) {
	s.Invalidate(hash)
	return s.Lookup(ctx, hash)
}

// loadShared reads once for all who ask for the same session at the same time.
// What was read before an invalidation is neither remembered nor given to
// those who ask after it.
func (s *Sessions) loadShared(ctx context.Context, hash [32]byte, epoch uint64) (*Identity, error) {
	key := string(binary.BigEndian.AppendUint64(hash[:], epoch))
	result := s.flights.DoChan(key, func() (any, error) {
		// Not the caller's context: others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		// Another flight may have landed since the caller looked.
		if id, _, now := s.remembered(hash); id != nil && now == epoch {
			return id, nil
		}
		id, err := s.load(ctx, hash)
		if err == nil {
			s.remember(id, epoch)
		}
		return id, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("session: %w", ctx.Err())
	case res := <-result:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*Identity), nil
	}
}

func (s *Sessions) load(ctx context.Context, hash [32]byte) (*Identity, error) {
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
func (s *Sessions) identify(ses platform.Session, slice platform.Slice) *Identity {
	if s.now().Sub(ses.LastSeenAt) >= platform.SessionSeenEvery {
		s.seenMu.Lock()
		s.seen[ses.TokenHash] = true
		s.seenMu.Unlock()
	}
	id := &Identity{
		Session: ses.TokenHash, SessionID: ses.ID, AuthenticatedAt: ses.AuthenticatedAt, ExpiresAt: ses.ExpiresAt, EndsAt: ses.EndsAt,
		User: ses.User, ImpersonatorID: ses.ImpersonatorID, Slice: slice, Scope: ses.Scope,
	}
	if slice.Number != 0 {
		id.SliceToken = platform.SliceToken(s.key, slice.Number, slice.Generation)
	}
	return id
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

func (s *Sessions) remember(id *Identity, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || s.epoch != epoch {
		return
	}
	if _, known := s.entries[id.Session]; !known && len(s.entries) >= cacheEntries {
		for h, e := range s.entries { // any: it is read again when needed
			s.forget(h, e.identity.User.ID)
			break
		}
	}
	s.entries[id.Session] = &cacheEntry{identity: id, until: s.now().Add(cacheTTL)}
	of := s.byUser[id.User.ID]
	if of == nil {
		of = make(map[[32]byte]bool, 1)
		s.byUser[id.User.ID] = of
	}
	of[id.Session] = true
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

// keyedEntry is an entry as it was found.
type keyedEntry struct {
	hash  [32]byte
	entry *cacheEntry
}

// due returns the entries in use that are soon over, and those that are.
func (s *Sessions) due() (due, over []keyedEntry) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	for hash, e := range s.entries {
		switch left := e.until.Sub(now); {
		case left <= 0:
			over = append(over, keyedEntry{hash, e})
		case left < renewBefore && e.used.Load():
			due = append(due, keyedEntry{hash, e})
		}
	}
	return due, over
}

func (s *Sessions) forgetThese(batch []keyedEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range batch {
		if s.entries[k.hash] == k.entry {
			s.forget(k.hash, k.entry.identity.User.ID)
		}
	}
}

// renewThese leaves alone whatever was read or invalidated meanwhile.
func (s *Sessions) renewThese(ctx context.Context, batch []keyedEntry) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	until := s.now().Add(cacheTTL)
	hashes := make([][32]byte, len(batch))
	for i, k := range batch {
		hashes[i] = k.hash
	}
	fresh := make(map[[32]byte]*Identity, len(batch))
	err := s.store.Sessions(ctx, hashes, func(ses platform.Session, slice platform.Slice) {
		fresh[ses.TokenHash] = s.identify(ses, slice)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range batch {
		switch id := fresh[k.hash]; {
		case s.entries[k.hash] != k.entry:
		case id == nil:
			s.forget(k.hash, k.entry.identity.User.ID)
		default:
			// Not in use yet: it is read ahead once more only if somebody comes.
			s.entries[k.hash] = &cacheEntry{identity: id, until: until}
			s.renewed.Inc()
		}
	}
	return nil
}

// forget removes an entry. The caller holds mu.
func (s *Sessions) forget(hash [32]byte, userID string) {
	delete(s.entries, hash)
	if of := s.byUser[userID]; of != nil {
		delete(of, hash)
		if len(of) == 0 {
			delete(s.byUser, userID)
		}
	}
}

// Invalidate says that a session changed or ended.
func (s *Sessions) Invalidate(hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if e, ok := s.entries[hash]; ok {
		s.forget(hash, e.identity.User.ID)
	}
}

// InvalidateUser says that something about a user or their slice changed.
func (s *Sessions) InvalidateUser(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for hash := range s.byUser[userID] {
		delete(s.entries, hash)
	}
	delete(s.byUser, userID)
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
	clear(s.entries)
	clear(s.byUser)
}
