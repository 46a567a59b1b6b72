package upstream

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watch
		add := func() (*conn, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			near, far := net.Pipe()
			t.Cleanup(func() { near.Close(); far.Close() })
			c := &conn{Conn: near, ctx: ctx}
			w.add(c)
			return c, cancel
		}
		first, cancelFirst := add()
		second, cancelSecond := add()
		third, cancelThird := add()
		defer cancelThird()
		time.Sleep(10 * lookEvery)
		synctest.Wait()
		if len(w.conns) != 3 {
			t.Fatalf("%d are watched, want 3", len(w.conns))
		}
		cancelFirst()
		if _, err := first.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("what waits got %v", err)
		}
		if w.remove(second) {
			t.Error("a request was ended by another one's context")
		}
		cancelSecond() // too late
		time.Sleep(2 * lookEvery)
		synctest.Wait()
		if len(w.conns) != 1 || w.conns[third.place] != third {
			t.Errorf("%d are watched, want the third alone", len(w.conns))
		}
		if !w.remove(first) || w.remove(third) || len(w.conns) != 0 {
			t.Error("the first was ended, the third was not")
		}
		time.Sleep(2 * lookEvery)
		synctest.Wait()
		if w.timer != nil {
			t.Error("it looks at nothing")
		}
	})
}
