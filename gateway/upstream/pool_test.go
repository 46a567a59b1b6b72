package upstream

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// pipes are connections to addr that were used just now; each knows a Server of its
// own, as when all were dialled at once.
func pipes(t *testing.T, addr string, n int) (all []*conn) {
	for range n {
		nc, other := net.Pipe()
		t.Cleanup(func() { nc.Close(); other.Close() })
		all = append(all, &conn{Conn: nc, server: NewServer(addr), since: time.Now()})
	}
	return all
}

func isClosed(c *conn) bool { return errors.Is(c.SetDeadline(time.Time{}), io.ErrClosedPipe) }

// A connection that was in use while the others of its address were dropped is
// kept like any other.
func TestPoolKeepsWhatComesBackLater(t *testing.T) {
	var p pool
	p.init(2, 3, time.Minute)
	t.Cleanup(p.close)
	of := pipes(t, "a", 3)
	for _, c := range of[:2] {
		if p.add(c) != nil {
			t.Fatal("not kept")
		}
	}
	if p.add(of[2]) != of[2] {
		t.Error("more are kept for one address than may be")
	}
	if got := p.take(NewServer("a")); got != of[1] {
		t.Fatal("not the one that was used last")
	}
	p.drop(NewServer("a"))
	if p.take(NewServer("a")) != nil || p.len() != 0 {
		t.Error("one that was dropped is there")
	}
	if p.add(of[1]) != nil || p.take(NewServer("a")) != of[1] {
		t.Error("what comes back later is lost")
	}
	if p.add(of[2]) != nil || p.add(of[1]) != nil || p.len() != 2 {
		t.Errorf("%d are kept, want 2", p.len())
	}
	// The oldest makes room, whosever it is.
	others := pipes(t, "b", 2)
	if p.add(others[0]) != nil {
		t.Error("there was room")
	}
	if p.add(others[1]) != of[2] || p.len() != 3 {
		t.Error("the oldest did not make room")
	}
	if p.take(NewServer("a")) != of[1] || p.take(NewServer("a")) != nil || p.take(NewServer("b")) != others[1] || p.take(NewServer("b")) != others[0] {
		t.Error("not what was kept")
	}
	if p.add(of[1]) != nil || p.add(others[0]) != nil || p.add(of[2]) != nil {
		t.Error("not kept")
	}
	if p.add(others[1]) != of[1] || p.take(NewServer("a")) != of[2] {
		t.Error("the oldest of two did not make room")
	}
}

// The oldest that makes room may have been all that its address had.
func TestPoolOfOne(t *testing.T) {
	var p pool
	p.init(2, 1, time.Minute)
	t.Cleanup(p.close)
	of := pipes(t, "a", 2)
	if p.add(of[0]) != nil || p.take(NewServer("a")) != of[0] || p.add(of[1]) != nil {
		t.Fatal("not kept")
	}
	if p.add(of[0]) != of[1] || p.take(NewServer("a")) != of[0] || p.len() != 0 {
		t.Error("the latest is not the one that is kept")
	}
}

// What is too old is closed, what is not stays, and so does the way back for what
// is in use.
func TestPoolExpires(t *testing.T) {
	var p pool
	p.init(2, 9, time.Hour)
	t.Cleanup(p.close)
	old, young, used := pipes(t, "a", 1)[0], pipes(t, "a", 1)[0], pipes(t, "b", 1)[0]
	old.since = old.since.Add(-2 * time.Hour)
	for _, c := range []*conn{old, young, used} {
		if p.add(c) != nil {
			t.Fatal("not kept")
		}
	}
	if p.take(NewServer("b")) != used {
		t.Fatal("not there")
	}
	p.expire()
	if !isClosed(old) || isClosed(young) || isClosed(used) {
		t.Error("closed is not what is too old")
	}
	if len(p.servers) != 1 || p.len() != 1 {
		t.Errorf("%d servers and %d connections are left, want 1 of each", len(p.servers), p.len())
	}
	if p.add(used) != nil || p.take(NewServer("b")) != used || p.take(NewServer("a")) != young || p.take(NewServer("a")) != nil {
		t.Error("not what was kept")
	}
}

func TestPoolClosesWhatItDrops(t *testing.T) {
	var p pool
	p.init(2, 9, time.Hour)
	dropped, closed, late := pipes(t, "a", 1)[0], pipes(t, "b", 1)[0], pipes(t, "b", 1)[0]
	if p.add(dropped) != nil || p.add(closed) != nil {
		t.Fatal("not kept")
	}
	p.drop(NewServer("a"))
	if !isClosed(dropped) || isClosed(closed) || len(p.servers) != 1 {
		t.Error("closed is not what was dropped")
	}
	p.close()
	if !isClosed(closed) || p.add(late) != late {
		t.Error("something is kept by a pool that is closed")
	}
}
