package platform

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Session is one log-in of one user on one client.
type Session struct {
	ID              string   // UUID; names the session to its user
	TokenHash       [32]byte // SHA-256 of the token; the token itself is never stored
	User            User
	CreatedAt       time.Time
	AuthenticatedAt time.Time // when the user last proved who they are
	LastSeenAt      time.Time // exact to SessionSeenEvery
	ExpiresAt       time.Time // the earlier of the idle and the absolute end
	EndsAt          time.Time // the absolute end, however much it is used
	UserAgent       string
	ClientAddr      string // IP address at log-in
	ImpersonatorID  string // of the admin who acts for the user; "" for the user's own
	Scope           Scope  // of an API token, which is looked up like a session; "" for a session
}

const (
	// SessionLifetime is absolute: however active, a session ends then.
	SessionLifetime = 30 * 24 * time.Hour

	// SessionIdleTimeout ends a session that nobody uses.
	SessionIdleTimeout = 14 * 24 * time.Hour

	// SessionSeenEvery is how exactly it is kept when a session was last used.
	SessionSeenEvery = 5 * time.Minute
)

// SessionStart is what a new session is made from.
type SessionStart struct {
	TokenHash  [32]byte
	Method     LogInMethod // for the audit log
	Password   string      // hash of the password that was given; "" for a log-in without
	Passkey    string      // id of the passkey that was used; "" for a log-in without
	ExpiresAt  time.Time
	UserAgent  string
	ClientAddr string
}

// LogInMethod is how a user proved who they are.
type LogInMethod string

// The methods. A code is from an authenticator app, or one for recovery.
const (
	LogInByPassword        LogInMethod = "password"
	LogInByPasswordAndCode LogInMethod = "password_and_code"
	LogInByPasskey         LogInMethod = "passkey"
)

// tokenBytes gives 256 bits of entropy.
const tokenBytes = 32

// NewSessionToken returns an opaque random token for a cookie.
func NewSessionToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSessionToken returns the form in which a token is stored and looked up.
// It reports false for a string that no NewSessionToken call can have made.
func HashSessionToken(token string) (hash [32]byte, ok bool) {
	// By length too: the decoder overlooks line breaks.
	if len(token) != tokenEncoding.EncodedLen(tokenBytes) {
		return hash, false
	}
	var b [tokenBytes]byte
	if n, err := tokenEncoding.Decode(b[:], []byte(token)); err != nil || n != tokenBytes {
		return hash, false
	}
	return sha256.Sum256(b[:]), true
}

// tokenEncoding has one way to write each token.
var tokenEncoding = base64.RawURLEncoding.Strict()
