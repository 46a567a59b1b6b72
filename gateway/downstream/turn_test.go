package downstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// conversation sends pieces and returns all that comes back, as it was meant.
func conversation(t *testing.T, addr string, pieces ...string) string {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	for i, p := range pieces {
		if i > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		_, _ = io.WriteString(c, p) // it may be closed already
	}
	// Where both wait for more, there is nothing more to compare.
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	var said strings.Builder
	for br := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) {
				err = op.Err // without the addresses
			}
			fmt.Fprintf(&said, "%v\n", err)
			return said.String()
		}
		body, err := io.ReadAll(res.Body)
		if res.Header.Get("Date") != "" {
			res.Header.Set("Date", "some")
		}
		fmt.Fprintf(&said, "%s %v length %d %v close %t %q", res.Status, res.Header, res.ContentLength, res.TransferEncoding, res.Close, body)
		fmt.Fprintf(&said, " %v %v\n", res.Trailer, err)
	}
}

// compare sends the same to net/http alone and to a listener that answers itself.
func compare(t *testing.T, h http.HandlerFunc, raw map[string][]string) {
	t.Helper()
	compareOn(t, answering, h, raw)
}

// compareOn is compare with a listener that is run as how says.
func compareOn(t *testing.T, how how, h http.HandlerFunc, raw map[string][]string) {
	t.Helper()
	theirs, _ := serve(t, alone, h)
	ours, _ := serve(t, how, h)
	for name, pieces := range raw {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := conversation(t, theirs, pieces...), conversation(t, ours, pieces...)
			if got != want {
				t.Errorf("%q is answered\n%s\nby net/http\n%s", pieces, got, want)
			}
		})
	}
}

// Whatever is asked, handlers get to know the same of it as from net/http, or
// nothing where that refuses it.
func TestRequestsAreReadAsNetHTTPDoes(t *testing.T) {
	long := func(n int) string { return "X-Long: " + strings.Repeat("x", n) + "\r\n" }
	raw := make(map[string][]string)
	for name, request := range map[string]string{
		"nothing special":     "GET /a/b%2fc?d=e&f#g HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
		"only a host":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"names in lower case": "GET / HTTP/1.1\r\nhost: x\r\nuser-agent: y\r\nx-own: z\r\n\r\n",
		"names twice":         "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nX: 1\r\ncookie: c=d\r\nX: 2\r\nX: 3\r\n\r\n",
		"no space":            "GET / HTTP/1.1\r\nHost:x\r\nA:b\r\n\r\n",
		"more space":          "GET / HTTP/1.1\r\nHost:   x  \r\nA:   b c  \r\nB:\r\nC: \r\n\r\n",
		"tabs":                "GET / HTTP/1.1\r\nHost: x\r\nA:\tb\t\r\n\r\n",
		"folded":              "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
		"folded at once":      "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"UTF-8":               "GET / HTTP/1.1\r\nHost: x\r\nA: ä\r\n\r\n",
		"control character":   "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01c\r\n\r\n",
		"NUL":                 "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
		"bare LF":             "GET / HTTP/1.1\nHost: x\nA: b\n\n",
		"LF in between":       "GET / HTTP/1.1\r\nHost: x\r\nA: b\nB: c\r\n\r\n",
		"bare CR":             "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
		"underscore":          "GET / HTTP/1.1\r\nHost: x\r\nX_User_Id: 1\r\n\r\n",
		"bad name":            "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
		"space before colon":  "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
		"no colon":            "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
		"no name":             "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
		"no host":             "GET / HTTP/1.1\r\nA: b\r\n\r\n",
		"empty host":          "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"two hosts":           "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
		"bad host":            "GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
		"keep-alive":          "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"close":               "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"pragma":              "GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
		"TE":                  "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
		"upgrade":             "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n",
		"HTTP/1.0":            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"HTTP/1.2":            "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
		"HTTP/2":              "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"no version":          "GET /\r\nHost: x\r\n\r\n",
		"two spaces":          "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
		"absolute":            "GET http://y/z HTTP/1.1\r\nHost: x\r\n\r\n",
		"two slashes":         "GET //y/z HTTP/1.1\r\nHost: x\r\n\r\n",
		"bad escape":          "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"UTF-8 in the target": "GET /ä HTTP/1.1\r\nHost: x\r\n\r\n",
		"DEL in the target":   "GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
		"asterisk":            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD":                "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"lower-case method":   "get / HTTP/1.1\r\nHost: x\r\n\r\n",
		"bad method":          "G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"post":                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"get with a body":     "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"length 0":            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"length +5":           "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
		"length -5":           "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
		"length empty":        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
		"length huge":         "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
		"two lengths":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello",
		"one length twice":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"lengths in a list":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
		"chunks":              "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunks and length":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"length and chunks":   "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"expect":              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
		"trailer":             "POST / HTTP/1.1\r\nHost: x\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"header of 3 KiB":     "GET / HTTP/1.1\r\nHost: x\r\n" + long(3<<10) + "\r\n",
		"header of 5 KiB":     "GET / HTTP/1.1\r\nHost: x\r\n" + long(5<<10) + "\r\n",
		"a long post":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("y", 20000),
		"line break in front": "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"not HTTP":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
	} {
		raw[name] = []string{request, last}
		raw[name+", pipelined"] = []string{request + request + last}
		raw[name+", after another"] = []string{get + request, get, last}
		raw[name+", in pieces"] = []string{request[:len(request)/2], request[len(request)/2:], request[:len(request)-1], request[len(request)-1:], last}
	}
	raw["all kinds"] = []string{get, post, get, post, post + get, get + get, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n" + "hel", "lo!", get, last}
	compare(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.RemoteAddr == "" || r.Context().Value(http.ServerContextKey) == nil {
			t.Error("the server is not named")
		}
		u := *r.URL
		fmt.Fprintf(w, "%s %#v %s %s %d %d %v %q %v %d %v %v %q %v", r.Method, u, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Header, r.Host,
			r.TransferEncoding, r.ContentLength, r.Trailer, r.Close, body, err)
	}, raw)
}

// The reader's buffer may be full but for one byte: that is no wait for the client
// to leave.
func TestBuffersMayBeAlmostFull(t *testing.T) {
	raw := make(map[string][]string)
	for name, request := range map[string]string{
		"long target": "GET /" + strings.Repeat("x", 6<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"long header": "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 6<<10) + "\r\n\r\n",
		"long post":   "POST /" + strings.Repeat("x", 6<<10) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	} {
		line := max(0, strings.Index(request, "X-Long")) // which the buffer then begins with
		for first := 4090; first <= 4100; first++ {
			name, at := fmt.Sprintf("%s %d", name, first), line+first
			raw[name] = []string{request[:at], request[at:], get, last}
			raw[name+", after others"] = []string{get + post, post, request[:at-1], request[at-1 : at], request[at : at+1], request[at+1:], last}
		}
	}
	for how, name := range map[how]string{wrapped: "wrapped", answering: "answering"} {
		t.Run(name, func(t *testing.T) {
			compareOn(t, how, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				fmt.Fprint(w, len(r.RequestURI), len(r.Header.Get("X-Long")), string(body), err)
			}, raw)
		})
	}
}

// Whatever a handler does, clients are told the same as by net/http.
func TestAnswersAreWrittenAsNetHTTPDoes(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 4<<10)
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	handlers := map[string]http.HandlerFunc{
		"last":         func(http.ResponseWriter, *http.Request) {},
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"status":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"unnamed":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299); io.WriteString(w, "x") },
		"two statuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(404) },
		"text":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"html":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello") },
		"empty write":  func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) },
		"two writes":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello "); io.WriteString(w, "world") },
		"typed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "{}")
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b")
		},
		"length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		},
		"length 0": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
		"short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "hello")
		},
		"none of 9": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") },
		"long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "hel")
			io.WriteString(w, "lo")
		},
		"large": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, large) },
		"large, length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			io.WriteString(w, large)
		},
		"pieces": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 99 {
				io.WriteString(w, large[:i*i])
			}
		},
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			flush(w)
			io.WriteString(w, "a")
			flush(w)
			flush(w)
			io.WriteString(w, "b")
		},
		"stream typed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "a")
			flush(w)
			io.WriteString(w, large)
		},
		"only flushed": func(w http.ResponseWriter, _ *http.Request) { flush(w) },
		"flush, length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			flush(w)
			io.WriteString(w, "hello")
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			_, err := io.WriteString(w, "x")
			if !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Error(err)
			}
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", "x"); w.WriteHeader(304) },
		"304, length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(304)
		},
		"304, type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "x/y")
			w.WriteHeader(304)
		},
		"204, length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0")
			w.Header().Set("Content-Type", "x/y")
			w.WriteHeader(204)
		},
		"204 flushed": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); flush(w) },
		"early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "a")
			w.WriteHeader(103)
			w.Header().Set("X", "b")
			io.WriteString(w, "hello")
		},
		"late header": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("X", "late")
			io.WriteString(w, "hello")
		},
		"trailers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "A, b")
			io.WriteString(w, "x")
			flush(w)
			w.Header().Set("A", "1")
			w.Header().Set("B", "2")
			w.Header().Set("C", "3")
		},
		"no flush": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "A")
			io.WriteString(w, "x")
			w.Header().Set("A", "1")
		},
		"late trailers": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			flush(w)
			w.Header().Set(http.TrailerPrefix+"A", "1")
		},
		"bad trailer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Content-Length, A")
			flush(w)
			w.Header().Set("A", "1")
		},
		"close": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "hello")
		},
		"own date": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "x") },
		"no date":  func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil },
		"split": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("A", "b\r\nC: d")
			w.Header()["E f"] = []string{"g"}
			w.Header()["H\r\nI"] = []string{"j"}
			w.Header().Set("K", " \x01 ")
		},
		"multiple": func(w http.ResponseWriter, _ *http.Request) { w.Header()["Set-Cookie"] = []string{"a=b", "c=d"} },
		"abort":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"abort later": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "hello")
			flush(w)
			panic(http.ErrAbortHandler)
		},
	}
	raw := make(map[string][]string)
	for name := range handlers {
		request := "GET /" + url.PathEscape(name) + " HTTP/1.1\r\nHost: x\r\n\r\n"
		raw[name] = []string{request, get, last}
		raw[name+", pipelined"] = []string{request + request + last}
	}
	handlers[""] = handlers["text"]
	compare(t, func(w http.ResponseWriter, r *http.Request) { handlers[r.URL.Path[1:]](w, r) }, raw)
}

// The comparison would be with net/http itself if nothing were answered here.
func TestWhoAnswers(t *testing.T) {
	own := make(chan bool, 1)
	addr, _ := serve(t, answering, func(w http.ResponseWriter, _ *http.Request) {
		_, ok := w.(*answer)
		own <- ok
	})
	c := dial(t, addr)
	br := bufio.NewReader(c)
	for i, step := range []struct {
		raw string
		own bool
	}{
		{get, true}, {post, false}, {get, true}, {get, true}, {post, false}, {post, false}, {get, true},
		{"GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n", false}, {get, true},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("x", 9000), false}, {get, true},
		{"GET / HTTP/1.1\r\nHost: x\r\nA:\tb\r\n\r\n", false}, {get, false}, // for good
	} {
		io.WriteString(c, step.raw)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		res.Body.Close()
		if got := <-own; got != step.own {
			t.Errorf("request %d: answered here %t, want %t", i, got, step.own)
		}
	}
}

// What a handler left behind cannot reach the next request's client.
func TestAnswersEndWithTheirRequest(t *testing.T) {
	var before http.ResponseWriter
	addr, _ := serve(t, answering, func(w http.ResponseWriter, _ *http.Request) {
		if before != nil {
			before.WriteHeader(500)
			if _, err := io.WriteString(before, "late"); err == nil {
				t.Error("a write to an answer that is over")
			}
			if err := http.NewResponseController(before).Flush(); err == nil {
				t.Error("a flush of an answer that is over")
			}
		}
		before = w
		io.WriteString(w, "ok")
	})
	if said := conversation(t, addr, get, get, get, last); strings.Count(said, `"ok"`) != 4 || strings.Contains(said, "late") {
		t.Error(said)
	}
}

// A server that is shut down answers what it was asked, and nothing more.
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	for name, finish := range map[string]bool{"in time": true, "too late": false} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			began, release := make(chan struct{}), make(chan struct{})
			srv := &http.Server{IdleTimeout: patience, ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(began)
					<-release
				}
				io.WriteString(w, "done")
			})}
			l := NewListener(ln, srv, "/")
			var wg sync.WaitGroup
			wg.Go(func() { srv.Serve(l) })
			defer func() { srv.Close(); wg.Wait() }()
			idle, fresh, busy := dial(t, ln.Addr().String()), dial(t, ln.Addr().String()), dial(t, ln.Addr().String())
			io.WriteString(idle, get)
			if res, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil || res.StatusCode != 200 {
				t.Fatal(res, err)
			}
			io.WriteString(busy, strings.Replace(get, "/", "/slow", 1))
			<-began
			await(t, func() bool { return len(l.in(waiting)) == 2 }, "two connections wait")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := srv.Shutdown(ctx); err != nil {
				t.Fatal(err)
			}
			for what, c := range map[string]net.Conn{"idle": idle, "fresh": fresh} {
				if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the %s connection: %d, %v", what, n, err)
				}
			}
			if !finish {
				short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if err := l.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				close(release)
				if said, _ := io.ReadAll(busy); len(said) > 0 {
					t.Errorf("cut off, and it said %q", said)
				}
				return
			}
			drained := make(chan error, 1)
			go func() { drained <- l.Drain(ctx) }()
			time.Sleep(3 * drainEvery)
			close(release)
			said, err := io.ReadAll(busy)
			if err != nil || !strings.Contains(string(said), "Connection: close\r\n") || !strings.HasSuffix(string(said), "done") {
				t.Errorf("the answer under way: %q, %v", said, err)
			}
			if err := <-drained; err != nil {
				t.Error(err)
			}
		})
	}
}

// What is read here, net/http reads in the same way, to the same byte.
func FuzzParseHead(f *testing.F) {
	for _, s := range []string{
		get, post, last, upgrade, "GET /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\na: c\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1\r\nhost:x\r\ncontent-length:0\r\n\r\nGET /",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHead(b)
		if !ok {
			return
		}
		rest := bytes.NewReader(b)
		br := bufio.NewReaderSize(rest, 16<<10)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		size := int64(len(b)-rest.Len()-br.Buffered()) + r.ContentLength
		r.Header.Del("Pragma")
		delete(h.header, "Pragma")
		if len(r.Header) > 0 && r.Header.Get("Cache-Control") == "no-cache" && h.header.Get("Cache-Control") == "" {
			delete(r.Header, "Cache-Control") // what it makes of Pragma, which is never plain
		}
		if h.method != r.Method || h.target != r.RequestURI || h.host != r.Host || h.size != size || !reflect.DeepEqual(h.url, r.URL) || !reflect.DeepEqual(h.header, r.Header) {
			t.Errorf("%q is read as %+v %+v, size %d; by net/http as %+v, size %d", b, h, h.url, h.size, r, size)
		}
		if len(r.TransferEncoding) > 0 || r.Close {
			t.Errorf("%q: transfer encoding %q, close %t", b, r.TransferEncoding, r.Close)
		}
		if h.plain && (r.Method != http.MethodGet || r.ContentLength != 0 || r.Header["Te"] != nil || r.Header["Upgrade"] != nil) {
			t.Errorf("%q is no plain request", b)
		}
	})
}
