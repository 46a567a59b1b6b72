package upstream

import (
	"net"
	"testing"
	"time"
)

// A connection that was in use while the others of its address were dropped is
// kept like any other.
func TestPoolKeepsWhatComesBackLater(t *testing.T) {
	var p pool
	p.init(2, 3, time.Minute)
	t.Cleanup(p.close)
	conns := func(addr string, n int) (all []*conn) {
		for range n {
			nc, other := net.Pipe()
			t.Cleanup(func() { other.Close() })
			all = append(all, &conn{Conn: nc, addr: addr, idle: time.Now()})
		}
		return all
	}
	of := conns("a", 3)
	for _, c := range of[:2] {
		if p.add(c) != nil {
			t.Fatal("not kept")
		}
	}
	if p.add(of[2]) != of[2] {
		t.Error("more are kept for one address than may be")
	}
	if got := p.take("a"); got != of[1] {
		t.Fatal("not the one that was used last")
	}
	p.drop("a")
	if p.take("a") != nil || p.len() != 0 {
		t.Error("one that was dropped is there")
	}
	if p.add(of[1]) != nil || p.take("a") != of[1] {
		t.Error("what comes back later is lost")
	}
	if p.add(of[2]) != nil || p.add(of[1]) != nil || p.len() != 2 {
		t.Errorf("%d are kept, want 2", p.len())
	}
	// The oldest makes room, whosever it is.
	others := conns("b", 2)
	if p.add(others[0]) != nil {
		t.Error("there was room")
	}
	if p.add(others[1]) != of[2] || p.len() != 3 {
		t.Error("the oldest did not make room")
	}
	if p.take("a") != of[1] || p.take("a") != nil || p.take("b") != others[1] || p.take("b") != others[0] {
		t.Error("not what was kept")
	}
	if p.add(of[1]) != nil || p.add(others[0]) != nil || p.add(of[2]) != nil {
		t.Error("not kept")
	}
	if p.add(others[1]) != of[1] || p.take("a") != of[2] {
		t.Error("the oldest of two did not make room")
	}
}
