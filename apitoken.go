package platform

import (
	"crypto/sha256"
	"strings"
	"time"
)

// Scope says what may be done with a token.
type Scope string

const (
	ScopeRead Scope = "read" // GET and HEAD, no WebSockets
	ScopeFull Scope = "full" // everything that the user may in their workspace
)

// APIToken lets a user's own program use their CRM.
type APIToken struct {
	ID         string // UUID
	TokenHash  [32]byte
	Name       string // the user's own
	Scope      Scope
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // exact to SessionSeenEvery; zero: never
}

const (
	MaxAPITokens        = 20 // of one user
	MaxAPITokenName     = 100
	MaxAPITokenLifetime = 366 * 24 * time.Hour
)

// apiTokenPrefix tells people, and programs that look for leaked secrets, what
// it is.
const apiTokenPrefix = "crm_"

// NewAPIToken returns an opaque random token for a program.
func NewAPIToken() string { return apiTokenPrefix + NewSessionToken() }

// HashAPIToken returns the form in which a token is stored and looked up. It
// reports false for a string that no NewAPIToken call can have made.
func HashAPIToken(token string) (hash [32]byte, ok bool) {
	random, ok := strings.CutPrefix(token, apiTokenPrefix)
	if !ok {
		return hash, false
	}
	if _, ok = HashSessionToken(random); !ok {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}
