package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform/gateway/downstream"
	"ipnoelp.io/platform/gateway/request"
)

// pipeListener has one connection, in memory, so that time can be made up.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// overPipe runs a test against a handler, by a clock of its own. The pipe holds
// nothing back, as a full window does.
func overPipe(t *testing.T, h http.HandlerFunc, test func(t *testing.T, client net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 3 * writeTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h(w, r.WithContext(request.With(r.Context(), &request.Info{})))
		})}
		clients := downstream.NewListener(l, srv, "/api/")
		served := make(chan struct{})
		go func() { defer close(served); srv.Serve(clients) }()
		client, server := net.Pipe()
		l.conns <- server
		defer func() { client.Close(); srv.Close(); <-served }()
		test(t, client)
	})
}

const (
	pipeGet  = "GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n"
	pipePost = "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
)

// A client that does not read holds nobody for long, whatever the gateway says on
// its own, or passes on before the answer.
func TestClientsThatDoNotRead(t *testing.T) {
	p := &Proxy{}
	for name, h := range map[string]http.HandlerFunc{
		"own answer": func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, errTooLarge) },
		"late": func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * writeTimeout) // for the slice
			p.fail(w, r, errRefused)
		},
		"interim": func(w http.ResponseWriter, r *http.Request) {
			i := interimAnswers{w: w}
			_ = i.pass(http.StatusEarlyHints, nil)
			i.end()
			p.fail(w, r, errRefused)
		},
	} {
		for _, raw := range []string{pipeGet, pipePost + "{}"} {
			t.Run(name+" "+raw[:4], func(t *testing.T) {
				overPipe(t, h, func(t *testing.T, client net.Conn) {
					io.WriteString(client, raw)
					if name == "late" {
						time.Sleep(2 * writeTimeout)
					}
					time.Sleep(writeTimeout + time.Second)
					if got, _ := io.ReadAll(client); len(got) != 0 {
						t.Errorf("it still answers: %.60q", got)
					}
				})
			})
		}
	}
}

// The time that a client has for one answer is not that of what comes after it.
func TestDeadlinesAreRenewed(t *testing.T) {
	p := &Proxy{}
	for _, raw := range []string{pipeGet, pipePost + "{}"} {
		overPipe(t, func(w http.ResponseWriter, r *http.Request) {
			i := interimAnswers{w: w}
			_ = i.pass(http.StatusEarlyHints, nil)
			time.Sleep(2 * writeTimeout)
			_ = i.pass(http.StatusEarlyHints, nil)
			i.end()
			time.Sleep(2 * writeTimeout)
			p.fail(w, r, errRefused)
		}, func(t *testing.T, client net.Conn) {
			br := bufio.NewReader(client)
			for range 2 {
				io.WriteString(client, raw)
				for _, want := range []int{103, 103, 503} {
					res, err := http.ReadResponse(br, nil)
					if err != nil || res.StatusCode != want {
						t.Fatalf("%.4s: %v, %v; want %d", raw, res, err, want)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				time.Sleep(2 * writeTimeout)
			}
		})
	}
	// The server itself writes a 100, when the body is asked for.
	overPipe(t, func(w http.ResponseWriter, r *http.Request) {
		i := interimAnswers{w: w}
		_ = i.pass(http.StatusEarlyHints, nil)
		i.end()
		time.Sleep(2 * writeTimeout)
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}, func(t *testing.T, client net.Conn) {
		go io.WriteString(client, strings.Replace(pipePost, "\r\n\r\n", "\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n{}", 1))
		got, err := io.ReadAll(client)
		if said := string(got); err != nil || !strings.Contains(said, "HTTP/1.1 100 ") || !strings.HasSuffix(said, "{}") {
			t.Errorf("%q, %v", got, err)
		}
	})
}
