package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
)

// LeaderKey is the lock of the provisioners.
const LeaderKey = "platform/provisioner/leader"

const (
	sessionTTL = 10 * time.Second // Consul's least; it ends a session that was not renewed for one to two of these
	lockDelay  = 2 * time.Second  // after a session was ended: for the old leader's requests to come to rest

	renewEvery   = sessionTTL / 4
	renewTimeout = sessionTTL / 4
	// A leader gives up on its own when it could not renew for so long:
	// before Consul may end its session and somebody else can act.
	leaseTime = sessionTTL * 3 / 4

	campaignWait  = 30 * time.Second // one blocking query for the lock to become free
	campaignRetry = time.Second      // after an error
	releaseTime   = 3 * time.Second  // for giving the lock up at the end
)

var errLost = errors.New("leadership lost")

// Leader runs something on one of several instances: the one that holds a lock
// in Consul.
type Leader struct {
	client   *api.Client
	key      string
	instance string
	log      *slog.Logger
}

// NewLeader returns a candidate for the lock at key. The instance names this
// process and no other one that runs at the same time: one that starts under
// the name of a holder that was killed carries on with its session at once,
// where another instance has to wait for the session to end.
func NewLeader(client *api.Client, key, instance string, log *slog.Logger) *Leader {
	return &Leader{client: client, key: key, instance: instance, log: log}
}

// Lead waits for the lock, calls run, and begins again if the lock was lost,
// until ctx is done or run returns by itself. The context of run is done
// before another instance can get the lock, and Lead has nothing running when
// it returns.
func (l *Leader) Lead(ctx context.Context, run func(context.Context) error) error {
	for {
		err := l.term(ctx, run)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errTerm) {
			return err
		}
		l.log.Warn("not leading", "error", err)
		sleep(ctx, campaignRetry/2+rand.N(campaignRetry))
	}
}

// errTerm marks errors after which the next term may go better.
var errTerm = errors.New("term ended")

// term is the life of one session.
func (l *Leader) term(ctx context.Context, run func(context.Context) error) error {
	renewed := time.Now()
	session, err := l.session(ctx)
	if err != nil {
		return errors.Join(errTerm, err)
	}
	defer l.release(ctx, session)

	alive, lose := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		lose(l.keep(alive, session, renewed))
	}()
	defer func() {
		lose(nil)
		<-kept
	}()
	if err := l.acquire(alive, session); err != nil {
		return errors.Join(errTerm, err, context.Cause(alive))
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		lose(l.watch(alive, session))
	}()
	defer func() {
		lose(nil)
		<-watched
	}()
	err = run(alive)
	if cause := context.Cause(alive); cause != nil && ctx.Err() == nil {
		return errors.Join(errTerm, cause, err)
	}
	return err
}

// session returns the session that this instance left holding the lock, or a
// new one.
func (l *Leader) session(ctx context.Context) (string, error) {
	q := (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
	pair, _, err := l.client.KV().Get(l.key, q)
	if err != nil {
		return "", fmt.Errorf("read lock %s: %w", l.key, err)
	}
	if pair != nil && pair.Session != "" {
		entry, _, err := l.client.Session().Info(pair.Session, q)
		if err != nil {
			return "", fmt.Errorf("read session of lock %s: %w", l.key, err)
		}
		if entry != nil && entry.Name == l.sessionName() {
			if entry, _, err = l.client.Session().Renew(pair.Session, write(ctx)); err == nil && entry != nil {
				return pair.Session, nil
			}
		}
	}
	id, _, err := l.client.Session().Create(&api.SessionEntry{
		Name: l.sessionName(), TTL: sessionTTL.String(), LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
	}, write(ctx))
	if err != nil {
		return "", fmt.Errorf("create session: %w", err)
	}
	return id, nil
}

func (l *Leader) sessionName() string { return l.key + " " + l.instance }

// keep renews the session until ctx is done, and returns an error as soon as
// it may have ended. renewed is when the session was known to be there.
func (l *Leader) keep(ctx context.Context, session string, renewed time.Time) error {
	for {
		if !sleep(ctx, min(renewEvery, time.Until(renewed.Add(leaseTime)))) {
			return nil
		}
		start := time.Now()
		attempt, cancel := context.WithTimeout(ctx, min(renewTimeout, time.Until(renewed.Add(leaseTime))))
		entry, _, err := l.client.Session().Renew(session, write(attempt))
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && entry == nil:
			return fmt.Errorf("%w: the session was ended", errLost)
		case err == nil:
			renewed = start
		case time.Since(renewed) >= leaseTime:
			return fmt.Errorf("%w: could not renew the session: %w", errLost, err)
		default:
			l.log.Warn("renew session", "error", err)
			if !sleep(ctx, min(campaignRetry, time.Until(renewed.Add(leaseTime)))) {
				return nil
			}
		}
	}
}

// acquire returns nil once the session holds the lock.
func (l *Leader) acquire(ctx context.Context, session string) error {
	pair := &api.KVPair{Key: l.key, Value: []byte(l.instance), Session: session}
	var index uint64
	for {
		held, _, err := l.client.KV().Acquire(pair, write(ctx))
		if err != nil {
			return fmt.Errorf("acquire lock %s: %w", l.key, err)
		}
		if held {
			return nil
		}
		q := &api.QueryOptions{RequireConsistent: true, WaitIndex: index, WaitTime: campaignWait}
		current, meta, err := l.client.KV().Get(l.key, q.WithContext(ctx))
		if err != nil {
			return fmt.Errorf("read lock %s: %w", l.key, err)
		}
		index = max(meta.LastIndex, 1) // 0 would not wait
		if current == nil || current.Session == "" {
			// Free, but Consul holds it back for the lock delay.
			index = 0
			if !sleep(ctx, lockDelay/10) {
				return ctx.Err()
			}
		}
	}
}

// watch returns an error as soon as the session does not hold the lock: an
// operator may have ended it. Until it can ask again, keep decides.
func (l *Leader) watch(ctx context.Context, session string) error {
	var index uint64
	for {
		q := &api.QueryOptions{RequireConsistent: true, WaitIndex: index, WaitTime: campaignWait}
		pair, meta, err := l.client.KV().Get(l.key, q.WithContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !sleep(ctx, campaignRetry) {
				return nil
			}
			index = 0
		case pair == nil || pair.Session != session:
			return fmt.Errorf("%w: the lock was taken away", errLost)
		default:
			index = max(meta.LastIndex, 1)
		}
	}
}

// release gives the lock up, so that another instance gets it without delay.
// If it cannot, Consul ends the session in time.
func (l *Leader) release(ctx context.Context, session string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if _, _, err := l.client.KV().Release(&api.KVPair{Key: l.key, Session: session}, write(ctx)); err != nil {
		l.log.Warn("release lock", "error", err)
	}
	if _, err := l.client.Session().Destroy(session, write(ctx)); err != nil {
		l.log.Warn("end session", "error", err)
	}
}

func write(ctx context.Context) *api.WriteOptions { return (&api.WriteOptions{}).WithContext(ctx) }

// sleep reports whether it lasted to its end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
