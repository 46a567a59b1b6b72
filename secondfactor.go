package platform

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// SecondFactor is what a user has beside the password. Secrets are as they are
// stored: encrypted.
type SecondFactor struct {
	Secret        []byte // nil: none is asked for
	Pending       []byte // offered, and not in force until a code of it is given
	RecoveryCodes int    // that are left
	Passkeys      int    // registered
}

// NewRecoveryCode returns a code for the day on which the authenticator is lost:
// 80 bits as "ABCD-EFGH-IJKL-MNOP".
func NewRecoveryCode() string {
	s := rand.Text()[:16] // 5 bits each
	return s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
}

// HashRecoveryCode returns the form in which a code is stored and looked up,
// however the user writes it down.
func HashRecoveryCode(code string) [32]byte {
	return sha256.Sum256([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))))
}
