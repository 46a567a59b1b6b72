package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/metrics"
)

type oneSession struct{ auth.SessionStore }

func (oneSession) Session(_ context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	return platform.Session{TokenHash: hash, User: platform.User{ID: "ana"}, ExpiresAt: time.Now().Add(time.Hour)},
		platform.Slice{Number: 7, State: platform.SliceAssigned, Generation: 1}, nil
}

// BenchmarkSessionAndAddress is what each tenant request costs before it is
// sent: who asks, and where their slice is.
func BenchmarkSessionAndAddress(b *testing.B) {
	directory := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode([]api.ServiceEntry{{Node: &api.Node{}, Service: &api.AgentService{Address: "127.0.0.1", Port: 2001}}})
	}))
	defer directory.Close()
	client, err := api.NewClient(&api.Config{Address: directory.URL})
	if err != nil {
		b.Fatal(err)
	}
	resolver := consul.NewResolver(client, slog.New(slog.DiscardHandler))
	defer resolver.Close()
	sessions := auth.NewSessions(oneSession{}, platformKeyForTest, metrics.New(func() int { return 0 }).SessionCache)
	sessions.Resume()
	r := httptest.NewRequest("GET", "/api/chats", nil)
	r.Header.Set("Cookie", "theme=dark; "+auth.CookieName+"="+platform.NewSessionToken())
	b.ReportAllocs()
	for b.Loop() {
		id, err := sessions.Authenticate(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := resolver.Resolve(r.Context(), id.Slice.Number); err != nil {
			b.Fatal(err)
		}
	}
}

var platformKeyForTest = []byte("0123456789abcdef0123456789abcdef")
