package upstream

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// pipes are connections to addr that were used just now; each knows a Server of its
// own, as when all were dialled at once.
func pipes(t *testing.T, addr string, n int) (all []*conn) {
	for range n {
		nc, other := net.Pipe()
		t.Cleanup(func() { nc.Close(); other.Close() })
		all = append(all, &conn{Conn: nc, server: &Server{addr: addr}, since: time.Now()})
	}
	return all
}

func isClosed(c *conn) bool { return errors.Is(c.SetDeadline(time.Time{}), io.ErrClosedPipe) }

// Whatever is taken, put back, dropped and too old, and by whichever of an address's
// servers somebody kept: the pool has what a list of all, the latest last, would have.
func TestPoolIsLikeAList(t *testing.T) {
	const seed, perServer, total = 5, 3, 7
	random := rand.New(rand.NewPCG(seed, 0))
	var p pool
	p.init(perServer, total, time.Hour)
	t.Cleanup(p.close)
	addrs := []string{"a", "b", "c", "d"}
	var used, want []*conn // the latest of want last
	kept := make(map[string][]*Server)
	for _, addr := range addrs {
		used = append(used, pipes(t, addr, 5)...)
		kept[addr] = []*Server{p.server(addr), p.server(addr)}
	}
	of := func(addr string) (all []*conn) {
		for _, c := range want {
			if c.server.addr == addr {
				all = append(all, c)
			}
		}
		return all
	}
	lose := func(c *conn) {
		want = slices.DeleteFunc(want, func(o *conn) bool { return o == c })
		used = append(used, c)
	}
	for range 20_000 {
		addr := addrs[random.IntN(len(addrs))]
		i := random.IntN(len(kept[addr]))
		switch random.IntN(12) {
		case 0:
			p.drop(kept[addr][i])
			for _, c := range of(addr) {
				lose(c)
			}
		case 1:
			for _, c := range slices.Clone(want[:random.IntN(len(want)+1)]) {
				c.since = c.since.Add(-2 * time.Hour)
				lose(c)
			}
			p.expire()
		case 2:
			kept[addr][i] = p.server(addr)
		case 3, 4, 5, 6:
			got, all := p.take(kept[addr][i]), of(addr)
			if len(all) == 0 {
				if got != nil {
					t.Fatal("taken where nothing is idle")
				}
				break
			}
			if last := all[len(all)-1]; got != last {
				t.Fatal("taken is not the latest")
			}
			lose(got)
		default:
			if len(used) == 0 {
				break
			}
			c := used[random.IntN(len(used))]
			c.since = time.Now()
			left := p.add(c)
			if len(of(c.server.addr)) >= perServer {
				if left != c {
					t.Fatal("more are kept for one address than may be")
				}
				break
			}
			used = slices.DeleteFunc(used, func(o *conn) bool { return o == c })
			if len(want) == total {
				if left != want[0] {
					t.Fatal("the oldest did not make room")
				}
				lose(left)
			} else if left != nil {
				t.Fatal("not kept")
			}
			want = append(want, c)
		}
		wantPool(t, &p, want)
	}
}

// wantPool is that these are idle, the latest last, and that all counts and links
// say so.
func wantPool(t *testing.T, p *pool, want []*conn) {
	t.Helper()
	var got []*conn
	for c := p.oldest; c != nil; c = c.newer {
		if len(got) > 0 && c.older != got[len(got)-1] {
			t.Fatal("the links do not match")
		}
		got = append(got, c)
	}
	if !slices.Equal(got, want) || p.len() != len(want) || len(got) > 0 && p.latest != got[len(got)-1] {
		t.Fatalf("%d are idle, the count is %d; want %d", len(got), p.len(), len(want))
	}
	for addr, s := range p.servers {
		var idle []*conn
		for c := s.idle; c != nil; c = c.below {
			idle = append(idle, c)
		}
		slices.Reverse(idle)
		all := slices.DeleteFunc(slices.Clone(want), func(c *conn) bool { return c.server != s })
		if !slices.Equal(idle, all) || s.count != len(all) || !s.listed || s.addr != addr {
			t.Fatalf("%d are idle for %s, the count is %d; want %d", len(idle), addr, s.count, len(all))
		}
	}
	for _, c := range want {
		if p.servers[c.server.addr] != c.server {
			t.Fatal("what is idle is not in the table")
		}
	}
}

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
	if got := p.take(p.server("a")); got != of[1] {
		t.Fatal("not the one that was used last")
	}
	p.drop(p.server("a"))
	if p.take(p.server("a")) != nil || p.len() != 0 {
		t.Error("one that was dropped is there")
	}
	if p.add(of[1]) != nil || p.take(p.server("a")) != of[1] {
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
	if p.take(p.server("a")) != of[1] || p.take(p.server("a")) != nil || p.take(p.server("b")) != others[1] || p.take(p.server("b")) != others[0] {
		t.Error("not what was kept")
	}
	if p.add(of[1]) != nil || p.add(others[0]) != nil || p.add(of[2]) != nil {
		t.Error("not kept")
	}
	if p.add(others[1]) != of[1] || p.take(p.server("a")) != of[2] {
		t.Error("the oldest of two did not make room")
	}
}

// The oldest that makes room may have been all that its address had.
func TestPoolOfOne(t *testing.T) {
	var p pool
	p.init(2, 1, time.Minute)
	t.Cleanup(p.close)
	of := pipes(t, "a", 2)
	if p.add(of[0]) != nil || p.take(p.server("a")) != of[0] || p.add(of[1]) != nil {
		t.Fatal("not kept")
	}
	if p.add(of[0]) != of[1] || p.server("a") != of[0].server || p.take(p.server("a")) != of[0] || p.len() != 0 {
		t.Error("the latest is not the one that is kept")
	}
	other := pipes(t, "b", 1)[0]
	if p.add(of[0]) != nil || p.add(other) != of[0] || len(p.servers) != 1 {
		t.Error("an address with nothing idle is left")
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
	if p.take(p.server("b")) != used {
		t.Fatal("not there")
	}
	p.expire()
	if !isClosed(old) || isClosed(young) || isClosed(used) {
		t.Error("closed is not what is too old")
	}
	if len(p.servers) != 1 || p.len() != 1 {
		t.Errorf("%d servers and %d connections are left, want 1 of each", len(p.servers), p.len())
	}
	if p.add(used) != nil || p.take(p.server("b")) != used || p.take(p.server("a")) != young || p.take(p.server("a")) != nil {
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
	p.drop(p.server("a"))
	if !isClosed(dropped) || isClosed(closed) || len(p.servers) != 1 {
		t.Error("closed is not what was dropped")
	}
	p.close()
	if !isClosed(closed) || p.add(late) != late {
		t.Error("something is kept by a pool that is closed")
	}
}
