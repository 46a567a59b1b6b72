package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/proxy"
)

// BenchmarkTenantRequest is the gateway's whole way of a request to a slice and
// back, its log line included: in its handler, and with net/http's server and a
// client's connection around it. The slice allocates nothing.
func BenchmarkTenantRequest(b *testing.B) {
	cookie := auth.CookieName + "=" + platform.NewSessionToken()

	b.Run("handler", func(b *testing.B) {
		h := newBenchGateway(b).Handler()
		r := httptest.NewRequest("GET", "/api/chats?limit=50", nil)
		r.RemoteAddr = "127.0.0.1:40000"
		r.Header.Set("Cookie", cookie)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set(platform.HeaderRequestID, "5f0c2a9be1d84c7399a1e6f0b7d3c254")
		w := &discardingWriter{header: make(http.Header)}
		b.ReportAllocs()
		for b.Loop() {
			clear(w.header)
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				b.Fatalf("status %d", w.status)
			}
		}
	})

	b.Run("connection", func(b *testing.B) {
		srv := httptest.NewServer(newBenchGateway(b).Handler())
		defer srv.Close()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		request := []byte("GET /api/chats?limit=50 HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n" +
			"X-Request-Id: 5f0c2a9be1d84c7399a1e6f0b7d3c254\r\nCookie: " + cookie + "\r\n\r\n")
		var buf [8 << 10]byte
		b.ReportAllocs()
		for b.Loop() {
			if _, err := conn.Write(request); err != nil {
				b.Fatal(err)
			}
			for n := 0; ; {
				more, err := conn.Read(buf[n:])
				if err != nil {
					b.Fatal(err)
				}
				n += more
				if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) {
					b.Fatalf("%q", buf[:n])
				}
				if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i >= 0 && n == i+4+benchBody {
					break
				}
			}
		}
	})
}

// newBenchGateway returns a gateway that knows one session and one slice.
func newBenchGateway(b *testing.B) *gateway.Gateway {
	public, _ := url.Parse("https://app.example.com")
	g, err := gateway.New(gateway.Options{
		Store: benchStore{}, Resolver: fixedAddress(startBenchSlice(b)), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		PublicURL: public, PlatformKey: platformKeyForTest, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, WarmTarget: 1,
		SliceLimits: proxy.Limits{Requests: 64, Rate: 1e6, Burst: 1e6},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Close)
	g.NotificationsUp(b.Context())
	return g
}

type benchStore struct{ gateway.Store }

func (benchStore) Session(ctx context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	return oneSession{}.Session(ctx, hash)
}

type fixedAddress string

func (a fixedAddress) Resolve(context.Context, int) (string, error) { return string(a), nil }
func (fixedAddress) Invalidate(int, string)                         {}

const benchBody = 1024 // bytes

// startBenchSlice answers everything with the same bytes, and returns its
// address.
func startBenchSlice(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n" + strings.Repeat("x", benchBody))
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var buf [8 << 10]byte
				for n := 0; n < len(buf); {
					more, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += more; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						if _, err := conn.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// discardingWriter is a client that takes everything at once.
type discardingWriter struct {
	header http.Header
	status int
}

func (w *discardingWriter) Header() http.Header         { return w.header }
func (w *discardingWriter) WriteHeader(status int)      { w.status = status }
func (w *discardingWriter) Write(p []byte) (int, error) { return len(p), nil }
