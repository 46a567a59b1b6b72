package downstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// patience bounds what should take milliseconds, or two rounds of Watch.
const patience = 10 * time.Second

// how a server is run: alone, for comparison, or on a listener of the package,
// which may answer plain requests itself.
type how int

const (
	alone how = iota
	wrapped
	answering
)

func serve(t *testing.T, how how, h http.HandlerFunc) (addr string, l *Listener) {
	t.Helper()
	return serveAs(t, how, &http.Server{Handler: h, ReadHeaderTimeout: patience, IdleTimeout: patience})
}

func serveAs(t *testing.T, how how, srv *http.Server) (addr string, l *Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	addr = ln.Addr().String()
	if how != alone {
		l = NewListener(ln, srv, map[bool]string{true: "/", false: "/none"}[how == answering])
		wg.Go(func() { l.Watch(ctx) })
		ln = l
	}
	wg.Go(func() { srv.Serve(ln) })
	t.Cleanup(func() { srv.Close(); stop(); wg.Wait() })
	return addr, l
}

// each runs a test with and without the package: net/http behaves the same.
func each(t *testing.T, f func(t *testing.T, how how)) {
	for name, how := range map[string]how{"alone": alone, "wrapped": wrapped, "answering": answering} {
		t.Run(name, func(t *testing.T) { f(t, how) })
	}
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	return nc.(*net.TCPConn)
}

const (
	get     = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	post    = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
)

func TestRequestsEndWhenTheClientLeaves(t *testing.T) {
	leave := map[string]func(*net.TCPConn){
		"closes":        func(c *net.TCPConn) { c.Close() },
		"resets":        func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"sends no more": func(c *net.TCPConn) { _ = c.CloseWrite() },
	}
	each(t, func(t *testing.T, how how) {
		for name, leave := range leave {
			for _, raw := range []string{get, post} {
				t.Run(name+" "+raw[:4], func(t *testing.T) {
					began, ended := make(chan struct{}), make(chan error, 1)
					addr, _ := serve(t, how, func(_ http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						close(began)
						select {
						case <-r.Context().Done():
							ended <- context.Cause(r.Context())
						case <-time.After(patience):
							ended <- errors.New("nobody noticed")
						}
					})
					c := dial(t, addr)
					io.WriteString(c, raw)
					<-began
					leave(c)
					if err := <-ended; !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
			}
		}
	})
}

// A client that stays, even one that sent the next request already, is left alone.
func TestRequestsGoOnWhileTheClientStays(t *testing.T) {
	each(t, func(t *testing.T, how how) {
		addr, l := serve(t, how, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
				t.Error("the request was ended")
			case <-time.After(5 * lookEvery / 2):
			}
			io.WriteString(w, r.URL.Path)
		})
		c := dial(t, addr)
		io.WriteString(c, strings.Replace(get, "/", "/a", 1)+strings.Replace(get, "/", "/b", 1))
		br := bufio.NewReader(c)
		for _, want := range []string{"/a", "/b"} {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
			res.Body.Close()
		}
		c.Close()
		if how != alone {
			await(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.conns) == 0 }, "the connection is forgotten")
		}
	})
}

// What a handler left behind ends with the connection at the latest.
func TestContextsEndWithTheConnection(t *testing.T) {
	each(t, func(t *testing.T, how how) {
		ctx := make(chan context.Context, 1)
		addr, _ := serve(t, how, func(w http.ResponseWriter, r *http.Request) {
			ctx <- r.Context()
			w.Header().Set("Connection", "close")
		})
		c := dial(t, addr)
		io.WriteString(c, get)
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		select {
		case <-(<-ctx).Done():
		case <-time.After(patience):
			t.Error("it goes on")
		}
	})
}

func await(t *testing.T, f func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: " + what)
		}
	}
}

func TestDeadlinesOfHandlers(t *testing.T) {
	each(t, func(t *testing.T, how how) {
		set := map[string]func(*http.ResponseController, time.Time) error{
			"read": (*http.ResponseController).SetReadDeadline, "write": (*http.ResponseController).SetWriteDeadline,
		}
		for what, set := range set {
			for _, when := range []string{"before", "meanwhile", "past"} {
				t.Run(what+" "+when, func(t *testing.T) {
					ended := make(chan error, 1)
					addr, _ := serve(t, how, func(w http.ResponseWriter, r *http.Request) {
						control := http.NewResponseController(w)
						soon := time.Now().Add(50 * time.Millisecond)
						switch when {
						case "before":
							_ = set(control, soon)
						case "past":
							_ = set(control, time.Unix(1, 0))
						case "meanwhile":
							time.AfterFunc(50*time.Millisecond, func() { _ = set(control, time.Now()) })
						}
						var err error
						if what == "read" {
							_, err = io.ReadAll(r.Body)
						}
						for what == "write" && err == nil {
							_, err = w.Write(make([]byte, 64<<10))
						}
						ended <- err
					})
					c := dial(t, addr)
					if what == "read" {
						io.WriteString(c, post[:len(post)-1]) // one byte is missing
					} else {
						io.WriteString(c, get) // and nothing of the answer is read
					}
					select {
					case err := <-ended:
						if !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error(err)
						}
					case <-time.After(patience):
						t.Error("no deadline")
					}
				})
			}
		}
	})
}

// A deadline of one answer does not end the next one.
func TestDeadlinesAreOfOneRequest(t *testing.T) {
	each(t, func(t *testing.T, how how) {
		addr, _ := serve(t, how, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				control := http.NewResponseController(w)
				_ = control.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				_ = control.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			}
			_, err := io.Copy(w, r.Body)
			fmt.Fprint(w, err)
		})
		c := dial(t, addr)
		br := bufio.NewReader(c)
		for _, raw := range []string{post, get, post, get} {
			io.WriteString(c, raw)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(got), "<nil>") {
				t.Errorf("%q, %v", got, err)
			}
			res.Body.Close()
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// A server without timeouts has none here either.
func TestNoTimeouts(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"zero": 0, "negative": -time.Second} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, how how) {
				addr, _ := serveAs(t, how, &http.Server{ReadHeaderTimeout: timeout, IdleTimeout: timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					io.WriteString(w, "ok")
				})})
				if said := conversation(t, addr, get, get[:9], get[9:], post[:9], post[9:], get, last); strings.Count(said, `"ok"`) != 5 {
					t.Error(said)
				}
			})
		})
	}
}

func TestDetach(t *testing.T) {
	each(t, func(t *testing.T, how how) {
		var l *Listener
		var addr string
		addr, l = serve(t, how, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			raw := Detach(nc)
			if _, ok := raw.(*net.TCPConn); !ok {
				t.Errorf("a %T", raw)
			}
			if how != alone {
				l.mu.Lock()
				if len(l.conns) > 0 {
					t.Error("it is still looked after")
				}
				l.mu.Unlock()
			}
			if how == alone {
				_ = nc.SetDeadline(time.Time{})
			}
			go func() {
				defer raw.Close()
				_, _ = io.CopyN(raw, rw, 10) // what came early, and what comes late
			}()
		})
		c := dial(t, addr)
		io.WriteString(c, upgrade+"early")
		time.Sleep(100 * time.Millisecond)
		io.WriteString(c, "later")
		if got, err := io.ReadAll(c); err != nil || string(got) != "earlylater" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// What is wanted again and again is seldom given to the connection.
func TestDeadlineIsSetRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given []time.Time
		d := deadline{give: func(at time.Time) error { given = append(given, at); return nil }}
		start := time.Now()
		for range 3000 {
			_ = d.want(time.Now().Add(time.Minute))
			_ = d.begin()
			if late := time.Since(start); d.is.After(time.Now().Add(time.Minute)) || d.is.Before(time.Now().Add(55*time.Second)) {
				t.Fatalf("after %s it is in %s", late, time.Until(d.is))
			}
			d.end()
			_ = d.want(time.Time{}) // and nothing waits
			time.Sleep(10 * time.Millisecond)
		}
		if len(given) > 7 {
			t.Errorf("set %d times in %s", len(given), time.Since(start))
		}
		_ = d.begin()
		if !d.is.IsZero() {
			t.Error("none is wanted, and there is one")
		}
	})
}
