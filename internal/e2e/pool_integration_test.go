//go:build integration

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A claim is followed by a new warm slice.
func TestPoolIsRefilledAfterEachClaim(t *testing.T) {
	b := setup(t)
	for range 3 {
		b.waitWarm(t, 1)
		b.signUp(t)
	}
	b.waitWarm(t, 1)
}

// 20 sign-ups at once with one warm slice: all get one, each a different one,
// those who had to wait in the order in which they came.
func TestManySignUpsAtOnce(t *testing.T) {
	const n = 20
	b := setup(t)
	b.waitWarm(t, 1)
	users := make([]*user, n)
	var wg sync.WaitGroup
	for i := range users {
		users[i] = &user{client: b.client(t)}
		b.retireAtEnd(t, users[i])
		wg.Go(func() {
			a, err := users[i].try(t.Context(), "POST", "/auth/signup", map[string]string{"email": newEmail(), "password": password})
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("sign-up %d: status %d, %v: %s", i, a.status, err, a.body)
				return
			}
			a.into(t, &users[i].me)
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	waiting := 0
	for _, u := range users {
		switch s := u.me.Slice; {
		case s.State == "queued" && s.Position != nil && *s.Position >= 1 && *s.Position <= n:
			waiting++
		case s.State != "assigned":
			t.Errorf("after sign-up: %+v", s)
		}
	}
	if waiting == 0 {
		t.Error("nobody had to wait: the test shows nothing about the queue")
	}
	numbers := map[int]bool{}
	var ids []string
	eventually(t, 5*time.Minute, func() error {
		left := 0
		for _, u := range users {
			u.want(http.StatusOK, "GET", "/auth/me", nil).into(t, &u.me)
			if u.me.Slice.State != "assigned" {
				left++
			}
		}
		if left > 0 {
			return fmt.Errorf("%d of %d still wait", left, n)
		}
		return nil
	})
	for _, u := range users {
		b.waitAssigned(t, u)
		numbers[u.number] = true
		ids = append(ids, u.me.User.ID)
		u.want(http.StatusOK, "GET", "/api/whatsapp", nil)
	}
	if len(numbers) != n {
		t.Errorf("%d different slices for %d users", len(numbers), n)
	}
	// In the order of claiming: their places in the queue.
	rows, err := b.db.Query(t.Context(), `SELECT queue_id FROM gateway.claims WHERE user_id = ANY($1) AND queue_id IS NOT NULL ORDER BY id`, ids)
	if err != nil {
		t.Fatal(err)
	}
	order, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	if len(order) != waiting {
		t.Errorf("%d claims from the queue, want %d", len(order), waiting)
	}
	if !slices.IsSorted(order) {
		t.Errorf("served in the order %v", order)
	}
}
