package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/proxy"
	"ipnoelp.io/platform/problem"
)

// fixedSlices is a directory that does not change.
type fixedSlices map[int]string

func (s fixedSlices) Resolve(_ context.Context, number int) (string, error) {
	if addr, ok := s[number]; ok {
		return addr, nil
	}
	return "", platform.Errorf(platform.ErrUnavailable, "Your workspace is starting.")
}

func (fixedSlices) Invalidate(int, string) {}

// tenantSlice keeps the slice's contract, and has a secret in every answer.
type tenantSlice struct {
	number int
	email  string // of its user
	secret string
	handle http.HandlerFunc // instead of the secret, if set

	mu     sync.Mutex
	paths  []string // guarded by mu; of the last requests
	served int      // guarded by mu
	faults []string // guarded by mu; what should not have arrived
}

func (s *tenantSlice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(platform.HeaderSliceNumber) != strconv.Itoa(s.number) {
		problem.Write(w, platform.Errorf(platform.ErrMisdirected, "another slice"))
		return
	}
	if r.Header.Get(platform.HeaderSliceToken) != platform.SliceToken(make([]byte, 32), s.number, 1) {
		problem.Write(w, platform.Errorf(platform.ErrUnauthenticated, "another token"))
		return
	}
	s.mu.Lock()
	s.served++
	s.paths = append(s.paths, r.Method+" "+r.RequestURI)
	if email := r.Header[platform.HeaderUserEmail]; len(email) != 1 || email[0] != s.email {
		s.faults = append(s.faults, fmt.Sprintf("a request as %q", email))
	}
	for name, values := range r.Header {
		if all := name + strings.Join(values, ","); strings.Contains(strings.ToLower(all), "__host-session") {
			s.faults = append(s.faults, "the session in "+name)
		}
	}
	s.mu.Unlock()
	if s.handle != nil {
		s.handle(w, r)
		return
	}
	if r.Header.Get("Upgrade") != "" {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81%c%s", len(s.secret), s.secret)
			conn.Close()
		}
		return
	}
	w.Write([]byte(s.secret))
}

func (s *tenantSlice) seen() (served int, paths, faults []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served, append([]string(nil), s.paths...), append([]string(nil), s.faults...)
}

// tenants are two users, each with a slice, on a gateway that listens.
type tenants struct {
	*testBundle
	addr       string
	ana, ben   *tenantSlice
	anaCookie  string
	benCookie  string
	sliceAddrs fixedSlices
}

func setupTenants(t testing.TB, change ...func(*Options)) *tenants {
	t.Helper()
	x := &tenants{
		ana: &tenantSlice{number: 1, email: "ana@example.com", secret: "the-secret-of-ana"},
		ben: &tenantSlice{number: 2, email: "ben@example.com", secret: "the-secret-of-ben"},
	}
	x.sliceAddrs = fixedSlices{}
	for _, s := range []*tenantSlice{x.ana, x.ben} {
		srv := httptest.NewServer(s)
		t.Cleanup(srv.Close)
		x.sliceAddrs[s.number] = srv.Listener.Addr().String()
	}
	x.testBundle = setupWith(t, x.sliceAddrs, proxy.Limits{Requests: 1000, Rate: 1e6, Burst: 1e6}, change...)
	x.store.addSlice(platform.SliceWarm)
	x.anaCookie = x.signUp(t, "ana@example.com")
	x.store.addSlice(platform.SliceWarm)
	x.benCookie = x.signUp(t, "ben@example.com")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, clients := x.newServer(ln)
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(clients) })
	watched, stop := context.WithCancel(t.Context())
	wg.Go(func() { clients.Watch(watched) })
	t.Cleanup(func() { srv.Close(); stop(); wg.Wait() })
	x.addr = ln.Addr().String()
	return x
}

func (x *tenants) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", x.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}
