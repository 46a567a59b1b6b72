package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// What clients may send to make two programs see different requests: the slice
// gets what the gateway understood, or nothing.
func TestHostileClient(t *testing.T) {
	x := setupTenants(t)
	head := "Host: app.example.com\r\nCookie: " + auth.CookieName + "=" + x.anaCookie + "\r\n"
	smuggled := "GET /api/smuggled HTTP/1.1\r\nHost: app.example.com\r\nX-User-Email: ben@example.com\r\n\r\n"
	for i, tc := range []struct {
		name, raw string
		statuses  []int    // of the answers, in order
		paths     []string // what the slice got; "maybe": what was on its way may have arrived
	}{
		{"plain", "GET /api/a HTTP/1.1\r\n" + head + "\r\n", []int{200}, []string{"GET /api/a"}},
		{"pipelined", "GET /api/a HTTP/1.1\r\n" + head + "\r\nGET /api/b HTTP/1.1\r\n" + head + "\r\n", []int{200, 200}, []string{"GET /api/a", "GET /api/b"}},
		{"pipelined after a body", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}GET /api/b HTTP/1.1\r\n" + head + "\r\n", []int{200, 200}, []string{"POST /api/a", "GET /api/b"}},
		{"chunks and length", fmt.Sprintf("POST /api/a HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n%s", head, 5+len(smuggled), smuggled), []int{200, 401}, []string{"POST /api/a"}},
		{"length and chunks, short", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", []int{200}, []string{"POST /api/a"}},
		{"two lengths", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + smuggled, []int{400}, nil},
		{"one length twice", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", []int{200}, []string{"POST /api/a"}},
		{"lengths in a list", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 2, 2\r\n\r\n{}", []int{400}, nil},
		{"length with a sign", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: +2\r\n\r\n{}", []int{400}, nil},
		{"negative length", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: -2\r\n\r\n{}", []int{400}, nil},
		{"length in hexadecimal", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 0x2\r\n\r\n{}", []int{400}, nil},
		{"length too large", "POST /api/a HTTP/1.1\r\n" + head + "Content-Length: 99999999999\r\n\r\n{}", []int{413}, nil},
		{"other coding", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []int{501}, nil},
		{"two codings", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", []int{501}, nil},
		{"coding with a space", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", []int{400}, nil},
		{"coding after a tab", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", []int{200}, []string{"POST /api/a"}},
		{"chunk size that is none", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", []int{400}, []string{"maybe"}},
		{"chunk extension", "POST /api/a HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n1;a=\"b\"\r\nx\r\n0\r\n\r\n", []int{200}, []string{"POST /api/a"}},
		{"body of a GET", "GET /api/a HTTP/1.1\r\n" + head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)) + smuggled, []int{200}, []string{"GET /api/a"}},
		{"folded header", "GET /api/a HTTP/1.1\r\n" + head + "X-A: b\r\n X-User-Email: ben@example.com\r\n\r\n", []int{200}, []string{"GET /api/a"}},
		{"folded first header", "GET /api/a HTTP/1.1\r\n X-User-Email: ben@example.com\r\n" + head + "\r\n", []int{400}, nil},
		{"bare LF", strings.ReplaceAll("GET /api/a HTTP/1.1\r\n"+head+"\r\n", "\r\n", "\n"), []int{200}, []string{"GET /api/a"}},
		{"bare CR in a value", "GET /api/a HTTP/1.1\r\n" + head + "X-A: b\rX-User-Email: ben@example.com\r\n\r\n", []int{400}, nil},
		{"NUL in a value", "GET /api/a HTTP/1.1\r\n" + head + "X-A: b\x00c\r\n\r\n", []int{400}, nil},
		{"no colon", "GET /api/a HTTP/1.1\r\n" + head + "X-A\r\n\r\n", []int{400}, nil},
		{"space in a name", "GET /api/a HTTP/1.1\r\n" + head + "X A: b\r\n\r\n", []int{400}, nil},
		{"absolute target", "GET http://slice-2/api/a HTTP/1.1\r\n" + head + "\r\n", []int{200}, []string{"GET /api/a"}},
		{"absolute target of TLS", "GET https://other/api/a HTTP/1.1\r\n" + head + "\r\n", []int{200}, []string{"GET /api/a"}},
		{"authority target", "CONNECT slice-2:80 HTTP/1.1\r\n" + head + "\r\n", []int{404}, nil},
		{"target with a space", "GET /api/a b HTTP/1.1\r\n" + head + "\r\n", []int{400}, nil},
		{"no Host", "GET /api/a HTTP/1.1\r\nCookie: " + auth.CookieName + "=" + x.anaCookie + "\r\n\r\n", []int{400}, nil},
		{"two Hosts", "GET /api/a HTTP/1.1\r\n" + head + "Host: slice-2\r\n\r\n", []int{400}, nil},
		{"HTTP/1.0", "GET /api/a HTTP/1.0\r\n" + head + "\r\n", []int{200}, []string{"GET /api/a"}},
		{"HTTP/0.9", "GET /api/a\r\n\r\n", []int{400}, nil},
		{"HTTP/3.0", "GET /api/a HTTP/3.0\r\n" + head + "\r\n", []int{505}, nil},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404}, nil},
		{"huge header", "GET /api/a HTTP/1.1\r\n" + head + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431}, nil},
		{"many headers", "GET /api/a HTTP/1.1\r\n" + head + strings.Repeat("X-A: b\r\n", 8<<10) + "\r\n", []int{431}, nil},
		{"huge target", "GET /api/" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\n" + head + "\r\n", []int{431}, nil},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}, nil},
		{"upgrade with a body", "GET /api/a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", []int{400}, nil},
		{"upgrade with chunks", "GET /api/a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}, nil},
		{"TRACE", "TRACE /api/a HTTP/1.1\r\n" + head + "\r\n", []int{405}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Paths of its own tell what came of this connection.
			own := strings.NewReplacer("/api/a", fmt.Sprintf("/api/a%d", i), "/api/b", fmt.Sprintf("/api/b%d", i))
			conn := x.dial(t)
			io.WriteString(conn, own.Replace(tc.raw))
			br := bufio.NewReader(conn)
			var got []int
			for range tc.statuses {
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					break
				}
				got = append(got, res.StatusCode)
				body, _ := io.ReadAll(res.Body)
				if strings.Contains(string(body), x.ben.secret) {
					t.Errorf("ben's secret came back")
				}
				if res.Close {
					break
				}
			}
			conn.Close()
			_, all, faults := x.ana.seen()
			paths := slices.DeleteFunc(all, func(p string) bool {
				return !strings.HasSuffix(p, own.Replace("/api/a")) && !strings.HasSuffix(p, own.Replace("/api/b"))
			})
			var want []string
			for _, p := range tc.paths {
				want = append(want, own.Replace(p))
			}
			if !slices.Equal(got, tc.statuses) || !slices.Equal(paths, want) && !slices.Equal(want, []string{"maybe"}) {
				t.Errorf("answers %v, want %v; the slice got %q, want %q", got, tc.statuses, paths, want)
			}
			if len(faults) > 0 {
				t.Errorf("faults %q", faults)
			}
		})
	}
	if served, _, _ := x.ben.seen(); served != 0 {
		t.Errorf("ben's slice got %d requests", served)
	}
	if _, all, _ := x.ana.seen(); slices.ContainsFunc(all, func(p string) bool { return strings.Contains(p, "smuggled") }) {
		t.Errorf("a smuggled request arrived: %q", all)
	}
}

// pipeListener hands out connections in memory, so that time can be made up.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Clients that stop in the middle, or never begin, are cut off; how long that
// takes is told by a clock of the test's own.
func TestSlowClients(t *testing.T) {
	cookie := auth.CookieName + "=" + strings.Repeat("A", 43)
	for _, tc := range []struct {
		name, raw string
		status    int // of the answer before the end; 0 for none
		atMost    time.Duration
	}{
		{"nothing", "", 0, readHeaderTimeout},
		{"half a header", "GET /api/a HTTP/1.1\r\nHost: x\r\nCook", 0, readHeaderTimeout},
		{"idle after an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, idleTimeout},
		{"idle after an answer for a slice", "GET /api/a HTTP/1.1\r\nHost: x\r\n\r\n", 401, idleTimeout},
		{"half a header after an answer", "GET /api/a HTTP/1.1\r\nHost: x\r\n\r\nGET /api/b HTT", 401, readHeaderTimeout},
		{"half a body for the gateway", "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", 0, time.Minute},
		{"half a small body for a slice", "POST /api/a HTTP/1.1\r\nHost: x\r\nCookie: ANA\r\nContent-Length: 100\r\n\r\n{", 400, time.Minute},
		{"half a body, not logged in", "POST /api/a HTTP/1.1\r\nHost: x\r\nCookie: " + cookie + "\r\nContent-Length: 100\r\n\r\n{", 401, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := setup(t)
			g := b.Gateway // outside: it has sockets of its own
			if strings.Contains(tc.raw, "ANA") {
				b.store.addSlice(platform.SliceWarm)
				tc.raw = strings.ReplaceAll(tc.raw, "ANA", auth.CookieName+"="+b.signUp(t, "ana@example.com"))
			}
			synctest.Test(t, func(t *testing.T) {
				client, stop := servePipe(g)
				defer stop()
				start := time.Now()
				go io.WriteString(client, tc.raw)
				got, _ := io.ReadAll(client)
				took := time.Since(start)
				if took > tc.atMost+time.Second {
					t.Errorf("cut off after %s, want at most %s", took, tc.atMost)
				}
				if tc.status != 0 && !strings.HasPrefix(string(got), fmt.Sprintf("HTTP/1.1 %d ", tc.status)) {
					t.Errorf("answer %.100q, want %d", got, tc.status)
				}
			})
		})
	}
}

// servePipe has the gateway serve one client over a pipe, which keeps the time of
// a synctest bubble. stop ends both.
func servePipe(g *Gateway) (client net.Conn, stop func()) {
	l := &pipeListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	srv, clients := g.newServer(l)
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(clients) }()
	client, server := net.Pipe()
	l.conns <- server
	return client, func() {
		client.Close()
		srv.Close()
		<-served
	}
}

// What is relayed has one event too, at its end, with the id that client and
// slice know it by; who hangs up is no error.
func TestEventsOfRelayedRequests(t *testing.T) {
	x := setupTenants(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	var atSlice string
	x.ana.handle = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n12345")
				io.Copy(io.Discard, rw)
				conn.Close()
			}
		case r.URL.Path == "/api/hangs":
			close(entered)
			select {
			case <-leave:
			case <-r.Context().Done():
			}
		default:
			atSlice = r.Header.Get(platform.HeaderRequestID)
			io.WriteString(w, "ok")
		}
	}
	send := func(target, more string) (net.Conn, *bufio.Reader) {
		conn := x.dial(t)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example.com\r\nCookie: %s=%s\r\n%s\r\n", target, auth.CookieName, x.anaCookie, more)
		return conn, bufio.NewReader(conn)
	}
	event := func(wants ...string) {
		t.Helper()
		var found []string
		for deadline := time.Now().Add(5 * time.Second); len(found) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			for line := range strings.Lines(x.log.String()) {
				if strings.Contains(line, `"msg":"request"`) && !slices.ContainsFunc(wants, func(w string) bool { return !strings.Contains(line, w) }) {
					found = append(found, line)
				}
			}
		}
		if len(found) != 1 {
			t.Errorf("%d events with %q", len(found), wants)
		}
	}
	_, br := send("/api/a", "")
	res, err := http.ReadResponse(br, nil)
	if err != nil || atSlice == "" || res.Header.Get("X-Request-Id") != atSlice {
		t.Fatalf("%v, %v; the slice was told %q", res, err, atSlice)
	}
	event(`"status":200`, `"request_id":"`+atSlice+`"`, `"bytes":2`, `"level":"INFO"`)

	conn, br := send("/socket.io/?transport=websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n")
	if res, err = http.ReadResponse(br, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	if _, err := io.ReadFull(br, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	id := `"request_id":"` + res.Header.Get("X-Request-Id") + `"`
	if strings.Contains(x.log.String(), id) {
		t.Error("a socket has its event before it ends")
	}
	conn.Close()
	event(`"status":101`, id, `"bytes":5`, `"level":"INFO"`)

	conn, _ = send("/api/hangs", "")
	<-entered
	conn.Close()
	event(`"status":499`, `"level":"INFO"`, `"route":"tenant_api"`)
}

// Whoever hangs up, wherever in a request, leaves nothing behind: the slice's
// request ends, and it is not held against the slice.
func TestClientsThatHangUp(t *testing.T) {
	x := setupTenants(t)
	var atSlice atomic.Int64
	x.ana.handle = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/after" {
			io.WriteString(w, "ok")
			return
		}
		atSlice.Add(1)
		defer atSlice.Add(-1)
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/api/download" {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
		<-r.Context().Done()
	}
	head := " HTTP/1.1\r\nHost: app.example.com\r\nCookie: " + auth.CookieName + "=" + x.anaCookie + "\r\n"
	for name, c := range map[string]struct {
		sent    string
		reaches bool // the slice, before the client leaves
	}{
		"in the head":            {"GET /api/x" + head, false},
		"in a small upload":      {"POST /api/x" + head + "Content-Length: 100\r\n\r\n{", false},
		"in a large upload":      {"POST /api/x" + head + "Content-Length: 10000000\r\n\r\n" + strings.Repeat("x", 200_000), true},
		"in a streamed upload":   {"POST /api/x" + head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true},
		"before the answer":      {"GET /api/x" + head + "\r\n", true},
		"before a POST's answer": {"POST /api/x" + head + "Content-Length: 2\r\n\r\n{}", true},
		"in a download":          {"GET /api/download" + head + "\r\n", true},
		"in a handshake":         {"GET /socket.io/" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true},
	} {
		var conns []net.Conn
		for range 6 { // more than a slice's failures in a row
			conn := x.dial(t)
			io.WriteString(conn, c.sent)
			conns = append(conns, conn)
		}
		wait := func(n int64) {
			t.Helper()
			for start := time.Now(); atSlice.Load() != n; time.Sleep(time.Millisecond) {
				if time.Since(start) > 20*time.Second {
					t.Fatalf("%s: the slice has %d requests, want %d", name, atSlice.Load(), n)
				}
			}
		}
		if c.reaches {
			wait(int64(len(conns)))
		}
		for _, conn := range conns {
			conn.Close()
		}
		wait(0)
		if res, body := x.call(t, "GET", "/api/after", x.anaCookie, "", nil); res.StatusCode != 200 {
			t.Errorf("%s: held against the slice: %d %s", name, res.StatusCode, body)
		}
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, body := x.call(t, "GET", "/metrics", "", "", nil)
		if strings.Contains(body, "gateway_http_requests_in_flight 1\n") { // itself
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("requests are left")
		}
	}
}

// A client that does not read holds nobody for long: the gateway's own answers
// have a deadline too. The pipe holds nothing back, as a full window does.
func TestClientThatDoesNotRead(t *testing.T) {
	for _, target := range []string{"/openapi.json", "/healthz", "/auth/me", "/admin/pool", "/api/x", "/socket.io/x"} {
		g := setup(t).Gateway
		synctest.Test(t, func(t *testing.T) {
			client, stop := servePipe(g)
			defer stop()
			io.WriteString(client, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
			time.Sleep(61 * time.Second)
			if got, _ := io.ReadAll(client); len(got) != 0 {
				t.Errorf("%s: after a minute it still answers: %.60q", target, got)
			}
		})
	}
}

// The ways of gin that would be holes here.
func TestGinPitfalls(t *testing.T) {
	x := setupTenants(t)
	for _, tc := range []struct {
		target string
		status int
	}{
		{"/auth/me", 401},
		{"/auth/me/", 404},           // gin would redirect
		{"/auth//me", 404},           // and clean the path
		{"/auth/../auth/me", 404},    // an element like any other
		{"/auth%2Fme", 401},          // decoded first: who may is asked where it is answered
		{"/auth/%6de", 401},          // an escaped letter is the letter
		{"/AUTH/me", 404},            // paths have a case
		{"/admin", 404},              // no index
		{"/admin/pool", 401},         //
		{"/admin/../auth/me", 404},   // nothing is decided by the beginning alone
		{"/auth/../admin/pool", 404}, //
		{"/api", 404},                //
		{"/api/", 401},               //
		{"/metrics/", 404},           //
		{"/metrics/slice", 404},      //
		{"/metrics/slices/", 404},    //
		{"/metrics//slices", 404},    //
	} {
		conn := x.dial(t)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n", tc.target)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != tc.status {
			t.Errorf("%s: %v, %v; want %d", tc.target, res, err, tc.status)
		}
	}

	// Nothing is allowed by how an address begins: however it is spelled, a user is no admin.
	for _, target := range []string{
		"/admin/pool", "/admin%2Fpool", "/%61dmin/pool", "/admin/%70ool", "/auth/../admin/pool", "/auth/..%2fadmin/pool", "/auth/me/..%2f..%2fadmin/pool",
		"//admin/pool", "/admin//pool", "/admin/pool/", "/ADMIN/pool", "/admin/pool;x=/auth/me", "/admin/pool?x=/auth/me", "http://x/admin/pool", "/api/../admin/pool", "/api/..%2fadmin/pool",
	} {
		conn := x.dial(t)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example.com\r\nCookie: %s=%s\r\nConnection: close\r\n\r\n", target, auth.CookieName, x.anaCookie)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		body, _ := io.ReadAll(res.Body)
		if strings.Contains(string(body), `"claims"`) || res.StatusCode == 200 && !strings.HasPrefix(target, "/api") {
			t.Errorf("%s: %d %.200s", target, res.StatusCode, body)
		}
	}

	// It would drop interim answers, and end a cut answer as a whole one.
	x.ana.handle = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/hints" {
			w.Header().Set("Link", "</a>")
			w.Header().Set("Set-Cookie", auth.CookieName+"=stolen; Path=/; Secure")
			w.WriteHeader(http.StatusEarlyHints)
			return
		}
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	conn := x.dial(t)
	br := bufio.NewReader(conn)
	cookie := "Host: x\r\nCookie: " + auth.CookieName + "=" + x.anaCookie + "\r\n\r\n"
	io.WriteString(conn, "GET /api/hints HTTP/1.1\r\n"+cookie)
	for _, want := range []int{103, 200} {
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != want || res.Header["Set-Cookie"] != nil || want == 103 && res.Header.Get("Link") == "" {
			t.Errorf("%v, %v; want %d", res, err, want)
		}
	}
	io.WriteString(conn, "GET /api/half HTTP/1.1\r\n"+cookie)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer ended as a whole one: %q", body)
	}

	// Its contexts are used again: what one request left is not the next one's.
	for range 50 {
		var wg sync.WaitGroup
		for _, who := range []struct{ cookie, email string }{{x.anaCookie, "ana@example.com"}, {x.benCookie, "ben@example.com"}, {"", ""}} {
			wg.Go(func() {
				res, body := x.call(t, "GET", "/auth/me", who.cookie, "", nil)
				if who.email == "" && res.StatusCode != 401 || who.email != "" && !strings.Contains(body, who.email) {
					t.Errorf("%q got %d %s", who.email, res.StatusCode, body)
				}
			})
		}
		wg.Wait()
	}
}
