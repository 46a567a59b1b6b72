//go:build integration

package consul_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"ipnoelp.io/platform/consul"
)

// takeover is how long another leader may take to act: the session's life of
// up to twice its 10 s, the lock delay, and time to notice.
const takeover = 40 * time.Second

// candidate is one instance that wants to lead.
type candidate struct {
	leads  chan context.Context // the context of each term that began
	ends   chan struct{}        // a term ended
	cancel context.CancelFunc
	done   chan error
}

func campaign(t *testing.T, c *api.Client, key, instance string) *candidate {
	t.Helper()
	k := &candidate{leads: make(chan context.Context, 8), ends: make(chan struct{}, 8), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	k.cancel = cancel
	l := consul.NewLeader(c, key, instance, slog.New(slog.NewTextHandler(t.Output(), nil)))
	go func() {
		k.done <- l.Lead(ctx, func(term context.Context) error {
			k.leads <- term
			<-term.Done()
			k.ends <- struct{}{}
			return nil
		})
	}()
	return k
}

func await[T any](t *testing.T, c chan T, within time.Duration, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
		panic("unreachable")
	}
}

func (k *candidate) stop(t *testing.T) {
	t.Helper()
	k.cancel()
	if err := await(t, k.done, takeover, "a candidate ends"); err != nil {
		t.Error(err)
	}
}

// testKey lies beside the real one, so that the same policy holds and no
// platform that happens to run is disturbed.
func testKey(t *testing.T, admin *api.Client) string {
	key := consul.LeaderKey + "/test-" + rand.Text()
	t.Cleanup(func() {
		if _, err := admin.KV().Delete(key, nil); err != nil {
			t.Error(err)
		}
	})
	return key
}

func TestOneLeads(t *testing.T) {
	t.Parallel()
	admin, _ := management(t)
	c, key := clientOf(t, "provisioner"), testKey(t, admin)
	first := campaign(t, c, key, "first")
	term := await(t, first.leads, takeover, "the first leads")
	second := campaign(t, c, key, "second")
	select {
	case <-second.leads:
		t.Fatal("two lead")
	case <-time.After(3 * time.Second):
	}
	// A leader that leaves hands over at once.
	first.stop(t)
	if term.Err() == nil {
		t.Error("the term goes on after its leader left")
	}
	await(t, second.leads, 3*time.Second, "the second takes over")
	second.stop(t)
}

func TestLostSessionEndsTheTermFirst(t *testing.T) {
	t.Parallel()
	admin, _ := management(t)
	c, key := clientOf(t, "provisioner"), testKey(t, admin)
	first := campaign(t, c, key, "first")
	await(t, first.leads, takeover, "the first leads")
	second := campaign(t, c, key, "second")
	pair, _, err := admin.KV().Get(key, nil)
	if err != nil || pair == nil || pair.Session == "" {
		t.Fatalf("nobody holds the lock: %v %v", pair, err)
	}
	if _, err := admin.Session().Destroy(pair.Session, nil); err != nil {
		t.Fatal(err)
	}
	await(t, first.ends, time.Second, "the old term ends, within the lock delay")
	select { // either may lead next, after the lock delay
	case <-first.leads:
	case <-second.leads:
	case <-time.After(takeover):
		t.Fatal("nobody leads any more")
	}
	first.stop(t)
	second.stop(t)
}

// A killed process gives nothing up: the session is what it leaves behind.
func TestSuccession(t *testing.T) {
	t.Parallel()
	admin, _ := management(t)
	c := clientOf(t, "provisioner")
	leave := func(t *testing.T) (key string) {
		key = testKey(t, admin)
		id, _, err := admin.Session().Create(&api.SessionEntry{Name: key + " killed", TTL: "10s", LockDelay: 2 * time.Second, Behavior: api.SessionBehaviorRelease}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if held, _, err := admin.KV().Acquire(&api.KVPair{Key: key, Session: id}, nil); err != nil || !held {
			t.Fatal(errors.Join(err, errors.New("lock not acquired")))
		}
		return key
	}
	t.Run("the same instance carries on at once", func(t *testing.T) {
		again := campaign(t, c, leave(t), "killed")
		await(t, again.leads, time.Second, "it leads again")
		again.stop(t)
	})
	t.Run("another one waits for the session to end", func(t *testing.T) {
		start := time.Now()
		other := campaign(t, c, leave(t), "other")
		await(t, other.leads, takeover, "it leads")
		if waited := time.Since(start); waited < 10*time.Second {
			t.Errorf("led after %v, while the killed one might have been alive", waited)
		}
		other.stop(t)
	})
}
