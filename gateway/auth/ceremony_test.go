package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
)

// freshChallenges is a store for which every challenge is new.
type freshChallenges struct {
	Store
	until time.Time // when the last one may be forgotten
}

func (f *freshChallenges) UseChallenge(_ context.Context, _ [32]byte, until time.Time) (bool, error) {
	f.until = until
	return true, nil
}

func TestCeremonyEnds(t *testing.T) {
	store := &freshChallenges{}
	gateway := func(key byte, now time.Time) *Service {
		s := &Service{Store: store, PlatformKey: make([]byte, 32), Issuer: "app.example.com", Origin: "https://app.example.com"}
		s.PlatformKey[0] = key
		s.Register(gin.New())
		s.limits.now = func() time.Time { return now }
		return s
	}
	begun := time.Now()
	w := httptest.NewRecorder()
	if err := gateway(0, begun).beginCeremony(w, toLogIn, "", "Y2hhbGxlbmdlIG9mIHRoaXMgdGVzdA"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		gateway *Service
		purpose purpose
		user    string
		good    bool
	}{
		"on another gateway":  {gateway(0, begun), toLogIn, "", true},
		"just in time":        {gateway(0, begun.Add(ceremonyLifetime-time.Second)), toLogIn, "", true},
		"too late":            {gateway(0, begun.Add(ceremonyLifetime)), toLogIn, "", false},
		"for another purpose": {gateway(0, begun), toReauthenticate, "", false},
		"of another user":     {gateway(0, begun), toLogIn, "u1", false},
		"of another platform": {gateway(1, begun), toLogIn, "", false},
	} {
		r := httptest.NewRequest("POST", "/auth/passkeys/login", http.NoBody)
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		session, err := tc.gateway.endCeremony(httptest.NewRecorder(), r, tc.purpose, tc.user)
		if good := err == nil; good != tc.good || good && session.Challenge != "Y2hhbGxlbmdlIG9mIHRoaXMgdGVzdA" {
			t.Errorf("%s: %+v, %v", name, session, err)
		}
		if !tc.good && platform.CodeOf(err) != platform.ErrConflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !store.until.After(begun.Add(ceremonyLifetime)) {
		t.Error("a used challenge may be forgotten while its cookie is good")
	}
}
