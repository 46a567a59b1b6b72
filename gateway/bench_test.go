package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"ipnoelp.io/platform/gateway/auth"
)

// rawSlice answers each request with 1 KiB of JSON, at next to no cost: what is
// measured is the gateway.
func rawSlice(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n%1024d", 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 16<<10)
				for { // a request of the gateway is one piece
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkTenantRequest is one request of a user through everything: server,
// log event, metrics, session, limits, and the way to the slice and back.
func BenchmarkTenantRequest(b *testing.B) {
	x := setupTenants(b)
	x.sliceAddrs[x.ana.number] = rawSlice(b)
	conn := x.dial(b)
	br := bufio.NewReader(conn)
	request := []byte("GET /api/chats?limit=50 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: bench\r\nAccept: application/json\r\nAccept-Language: en\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\nCookie: " + auth.CookieName + "=" + x.anaCookie + "\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			b.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, res.Body); n != 1024 || res.StatusCode != 200 {
			b.Fatalf("status %d, %d bytes", res.StatusCode, n)
		}
	}
}
