package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/request"
)

// rawServer answers each connection's first request with raw bytes, closes, and
// tells what it got.
func rawServer(t *testing.T, answer string) (addr string, got chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got = make(chan string, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					got <- err.Error()
					return
				}
				if r.Header.Get("Expect") != "" {
					io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
				}
				body, _ := io.ReadAll(r.Body)
				var seen strings.Builder
				fmt.Fprintf(&seen, "%s %s length %d %v %v\n", r.Method, r.RequestURI, r.ContentLength, r.TransferEncoding, r.Trailer)
				_ = r.Header.Write(&seen) // sorted by name
				seen.Write(body)
				got <- seen.String()
				io.WriteString(conn, answer)
			}()
		}
	}()
	return ln.Addr().String(), got
}

// exchange sends raw bytes and returns all that comes back, the lines of each
// head in order.
func exchange(t *testing.T, addr, sent string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // a reset is an end like another
	continued := false
	return heads.ReplaceAllStringFunc(string(answer), func(head string) string {
		if strings.HasPrefix(head, "HTTP/1.1 100 ") {
			if continued {
				return "" // the slice's and the server's own: both come, or one, as they race
			}
			continued = true
		}
		lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "Date: ") || l == "X-Content-Type-Options: nosniff" || l == "X-Request-Id: request-1"
		})
		slices.Sort(lines[1:])
		return strings.Join(lines, "\r\n") + "\r\n\r\n"
	})
}

var heads = regexp.MustCompile(`(?s)HTTP/1\.[01] \d\d\d .*?\r\n\r\n`)

// What a client and a slice get is what they get from the standard library's
// proxy with the standard library's transport, but for the gateway's headers.
func TestForwardsAsReverseProxyDoes(t *testing.T) {
	const plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
	cookie := "Cookie: " + auth.CookieName + "=ana\r\n"
	get := "GET /api/x?a=1&a=2 HTTP/1.1\r\nHost: app.example.com\r\n" + cookie + "Connection: close\r\n\r\n"
	kept := strings.Replace(get, "Connection: close\r\n", "", 1)
	answers := map[string]string{
		"plain":                plain,
		"no content":           "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
		"not modified":         "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 99\r\n\r\n",
		"empty":                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"several of a name":    "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nVary: a\r\nVary: b\r\nContent-Length: 0\r\n\r\n",
		"ends by close":        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nas long as it lasts",
		"HTTP/1.0":             "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold",
		"chunks":               "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		"trailer":              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
		"trailer not said":     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
		"trailer, empty body":  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 42\r\n\r\n",
		"hop-by-hop":           "HTTP/1.1 200 OK\r\nConnection: X-Inner, close\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nX-Outer: 2\r\nContent-Length: 0\r\n\r\n",
		"early hints":          "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + plain,
		"cut off":              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf",
		"chunk cut off":        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
		"events":               "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 9\r\n\r\ndata: x\n\n",
		"no content type":      "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
		"compressed":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
		"larger than a buffer": "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10000),
		"error":                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nbad",
		"redirect":             "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
	}
	const head = " /api/x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n"
	requests := map[string]string{
		"plain":             get,
		"HEAD":              "HEAD" + head + cookie + "\r\n",
		"body":              "POST" + head + cookie + "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		"empty body":        "POST" + head + cookie + "Content-Length: 0\r\n\r\n",
		"no length":         "POST" + head + cookie + "\r\n",
		"chunks":            "PUT" + head + cookie + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"trailers":          "PUT" + head + cookie + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
		"large body":        "PUT" + head + cookie + "Content-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10000),
		"body of a GET":     "GET" + head + cookie + "Content-Length: 5\r\n\r\nhello",
		"hop-by-hop":        "GET /api/x HTTP/1.1\r\nHost: app.example.com\r\n" + cookie + "Connection: close, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nX-Outer: 2\r\n\r\n",
		"te":                "GET" + head + cookie + "Te: trailers, deflate\r\n\r\n",
		"te, no trailers":   "GET" + head + cookie + "Te: deflate\r\n\r\n",
		"several of a name": "GET" + head + cookie + "X-A: 1\r\nx-a: 2\r\nAccept: a\r\nAccept: b\r\n\r\n",
		"agent":             "GET" + head + cookie + "User-Agent: x/1\r\n\r\n",
		"expect":            "POST" + head + cookie + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
		"expect, chunks":    "POST" + head + cookie + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0":          "GET /api/x HTTP/1.0\r\nHost: app.example.com\r\n" + cookie + "\r\n",
		"absolute":          "GET http://app.example.com/api/x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n" + cookie + "\r\n",
		"other upgrade":     "GET /api/x HTTP/1.1\r\nHost: app.example.com\r\n" + cookie + "Connection: close, Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n",
	}
	compare := func(t *testing.T, sent, answer string) {
		addr, got := rawServer(t, answer)
		b := setup(t)
		b.resolver.truth[7] = addr
		target := &url.URL{Scheme: "http", Host: addr}
		theirs := httptest.NewServer(&httputil.ReverseProxy{
			ErrorLog:  log.New(io.Discard, "", 0),
			Transport: &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Second},
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(target)
				pr.Out.Host = "app.example.com"
				pr.Out.Header.Del("Cookie")
				for _, f := range b.proxy.identify(b.auth.users["ana"], &request.Info{ID: "request-1", ClientAddr: "192.0.2.1"}) {
					pr.Out.Header.Set(f.Name, f.Value)
				}
			},
		})
		defer theirs.Close()
		arrived := func() (all string) { // what the slice got, which was before it answered
			for len(got) > 0 {
				all += <-got + "\n"
			}
			return all
		}
		wantAnswer := exchange(t, theirs.Listener.Addr().String(), sent)
		wantRequest := arrived()
		gotAnswer := exchange(t, strings.TrimPrefix(b.url, "http://"), sent)
		gotRequest := arrived()
		// ReverseProxy announces a request's trailers, and loses their values.
		wantRequest = strings.Replace(wantRequest, "map[X-Sum:[]]", "map[X-Sum:[42]]", 1)
		if gotRequest != wantRequest {
			t.Errorf("the slice got\n%s\nfrom ReverseProxy\n%s", gotRequest, wantRequest)
		}
		if gotAnswer != wantAnswer {
			t.Errorf("the client got\n%.2000s\nfrom ReverseProxy\n%.2000s", gotAnswer, wantAnswer)
		}
	}
	for name, answer := range answers {
		t.Run("answer/"+name, func(t *testing.T) { compare(t, get, answer) })
		// A request that does not ask for the connection's end does not come to net/http.
		t.Run("answer, kept alive/"+name, func(t *testing.T) { compare(t, kept+get, answer) })
		// What is streamed goes through http.Transport.
		t.Run("answer to a stream/"+name, func(t *testing.T) { compare(t, requests["chunks"], answer) })
	}
	last := strings.Replace(plain, "Content-Type", "Connection: close\r\nContent-Type", 1) // ReverseProxy fails when it takes up one that is closed
	for name, sent := range requests {
		t.Run("request/"+name, func(t *testing.T) { compare(t, sent, plain) })
		t.Run("request, after another/"+name, func(t *testing.T) { compare(t, kept+sent, last) })
	}
}

// Each piece of a stream goes on when it comes.
func TestStreamsAreNotHeldBack(t *testing.T) {
	for name, header := range map[string]http.Header{
		"of unknown length": {"Content-Type": {"text/plain"}},
		"events":            {"Content-Type": {"Text/Event-Stream;charset=utf-8"}, "Content-Length": {"4"}},
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
				for name, values := range header {
					w.Header()[name] = values
				}
				control := http.NewResponseController(w)
				_ = control.Flush() // the header alone, at first
				for range 4 {
					<-next
					io.WriteString(w, "x")
					_ = control.Flush()
				}
			})
			b := setup(t, seven)
			req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/x", nil)
			req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			for range 4 {
				next <- struct{}{}
				if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A slice cannot take back what the gateway says of its answers, nor switch to
// a protocol that nobody asked for.
func TestAnswersCannotUndoTheGateways(t *testing.T) {
	for name, c := range map[string]struct {
		request, answer string
		status          int
	}{
		"named by Connection": {"GET", "HTTP/1.1 200 OK\r\nConnection: X-Content-Type-Options, X-Request-Id, close\r\nX-Content-Type-Options: none\r\nContent-Length: 0\r\n\r\n", 200},
		"switch":              {"GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502},
		"switch, large body":  {"PUT", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := rawServer(t, c.answer)
			b := setup(t)
			b.resolver.truth[7] = addr
			var body io.Reader
			if c.request == "PUT" {
				body = strings.NewReader(strings.Repeat("x", replayBytes+1))
			}
			res, _ := b.do(t, "ana", c.request, "/api/x", body, nil)
			if res.StatusCode != c.status || res.Header.Get("X-Request-Id") != "request-1" || c.status == 200 && res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("answer %d %v", res.StatusCode, res.Header)
			}
		})
	}
}
