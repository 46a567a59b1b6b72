package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
)

// requireIdentity lets a request pass only if it was meant for this slice.
// Addresses are reused: what was another slice's a second ago may be ours now,
// and a request that still follows the old one must not be read. Another number
// is 421, so that the gateway looks again; no number, or no token of ours, is
// 401. Nothing of the request but its headers is read before.
func requireIdentity(number int, token string, next http.Handler) http.Handler {
	wantNumber := strconv.Itoa(number)
	wantToken := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == healthPath && r.Method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		if err := checkIdentity(r.Header, wantNumber, wantToken); err != nil {
			w.Header().Set("Connection", "close") // or the server would read the rest of the body
			problem.Write(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkIdentity(h http.Header, wantNumber string, wantToken [sha256.Size]byte) error {
	numbers, tokens := h.Values(platform.HeaderSliceNumber), h.Values(platform.HeaderSliceToken)
	if len(numbers) != 1 {
		return platform.Errorf(platform.ErrUnauthenticated, "The request does not say which slice it is for.")
	}
	if numbers[0] != wantNumber {
		return platform.Errorf(platform.ErrMisdirected, "The request is for another slice.")
	}
	if len(tokens) != 1 {
		return platform.Errorf(platform.ErrUnauthenticated, "The request carries no slice token.")
	}
	// Hashes have one length, so the time says nothing about the token's.
	got := sha256.Sum256([]byte(tokens[0]))
	if subtle.ConstantTimeCompare(got[:], wantToken[:]) != 1 {
		return platform.Errorf(platform.ErrUnauthenticated, "The slice token is wrong.")
	}
	return nil
}
