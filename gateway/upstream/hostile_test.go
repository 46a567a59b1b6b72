package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform/gateway/upstream"
)

const (
	dialTimeout = 3 * time.Second
	timeout     = 500 * time.Millisecond
)

func options() upstream.Options {
	return upstream.Options{
		DialTimeout: dialTimeout, HeaderTimeout: timeout, BodyTimeout: timeout, IdleTimeout: time.Minute,
		IdlePerServer: 4, IdleTotal: 8, MaxHeaderBytes: 16 << 10, MaxBody: 64 << 10,
	}
}

// server speaks TCP as its script says, and counts.
type server struct {
	net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns int      // guarded by mu
	heads []string // guarded by mu; of the requests that came, in order
}

// serve starts a server. answer is called for each request on each connection,
// numbered from 1; false closes the connection.
func serve(t testing.TB, answer func(c net.Conn, conn, request int) bool) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: ln}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			n := s.conns
			s.mu.Unlock()
			t.Cleanup(func() { c.Close() })
			s.wg.Go(func() { s.speak(c, n, answer) })
		}
	})
	t.Cleanup(func() { ln.Close() })
	return s
}

func (s *server) speak(c net.Conn, conn int, answer func(c net.Conn, conn, request int) bool) {
	defer c.Close()
	br := bufio.NewReader(c)
	for n := 1; ; n++ {
		head, err := textproto.NewReader(br).ReadLine()
		if err != nil {
			return
		}
		h, err := textproto.NewReader(br).ReadMIMEHeader()
		if err != nil {
			return
		}
		if length := h.Get("Content-Length"); length != "" && h.Get("X-Leave-Body") == "" {
			var size int64
			for _, digit := range length {
				size = 10*size + int64(digit-'0')
			}
			body, _ := io.ReadAll(io.LimitReader(br, size))
			head += " " + string(body)
		}
		s.mu.Lock()
		s.heads = append(s.heads, head)
		s.mu.Unlock()
		if !answer(c, conn, n) {
			return
		}
	}
}

func (s *server) counts() (conns int, heads []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, append([]string(nil), s.heads...)
}

func (s *server) url() string { return "http://" + s.Addr().String() }

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var b io.Reader
	if body != "" {
		b = upstream.NewBody([]byte(body))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, b)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.ContentLength = int64(len(body))
	}
	return req
}

// get reads a whole answer.
func get(rt http.RoundTripper, req *http.Request) (status int, body string, err error) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

const second = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"

// What a server may send, and what becomes of it: the same as with net/http,
// and whatever it was, the next request gets its own answer.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		method string // GET if empty
		answer string
		stall  bool // instead of closing after it
		open   bool // the connection can go on
		status int  // 0: no answer
		body   string
		cut    bool // an error while the body is read
		own    bool // net/http leaves it to the caller
		after  bool // bytes come after the end; net/http looks in the background, and may be too late
	}{
		{name: "plain", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "empty", answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", open: true, status: 200},
		{name: "chunked", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", open: true, status: 200, body: "ok"},
		{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", open: true, status: 204},
		{name: "304 with a length", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", open: true, status: 304},
		{name: "HEAD with a length", method: "HEAD", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", open: true, status: 200},
		{name: "HEAD with a body", method: "HEAD", answer: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecre!", open: true, after: true, status: 200},
		{name: "ends by close", answer: "HTTP/1.1 200 OK\r\n\r\nok", status: 200, body: "ok"},
		{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "Connection: close, left open", answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "100 first", answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "103 first", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "1xx without end", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("a", 500)+"\r\n\r\n", 100)},
		{name: "closes at once", answer: ""},
		{name: "closes in the status line", answer: "HTTP/1.1 20"},
		{name: "closes in the header", answer: "HTTP/1.1 200 OK\r\nContent-"},
		{name: "closes in the body", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", status: 200, body: "ab", cut: true},
		{name: "closes in a chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", status: 200, body: "ab", cut: true},
		{name: "closes before the last chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", status: 200, body: "ab", cut: true},
		{name: "stalls at once", stall: true},
		{name: "stalls in the header", answer: "HTTP/1.1 200 OK\r\nConten", stall: true},
		{name: "sends after the end", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", open: true, after: true, status: 200, body: "ok"},
		{name: "sends after the last chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", open: true, after: true, status: 200, body: "ok"},
		{name: "two lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", open: true},
		{name: "one length twice", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", open: true, status: 200, body: "ok"},
		{name: "length and chunks", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", open: true, status: 200, body: "abc"},
		{name: "negative length", answer: "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", open: true},
		{name: "length with a sign", answer: "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", open: true},
		{name: "unknown transfer coding", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", open: true},
		{name: "chunk size that is none", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", open: true, status: 200, cut: true},
		{name: "space before the colon", answer: "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", status: 200, body: "ok"}, // that header is none
		{name: "not HTTP", answer: "220 mail.example.com ESMTP\r\n\r\n", open: true},
		{name: "HTTP/2 preface", answer: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", open: true},
		{name: "switches the protocol", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", open: true, own: true},
		{name: "status below 100", answer: "HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", open: true, own: true},
		{name: "huge header", answer: "HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("a", 32<<10) + "\r\nContent-Length: 2\r\n\r\nok", open: true},
		{name: "many headers", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 4<<10) + "Content-Length: 2\r\n\r\nok", open: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ours := upstream.New(options())
			defer ours.Close()
			theirs := &http.Transport{
				DisableCompression: true, MaxResponseHeaderBytes: int64(options().MaxHeaderBytes), ResponseHeaderTimeout: timeout,
			}
			defer theirs.CloseIdleConnections()
			for name, rt := range map[string]http.RoundTripper{"ours": ours, "net/http": theirs} {
				if tc.own && rt == theirs {
					continue
				}
				s := serve(t, func(c net.Conn, conn, request int) bool {
					if conn == 1 && request == 1 {
						io.WriteString(c, tc.answer)
						if tc.stall {
							<-t.Context().Done()
						}
						return tc.open
					}
					io.WriteString(c, second)
					return true
				})
				method := tc.method
				if method == "" {
					method = "POST" // so that nobody sends it again
				}
				status, body, err := get(rt, newRequest(t, method, s.url()+"/first", ""))
				switch {
				case tc.status == 0 && err == nil:
					t.Errorf("%s: %d %q, want an error", name, status, body)
				case tc.status != 0 && (status != tc.status || body != tc.body || (err != nil) != tc.cut):
					t.Errorf("%s: %d %q, %v; want %d %q, cut %v", name, status, body, err, tc.status, tc.body, tc.cut)
				}
				if tc.after && rt == theirs {
					continue
				}
				for range 3 {
					if status, body, err := get(rt, newRequest(t, "GET", s.url()+"/second", "")); err != nil || status != 200 || body != "second" {
						t.Errorf("%s: the next request: %d %q, %v", name, status, body, err)
					}
				}
			}
		})
	}
}

// A connection is used again when, and only when, that is safe.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		conns        int
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		{"empty", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3},
		{"more than the answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", 3},
	} {
		rt := upstream.New(options())
		s := serve(t, func(c net.Conn, _, _ int) bool {
			io.WriteString(c, tc.answer)
			return true
		})
		for range 3 {
			if _, _, err := get(rt, newRequest(t, "GET", s.url(), "")); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if conns, _ := s.counts(); conns != tc.conns {
			t.Errorf("%s: %d connections, want %d", tc.name, conns, tc.conns)
		}
		rt.Close()
	}
}

// An answer that nobody reads to the end takes its connection along: the rest of
// it would be the next one's.
func TestHalfReadAnswersLeaveNoConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _, request int) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("x", 1<<20))
		return true
	})
	rt := upstream.New(options())
	defer rt.Close()
	for i := range 3 {
		res, err := rt.RoundTrip(newRequest(t, "GET", s.url(), ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if conns, _ := s.counts(); conns != i+1 {
			t.Errorf("request %d came on connection %d", i+1, conns)
		}
	}
}

// What comes after an answer, when the connection is idle already, is not taken
// for the next answer.
func TestLateBytesAreNotAnAnswer(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	s := serve(t, func(c net.Conn, conn, request int) bool {
		io.WriteString(c, second)
		if conn == 1 && request == 1 {
			time.Sleep(50 * time.Millisecond)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
			close(sent)
		}
		return true
	})
	rt := upstream.New(options())
	defer rt.Close()
	for range 2 {
		if _, body, err := get(rt, newRequest(t, "POST", s.url(), "")); err != nil || body != "second" {
			t.Errorf("%q, %v", body, err)
		}
		<-sent
	}
	if conns, _ := s.counts(); conns != 2 {
		t.Errorf("%d connections, want 2", conns)
	}
}

// A server closes idle connections as it likes; requests do not notice.
func TestStaleConnections(t *testing.T) {
	t.Parallel()
	rt := upstream.New(options())
	defer rt.Close()
	closed := make(chan struct{}, 8)
	s := serve(t, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, second)
		closed <- struct{}{}
		return false
	})
	for i := range 4 {
		if _, body, err := get(rt, newRequest(t, "POST", s.url(), "x")); err != nil || body != "second" {
			t.Errorf("%d: %q, %v", i, body, err)
		}
		<-closed
		time.Sleep(20 * time.Millisecond) // the close arrives
	}
}

// The server closes just when the request arrives: only a request that may be
// sent twice is, and it is sent on a new connection.
func TestClosedUnderTheRequest(t *testing.T) {
	t.Parallel()
	for method, wantErr := range map[string]bool{"GET": false, "HEAD": false, "OPTIONS": false, "POST": true, "DELETE": true, "PATCH": true} {
		s := serve(t, func(c net.Conn, conn, request int) bool {
			if conn <= 2 && request == 2 {
				return false // read, not answered
			}
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			return true
		})
		rt := upstream.New(options())
		// Two idle connections, both about to be closed.
		held, err := rt.RoundTrip(newRequest(t, "GET", s.url(), ""))
		if err != nil {
			t.Fatal(err)
		}
		held.Body.Close()
		req := newRequest(t, method, s.url(), "")
		req.Header.Set("Idempotency-Key", "1") // changes nothing
		_, _, err = get(rt, req)
		if (err != nil) != wantErr {
			t.Errorf("%s: %v, want an error: %v", method, err, wantErr)
		}
		_, heads := s.counts()
		sent := 0
		for _, h := range heads[1:] {
			if strings.HasPrefix(h, method+" ") {
				sent++
			}
		}
		if want := map[bool]int{false: 2, true: 1}[wantErr]; sent != want {
			t.Errorf("%s: sent %d times, want %d", method, sent, want)
		}
		rt.Close()
	}
}

func TestBodyIsSent(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, second)
		return true
	})
	rt := upstream.New(options())
	defer rt.Close()
	for _, body := range []string{"", "hello", strings.Repeat("x", 64<<10)} {
		if _, _, err := get(rt, newRequest(t, "POST", s.url()+"/p%2Fq?a=1;b=%zz", body)); err != nil {
			t.Fatal(err)
		}
		_, heads := s.counts()
		if got, want := heads[len(heads)-1], "POST /p%2Fq?a=1;b=%zz HTTP/1.1 "+body; got != want {
			t.Errorf("sent %.80q, want %.80q", got, want)
		}
	}
}

// A server that answers before it has read the request, and closes.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, "HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
		return false
	})
	rt := upstream.New(options())
	defer rt.Close()
	req := newRequest(t, "POST", s.url(), strings.Repeat("x", 64<<10))
	req.Header.Set("X-Leave-Body", "1")
	if status, body, err := get(rt, req); err != nil || status != 413 || body != "big" {
		t.Errorf("%d %q, %v", status, body, err)
	}
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"} {
		arrived := make(chan struct{}, 1)
		s := serve(t, func(c net.Conn, _, _ int) bool {
			io.WriteString(c, begin)
			arrived <- struct{}{}
			return true // and wait for the next request
		})
		rt := upstream.New(upstream.Options{
			DialTimeout: dialTimeout, HeaderTimeout: time.Hour, BodyTimeout: time.Hour, IdleTimeout: time.Minute,
			IdlePerServer: 4, IdleTotal: 8, MaxHeaderBytes: 16 << 10,
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if _, _, err := get(rt, newRequest(t, "GET", s.url(), "").WithContext(ctx)); !errors.Is(err, context.Canceled) {
			t.Errorf("after %q: %v, want that it was canceled", begin, err)
		}
		if n := rt.Idle(); n != 0 {
			t.Errorf("after %q: %d idle connections, want 0", begin, n)
		}
		rt.Close()
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"} {
		s := serve(t, func(c net.Conn, _, _ int) bool {
			io.WriteString(c, begin)
			return true
		})
		rt := upstream.New(options())
		if _, _, err := get(rt, newRequest(t, "GET", s.url(), "")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: %v, want a timeout", begin, err)
		}
		rt.Close()
	}
}

func TestInterimAnswersAreShown(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+second)
		return true
	})
	rt := upstream.New(options())
	defer rt.Close()
	var links []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints {
			links = append(links, h.Get("Link"))
		}
		return nil
	}}
	req := newRequest(t, "GET", s.url(), "")
	if _, _, err := get(rt, req.WithContext(httptrace.WithClientTrace(t.Context(), trace))); err != nil || len(links) != 1 || links[0] != "</a>" {
		t.Errorf("links %q, %v", links, err)
	}
}

// No header, method or target of a caller becomes more than it is.
func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, second)
		return true
	})
	rt := upstream.New(options())
	defer rt.Close()
	for name, spoil := range map[string]func(*http.Request){
		"value":  func(r *http.Request) { r.Header["X-A"] = []string{"b\r\nX-User-Id: 1"} },
		"name":   func(r *http.Request) { r.Header["X-A: b\r\nX"] = []string{"c"} },
		"method": func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX:" },
		"host":   func(r *http.Request) { r.Host = "a\r\nX-A: b" },
		"no host": func(r *http.Request) {
			r.Host = ""
		},
		"query":  func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nX-A: b" },
		"opaque": func(r *http.Request) { r.URL.Opaque = "/a HTTP/1.1\r\nX-A: b" },
	} {
		req := newRequest(t, "GET", s.url(), "")
		spoil(req)
		if _, _, err := get(rt, req); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	if _, heads := s.counts(); len(heads) != 0 {
		t.Errorf("the server got %q", heads)
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	rt := upstream.New(options())
	defer rt.Close()
	for name, tc := range map[string]struct {
		change func(*http.Request)
		want   bool
	}{
		"plain":       {func(*http.Request) {}, true},
		"body":        {func(r *http.Request) { r.Body = upstream.NewBody([]byte("x")) }, true},
		"large body":  {func(r *http.Request) { r.Body = upstream.NewBody(make([]byte, 65<<10)) }, false},
		"stream":      {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, false},
		"expect":      {func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, false},
		"upgrade":     {func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, false},
		"trailer":     {func(r *http.Request) { r.Trailer = http.Header{"X": nil} }, false},
		"TLS":         {func(r *http.Request) { r.URL.Scheme = "https" }, false},
		"once":        {func(r *http.Request) { r.Close = true }, false},
		"CONNECT":     {func(r *http.Request) { r.Method = "CONNECT" }, false},
		"empty body":  {func(r *http.Request) { r.Body = http.NoBody }, true},
		"TE trailers": {func(r *http.Request) { r.Header.Set("Te", "trailers") }, true},
	} {
		req := newRequest(t, "GET", "http://127.0.0.1:9", "")
		tc.change(req)
		if got := rt.Fits(&upstream.Request{Request: req}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// The pool keeps what it may, and not for ever.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := serve(t, func(c net.Conn, _, _ int) bool {
		<-gate
		io.WriteString(c, second)
		return true
	})
	o := options()
	o.HeaderTimeout, o.IdleTimeout = 10*time.Second, 200*time.Millisecond
	rt := upstream.New(o)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, _, err := get(rt, newRequest(t, "GET", s.url(), "")); err != nil {
				t.Error(err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if n := rt.Idle(); n == 0 || n > o.IdlePerServer {
		t.Errorf("%d idle connections, want 1 to %d", n, o.IdlePerServer)
	}
	for deadline := time.Now().Add(5 * time.Second); rt.Idle() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections still idle", rt.Idle())
		}
	}
	rt.Close()
	if _, _, err := get(rt, newRequest(t, "GET", s.url(), "")); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if n := rt.Idle(); n != 0 {
		t.Errorf("%d idle connections after Close", n)
	}
}

// A full pool keeps those that were used last.
func TestFullPool(t *testing.T) {
	t.Parallel()
	o := options()
	o.IdleTotal = 2
	rt := upstream.New(o)
	defer rt.Close()
	var servers []*server
	for range 3 {
		servers = append(servers, serve(t, func(c net.Conn, _, _ int) bool {
			io.WriteString(c, second)
			return true
		}))
	}
	visit := func(i int) {
		t.Helper()
		if _, _, err := get(rt, newRequest(t, "GET", servers[i].url(), "")); err != nil {
			t.Fatal(err)
		}
		if n := rt.Idle(); n > o.IdleTotal {
			t.Errorf("%d idle connections, want at most %d", n, o.IdleTotal)
		}
	}
	for _, i := range []int{0, 1, 0, 2, 0, 2, 1, 2} { // 1 makes room for 2, 0 then for 1
		visit(i)
	}
	for i, want := range []int{1, 2, 1} {
		if n, _ := servers[i].counts(); n != want {
			t.Errorf("server %d: %d connections, want %d", i, n, want)
		}
	}
}

// BenchmarkTransport is one request of an API, beside net/http.
func BenchmarkTransport(b *testing.B) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n"
	s := serve(b, func(c net.Conn, _, _ int) bool {
		io.WriteString(c, answer+strings.Repeat("x", 1024))
		return true
	})
	ours := upstream.New(options())
	defer ours.Close()
	theirs := &http.Transport{DisableCompression: true}
	defer theirs.CloseIdleConnections()
	for _, tc := range []struct {
		name string
		rt   http.RoundTripper
	}{{"upstream", ours}, {"net-http", theirs}} {
		b.Run(tc.name, func(b *testing.B) {
			req := newRequest(b, "GET", s.url(), "")
			b.ReportAllocs()
			for b.Loop() {
				res, err := tc.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}
