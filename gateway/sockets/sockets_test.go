package sockets

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform"
)

// closings notes when sockets are closed, and with which code.
type closings struct {
	mu    sync.Mutex
	start time.Time
	at    []time.Duration // guarded by mu
	codes map[int]int     // guarded by mu
}

func (c *closings) add(t *testing.T, r *Registry, n int) {
	t.Helper()
	c.start, c.codes = time.Now(), make(map[int]int)
	for i := range n {
		_, err := r.Add(Slice, [32]byte{byte(i), byte(i >> 8)}, fmt.Sprint(i), never, func(code int) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at = append(c.at, time.Since(c.start))
			c.codes[code]++
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDrainIsSpread(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 0, 5: 4 * drainStep, 1000: 25 * time.Second, 25_000: 25 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r, c := NewRegistry(), &closings{}
			c.add(t, r, n)
			r.Drain(t.Context(), 25*time.Second)
			took := time.Since(c.start)
			if took > want || took < want*9/10 {
				t.Errorf("%d sockets: %s, want %s", n, took, want)
			}
			if c.codes[CloseGoingAway] != n {
				t.Errorf("%d sockets closed with %v", n, c.codes)
			}
			// As many in each fifth of the time, within a tenth.
			if n >= 1000 {
				var fifths [5]int
				for _, at := range c.at {
					fifths[min(4, int(5*at/want))]++
				}
				for i, got := range fifths {
					if got < n*9/50 || got > n*11/50 {
						t.Errorf("%d of %d in part %d", got, n, i+1)
					}
				}
			}
			if _, err := r.Add(Slice, [32]byte{}, "late", never, func(int) {}); platform.CodeOf(err) != platform.ErrUnavailable {
				t.Errorf("once it stops: %v", err)
			}
		})
	}
}

// When there is no time left, the rest goes at once.
func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := NewRegistry(), &closings{}
		c.add(t, r, 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r.Drain(ctx, 25*time.Second)
		if took := time.Since(c.start); took != 5*time.Second || len(c.at) != 1000 {
			t.Errorf("%d closed after %s", len(c.at), took)
		}
	})
}

func TestSocketsOfAUserAreBounded(t *testing.T) {
	r := NewRegistry()
	add := func(user string) (*Socket, error) { return r.Add(Slice, [32]byte{1}, user, never, func(int) {}) }
	var first *Socket
	for i := range 32 {
		s, err := add("ana")
		if err != nil {
			t.Fatalf("socket %d: %v", i+1, err)
		}
		if first == nil {
			first = s
		}
	}
	if _, err := add("ana"); platform.CodeOf(err) != platform.ErrTooMany {
		t.Errorf("one more: %v", err)
	}
	if _, err := add("ben"); err != nil {
		t.Errorf("another user: %v", err)
	}
	r.Remove(first)
	r.Remove(first) // once more frees nothing
	if _, err := add("ana"); err != nil {
		t.Errorf("in place of one that ended: %v", err)
	}
	if _, err := add("ana"); platform.CodeOf(err) != platform.ErrTooMany {
		t.Errorf("one more: %v", err)
	}
}

// never is an end that no test reaches.
var never = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestWhatIsClosed(t *testing.T) {
	type socket struct {
		kind          Kind
		session, user string
		endsAt        time.Time
	}
	soon := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	all := []socket{{Slice, "a1", "ana", soon}, {Own, "a1", "ana", soon}, {Slice, "a2", "ana", never}, {Slice, "b1", "ben", soon.Add(1)}}
	for name, c := range map[string]struct {
		close func(*Registry)
		want  []bool
	}{
		"session":            {func(r *Registry) { r.CloseSession([32]byte([]byte(fmt.Sprintf("%-32s", "a1")))) }, []bool{true, true, false, false}},
		"slice":              {func(r *Registry) { r.CloseSlice("ana") }, []bool{true, false, true, false}},
		"user":               {func(r *Registry) { r.CloseUser("ana") }, []bool{true, true, true, false}},
		"slice of a session": {func(r *Registry) { r.CloseSliceOf([32]byte([]byte(fmt.Sprintf("%-32s", "a1")))) }, []bool{true, false, false, false}},

		"before the time is over": {func(r *Registry) { r.CloseOver(soon.Add(-1)) }, []bool{false, false, false, false}},
		"time is over":            {func(r *Registry) { r.CloseOver(soon) }, []bool{true, true, false, false}},

		"nobody": {func(r *Registry) { r.CloseSlice("zoe") }, []bool{false, false, false, false}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := NewRegistry()
			got := make([]int, len(all))
			for i, s := range all {
				if _, err := r.Add(s.kind, [32]byte([]byte(fmt.Sprintf("%-32s", s.session))), s.user, s.endsAt, func(code int) { got[i] = code }); err != nil {
					t.Fatal(err)
				}
			}
			c.close(r)
			synctest.Wait()
			for i, want := range c.want {
				if (got[i] == ClosePolicyViolation) != want || !want && got[i] != 0 {
					t.Errorf("%s: socket %d closed with %d, want it closed: %v", name, i, got[i], want)
				}
			}
		})
	}
}

// A client that reads nothing holds up neither the others nor who ends its session.
func TestNobodyWaitsForSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, closed := NewRegistry(), make(chan int)
		for range 3 {
			if _, err := r.Add(Slice, [32]byte{1}, "ana", never, func(code int) { time.Sleep(time.Second); closed <- code }); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		r.CloseUser("ana")
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s", took)
		}
		for range 3 {
			<-closed
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("all were closed after %s, not side by side", took)
		}
	})
}
