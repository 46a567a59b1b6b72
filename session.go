package platform

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Session is one log-in of one user on one client.
type Session struct {
	TokenHash [32]byte // SHA-256 of the token; the token itself is never stored
	User      User
	CreatedAt time.Time
	ExpiresAt time.Time
}

// sessionTokenBytes gives 256 bits of entropy.
const sessionTokenBytes = 32

// NewSessionToken returns an opaque random token for a cookie.
func NewSessionToken() string {
	var b [sessionTokenBytes]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSessionToken returns the form in which a token is stored and looked up.
// It reports false for a string that no NewSessionToken call can have made.
func HashSessionToken(token string) (hash [32]byte, ok bool) {
	// By length too: the decoder overlooks line breaks.
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != sessionTokenBytes || len(token) != base64.RawURLEncoding.EncodedLen(sessionTokenBytes) {
		return hash, false
	}
	return sha256.Sum256(b), true
}
