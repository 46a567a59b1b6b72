package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/sockets"
)

// upgradeEcho is a slice's side of a WebSocket that sends back what it gets.
func upgradeEcho(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(conn, rw)
}

// sendUpgrade asks for a WebSocket with these header lines besides, and returns the
// connection.
func sendUpgrade(t *testing.T, b *testBundle, lines string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "GET /socket.io/?transport=websocket HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+lines+"\r\n")
	return conn
}

// cookieOf is the line that says who somebody is.
func cookieOf(user string) string { return "Cookie: " + auth.CookieName + "=" + user + "\r\n" }

// dialWebSocket switches protocols as a client would and returns the raw
// connection.
func dialWebSocket(t *testing.T, b *testBundle, user, early string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := sendUpgrade(t, b, "Origin: https://app.example.com\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"+cookieOf(user))
	io.WriteString(conn, early)
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake %v, %v", res, err)
	}
	return conn, br
}

func TestWebSocketIsRelayedAndClosed(t *testing.T) {
	frame := string([]byte{0x81, 2}) + "hi"
	closers := map[string]struct {
		close func(b *testBundle)
		code  int
	}{
		"session": {func(b *testBundle) { b.sockets.CloseSession([32]byte{7}) }, sockets.ClosePolicyViolation},
		"time":    {func(b *testBundle) { b.sockets.CloseOver(sessionsEnd) }, sockets.ClosePolicyViolation},
		"user":    {func(b *testBundle) { b.sockets.CloseSlice("ana") }, sockets.ClosePolicyViolation},
		"stop":    {func(b *testBundle) { b.sockets.Drain(context.Background(), time.Second) }, sockets.CloseGoingAway},
	}
	for name, c := range closers {
		t.Run(name, func(t *testing.T) {
			seven := newFakeSlice(t, 7, upgradeEcho)
			b := setup(t, seven)
			// What is sent before the switch is not lost.
			_, br := dialWebSocket(t, b, "ana", frame)
			got := make([]byte, len(frame))
			if _, err := io.ReadFull(br, got); err != nil || string(got) != frame {
				t.Fatalf("echo %q, %v", got, err)
			}
			b.sockets.CloseSlice("ben")
			b.sockets.CloseSession([32]byte{9})
			b.sockets.CloseOver(sessionsEnd.Add(-1))
			if n := b.sockets.Len(); n != 1 {
				t.Fatalf("%d sockets, want 1", n)
			}
			c.close(b)
			rest, err := io.ReadAll(br)
			want := []byte{0x88, 2, byte(c.code >> 8), byte(c.code)}
			if err != nil || !bytes.Equal(rest, want) {
				t.Errorf("at the close: % x, %v; want % x", rest, err, want)
			}
			<-b.infos // the relay has ended
			if n := b.sockets.Len(); n != 0 {
				t.Errorf("%d sockets are left", n)
			}
		})
	}
}

// An address that is another slice's by now is asked for again, for a WebSocket too.
func TestWebSocketToAReusedPort(t *testing.T) {
	seven, nine := newFakeSlice(t, 7, upgradeEcho), newFakeSlice(t, 9, upgradeEcho)
	b := setup(t, seven, nine)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for name, addr := range map[string]string{"another's": nine.addr(), "nobody's": dead.Addr().String()} {
		b.resolver.mu.Lock()
		b.resolver.table[7] = addr
		b.resolver.mu.Unlock()
		conn := sendUpgrade(t, b, cookieOf("ana"))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 101 ") {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		conn.Close()
	}
	if served, strays := nine.counts(); served != 0 || strays != 1 {
		t.Errorf("slice 9 served %d and refused %d, want 0 and 1", served, strays)
	}
	if served, _ := seven.counts(); served != 2 {
		t.Errorf("slice 7 served %d, want 2", served)
	}
}

// A session that ends while its socket is being opened has no socket.
func TestWebSocketOfASessionThatEnds(t *testing.T) {
	var b *testBundle
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		b.auth.remove("ana")
		b.sockets.CloseSession([32]byte{7})
		upgradeEcho(w, r)
	})
	b = setup(t, seven)
	conn := sendUpgrade(t, b, cookieOf("ana"))
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// A user whose slice is another one by the time the socket is opened tries again.
func TestWebSocketWhileTheSliceChanges(t *testing.T) {
	seven, nine := newFakeSlice(t, 7, upgradeEcho), newFakeSlice(t, 9, upgradeEcho)
	b := setup(t, seven, nine)
	b.proxy.Auth = &changingAuth{fakeAuth: b.auth, next: []string{"ana", "ben"}}
	conn := sendUpgrade(t, b, cookieOf("ana"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", res, err)
	}
	for _, s := range []*fakeSlice{seven, nine} {
		if served, strays := s.counts(); served+strays != 0 {
			t.Errorf("slice %d heard of it", s.number)
		}
	}
}

// changingAuth takes the users in turn, whoever asks.
type changingAuth struct {
	*fakeAuth
	next []string
}

func (a *changingAuth) Authenticate(*http.Request) (*auth.Identity, error) {
	id := a.users[a.next[0]]
	a.next = a.next[1:]
	return id, nil
}

// A socket that is open is no request under way any more.
func TestOpenSocketsAreNotRequests(t *testing.T) {
	b := setupWith(t, Limits{Requests: 1, Rate: 1000, Burst: 1000}, newFakeSlice(t, 7, upgradeEcho))
	l := b.proxy.limits
	underWay := func() int { l.mu.Lock(); defer l.mu.Unlock(); return l.slices.Get(7).requests }
	for range 3 {
		dialWebSocket(t, b, "ana", "")
		for deadline := time.Now().Add(10 * time.Second); underWay() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it still counts as one")
			}
		}
	}
}

// The breaker knows of handshakes, both ways.
func TestHandshakesWithAFailingSlice(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		upgradeEcho(w, r)
	})
	b := setup(t, seven)
	clock := time.Now()
	b.proxy.limits.now = func() time.Time { return clock }
	status := func() int {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(sendUpgrade(t, b, cookieOf("ana"))), nil)
		if err != nil {
			t.Fatal(err)
		}
		<-b.infos
		return res.StatusCode
	}
	for range breakerFailures {
		if s := status(); s != http.StatusBadGateway {
			t.Fatalf("status %d", s)
		}
	}
	before, _ := seven.counts()
	if s := status(); s != http.StatusServiceUnavailable || b.proxy.Failing() != 1 {
		t.Errorf("after the failures: status %d, %d slices fail", s, b.proxy.Failing())
	}
	if after, _ := seven.counts(); after != before {
		t.Error("it is not left alone")
	}
	broken.Store(false)
	clock = clock.Add(breakerPause)
	dialWebSocket(t, b, "ana", "")
	if n := b.proxy.Failing(); n != 0 {
		t.Errorf("%d slices fail after an answer", n)
	}
}

// Who may not send a request has no socket either, and the slice hears nothing.
func TestWebSocketsAskWhoAndWhereFrom(t *testing.T) {
	seven, nine := newFakeSlice(t, 7, upgradeEcho), newFakeSlice(t, 9, upgradeEcho)
	b := setup(t, seven, nine)
	b.auth.users["queued"] = identity("queued", 0, "")
	for _, st := range []platform.SliceState{platform.SliceHeld, platform.SliceSuspended, platform.SliceRetiring} {
		b.auth.users[string(st)] = identity(string(st), 7, st)
	}
	for _, c := range []struct {
		user, origin string
		status       int
	}{
		{"", "", 401}, {"nobody", "", 401}, {"queued", "", 503}, {"held", "", 503}, {"suspended", "", 503}, {"retiring", "", 503},
		{"ana", "https://evil.example.com", 403}, {"ana", "null", 403}, {"ana", "http://app.example.com", 403}, {"ana", "https://app.example.com", 101},
	} {
		var lines string
		if c.user != "" {
			lines += cookieOf(c.user)
		}
		if c.origin != "" {
			lines += "Origin: " + c.origin + "\r\n"
		}
		conn := sendUpgrade(t, b, lines)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
			t.Errorf("%q from %q: %q, %v; want %d", c.user, c.origin, line, err, c.status)
		}
		conn.Close()
	}
	if served, strays := seven.counts(); served != 1 || strays != 0 {
		t.Errorf("slice 7 got %d requests, and %d for others; want ana's one", served, strays)
	}
}

// A user has 32 sockets; the next is refused before the slice hears of it.
func TestSocketTooMany(t *testing.T) {
	seven := newFakeSlice(t, 7, upgradeEcho)
	b := setup(t, seven)
	for range 32 {
		if _, err := b.sockets.Add(sockets.Slice, [32]byte{7}, "ana", time.Now().Add(time.Hour), func(int) {}); err != nil {
			t.Fatal(err)
		}
	}
	res, body := b.do(t, "ana", "GET", "/socket.io/", nil, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}})
	if wantProblem(t, res, body, 429); res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if served, _ := seven.counts(); served != 0 {
		t.Errorf("the slice got %d requests", served)
	}
}

// A slice cannot replace the session with the answer that switches protocols either.
func TestSwitchSetsNoSession(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Set-Cookie: "+auth.CookieName+"=stolen; Path=/; Secure\r\nSet-Cookie: io=1\r\n\r\n")
	})
	b := setup(t, seven)
	conn := sendUpgrade(t, b, cookieOf("ana"))
	head, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") || strings.Contains(string(head), "stolen") || !strings.Contains(strings.ToLower(string(head)), "x-request-id: request-1") {
		t.Errorf("the switch: %s", head)
	}
}

// A silent socket costs two goroutines and no buffer.
func TestSilentSocketsCostLittle(t *testing.T) {
	const n = 30
	conns := make(chan net.Conn, n)
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		conns <- conn
	})
	defer func() {
		for range n {
			(<-conns).Close()
		}
	}()
	count := func() int { // of the relay
		buf := make([]byte, 8<<20)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "created by ipnoelp.io/platform/gateway/proxy.")
	}
	for end := time.Now().Add(10 * time.Second); count() > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		// Those of the tests before end.
	}
	b := setup(t, seven)
	before := count()
	for range n {
		dialWebSocket(t, b, "ana", "")
	}
	time.Sleep(100 * time.Millisecond) // the handlers end
	if got := count() - before; got != 2*n {
		t.Errorf("%d sockets have %d goroutines", n, got)
	}
}

// A peer that does not read holds up no log-out.
func TestCloseDoesNotWaitForAPeer(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for err == nil { // floods
			_, err = conn.Write(make([]byte, 64<<10))
		}
	})
	b := setup(t, seven)
	conn, _ := dialWebSocket(t, b, "ana", "") // and reads nothing more
	defer conn.Close()
	time.Sleep(200 * time.Millisecond) // until everything on the way is full
	b.sockets.CloseSession([32]byte{7})
	select {
	case <-b.infos:
	case <-time.After(20 * time.Second): // below what a write may take
		t.Fatal("a socket outlives its session if the client does not read")
	}
	if n := b.sockets.Len(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

func TestFrameTracker(t *testing.T) {
	var stream []byte
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		switch {
		case n < 126:
			stream = append(stream, 0x81, byte(n))
		case n < 65536:
			stream = append(stream, 0x81, 126, byte(n>>8), byte(n))
		default:
			stream = append(stream, 0x81, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		stream = append(stream, make([]byte, n)...)
	}
	for _, step := range []int{1, 2, 7, 4096, len(stream)} {
		var tr frameTracker
		ends := 0
		for i := 0; i < len(stream); i += step {
			tr.advance(stream[i:min(i+step, len(stream))])
			if tr.between() {
				ends++
			}
		}
		if !tr.between() || step == 1 && ends != 6 {
			t.Errorf("step %d: between frames %v, %d ends", step, tr.between(), ends)
		}
	}
}

// Both sides are told, the slice's with the mask that RFC 6455 asks of clients.
func TestCloseReachesTheSlice(t *testing.T) {
	told := make(chan []byte, 1)
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
		got, _ := io.ReadAll(rw)
		told <- got
	})
	b := setup(t, seven)
	_, br := dialWebSocket(t, b, "ana", "")
	if got, err := br.Peek(4); err != nil || string(got) != "\x81\x02hi" {
		t.Fatalf("what the slice sent with its answer: %q, %v", got, err)
	}
	b.sockets.CloseSlice("ana")
	want := closeFrame(sockets.ClosePolicyViolation, true)
	if got := <-told; !bytes.Equal(got, want) {
		t.Errorf("the slice got % x, want % x", got, want)
	}
}

// In the middle of a frame a close frame would be taken for its content.
func TestNoCloseFrameWithinAFrame(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05he")
		io.Copy(io.Discard, rw)
	})
	b := setup(t, seven)
	_, br := dialWebSocket(t, b, "ana", "")
	if _, err := br.Peek(4); err != nil {
		t.Fatal(err)
	}
	b.sockets.CloseSlice("ana")
	if got, err := io.ReadAll(br); err != nil || string(got) != "\x81\x05he" {
		t.Errorf("%q, %v", got, err)
	}
}

// Everything passes, in both directions at once, whatever the sizes.
func TestRelayLosesNothing(t *testing.T) {
	seven := newFakeSlice(t, 7, upgradeEcho)
	b := setup(t, seven)
	conn, br := dialWebSocket(t, b, "ana", "")
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	go func() {
		for rest := sent; len(rest) > 0; {
			n, err := conn.Write(rest[:min(len(rest), 1+len(rest)/3)])
			if err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(br, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%v, equal %v", err, bytes.Equal(got, sent))
	}
	conn.Close()
	<-b.infos
	if n := b.sockets.Len(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

// What a slice says instead of switching reaches the client as it is; what it
// may not say does not.
// raw answers with these bytes, and closes.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(conn, answer)
			conn.Close()
		}
	}
}

func TestSliceThatDoesNotSwitch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		status int
	}{
		{"refuses", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "bad version", http.StatusBadRequest) }, 400},
		{"is not the one", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusMisdirectedRequest) }, 502},
		{"is another generation", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, 503},
		{"switches to something else", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
				conn.Close()
			}
		}, 502},
		{"closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, 502},
		{"half-sends", raw("HTTP/1.1 101 Switching Proto"), 502},
		{"sends half a header", raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgr"), 502},
		{"sends a huge header", raw("HTTP/1.1 101 Switching Protocols\r\nX-A: " + strings.Repeat("x", 200_000) + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 502},
		{"sends hints without end", raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000)), 502},
		{"says nothing of an upgrade", raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"), 502},
		{"is no HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n"), 502},
		{"stalls", func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n")
				io.Copy(io.Discard, rw) // until the gateway gives up
				conn.Close()
			}
		}, 504},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := setup(t, newFakeSlice(t, 7, tc.answer))
			if tc.status == 504 {
				b.proxy.slices.transports = newTransports(200 * time.Millisecond)
			}
			req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/socket.io/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Cookie": {auth.CookieName + "=ana"}}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tc.status {
				t.Errorf("status %d, want %d", res.StatusCode, tc.status)
			}
			if n := b.sockets.Len(); n != 0 {
				t.Errorf("%d sockets are left", n)
			}
		})
	}
}
