package platform

import "time"

// Passkey is a WebAuthn credential of a user: a key that their device or
// password manager keeps, and uses once it has made sure that it is them.
type Passkey struct {
	ID           string   // UUID; names it to its user
	CredentialID []byte   // names it to browsers
	PublicKey    []byte   // COSE
	UserHandle   []byte   // names the user to whoever keeps the key; random, the same for all of a user's
	SignCount    uint32   // at its last use; 0 where uses are not counted
	Transports   []string // how browsers reach it
	Syncable     bool     // may be on several devices; never changes
	Synced       bool     // is kept elsewhere too
	Name         string   // the user's own
	CreatedAt    time.Time
	LastUsedAt   time.Time // zero: never
}

const (
	MaxPasskeys    = 20 // of one user
	MaxPasskeyName = 100
)

// Counted reports whether a use with this counter may follow the one before:
// counters only rise. One that does not is a copy's, or the original's after a
// copy was used. 0 and 0 is one that does not count, as synced ones do.
func (p Passkey) Counted(signCount uint32) bool {
	return signCount > p.SignCount || signCount == 0 && p.SignCount == 0
}
