package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection whose handshake was refused serves others, and none of those may
// switch: nobody would take the connection and close it.
func TestSwitchAfterARefusedHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	for name, refusal := range map[string]string{
		"empty":     "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
		"with body": "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
		"chunked":   "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1) // how the one connection did, at the server
			go func() {
				c, err := ln.Accept()
				if err != nil {
					ended <- err
					return
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				br := bufio.NewReader(c)
				for _, answer := range []string{refusal, switched} {
					if _, err := http.ReadRequest(br); err != nil {
						ended <- err
						return
					}
					io.WriteString(c, answer)
				}
				_, err = br.ReadByte()
				ended <- err
			}()
			tr := New(Options{
				DialTimeout: 3 * time.Second, HeaderTimeout: 10 * time.Second, BodyTimeout: 10 * time.Second, IdleTimeout: time.Minute,
				IdlePerServer: 4, IdleTotal: 8, MaxHeaderBytes: 16 << 10, MaxBody: 64 << 10,
			})
			defer tr.Close()
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+ln.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, nc, _, err := tr.Upgrade(ln.Addr().String(), req)
			if err != nil || nc != nil || res.StatusCode != http.StatusBadRequest {
				t.Fatalf("the handshake: %v, %v, %v", res, nc, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if n := tr.Idle(); n != 1 {
				t.Fatalf("%d connections wait, want that of the handshake", n)
			}
			if res, err := tr.RoundTrip(req); !errors.Is(err, errSwitched) {
				t.Errorf("a request that asked for nothing: %v, %v", res, err)
				if err == nil {
					res.Body.Close() // as forward does
				}
			}
			tr.watch.mu.Lock()
			if n := len(tr.watch.conns); n != 0 || tr.Idle() != 0 {
				t.Errorf("%d connections are watched and %d wait, want none", n, tr.Idle())
			}
			tr.watch.mu.Unlock()
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("the connection was not closed: %v", err)
			}
		})
	}
}
