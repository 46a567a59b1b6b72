package platform

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SliceState is where a slice is in its life.
//
//	requested → provisioning → warm → assigned → (suspended | held) → retiring → gone, and failed
type SliceState string

const (
	SliceRequested    SliceState = "requested"    // a number is taken, nothing else exists
	SliceProvisioning SliceState = "provisioning" // database, variable and job are being made
	SliceWarm         SliceState = "warm"         // healthy, waits for a user
	SliceAssigned     SliceState = "assigned"     // serves one user
	SliceSuspended    SliceState = "suspended"    // stopped by the platform, data kept
	SliceHeld         SliceState = "held"         // stopped by an operator, data kept
	SliceFailed       SliceState = "failed"       // did not become healthy; is taken down
	SliceRetiring     SliceState = "retiring"     // job, variable, database and role are being removed
	SliceGone         SliceState = "gone"         // only the record is left
)

// SliceStates lists every state, in the order of a slice's life.
func SliceStates() []SliceState {
	return []SliceState{SliceRequested, SliceProvisioning, SliceWarm, SliceAssigned,
		SliceSuspended, SliceHeld, SliceFailed, SliceRetiring, SliceGone}
}

// Slice is the platform's record of one tenant container. Its number is never
// used again.
type Slice struct {
	Number         int        `json:"number"`
	State          SliceState `json:"state"`
	Generation     int64      `json:"generation"`        // the slice definition it was made from
	UserID         string     `json:"user_id,omitempty"` // "" until claimed
	Failure        string     `json:"failure,omitempty"` // why it failed, for operators
	RequestedAt    time.Time  `json:"requested_at"`
	StateChangedAt time.Time  `json:"state_changed_at"`
}

// SliceName is the Nomad job ID and the Consul service name: "slice-42".
func SliceName(number int) string { return "slice-" + strconv.Itoa(number) }

// SliceDatabase is the name of the slice's database and of the role that owns
// it: "wa_slice_42".
func SliceDatabase(number int) string { return "wa_slice_" + strconv.Itoa(number) }

// ParseSliceName returns the number in "slice-42", or false for any other
// string.
func ParseSliceName(name string) (int, bool) { return parseNumbered(name, "slice-") }

// ParseSliceDatabase returns the number in "wa_slice_42", or false for any
// other string.
func ParseSliceDatabase(name string) (int, bool) { return parseNumbered(name, "wa_slice_") }

func parseNumbered(s, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || strconv.Itoa(n) != digits {
		return 0, false
	}
	return n, true
}

// SliceNamespace is the Nomad namespace of all slice jobs.
const SliceNamespace = "slices"

// Headers with which the gateway tells a slice that it is meant, and for whom.
// The gateway removes them from what a client sends.
const (
	HeaderSliceNumber = "X-Slice-Number"
	HeaderSliceToken  = "X-Slice-Token"
	HeaderUserID      = "X-User-Id"
	HeaderUserEmail   = "X-User-Email"
	HeaderRequestID   = "X-Request-Id"
)

// MinPlatformKeyBytes is the least length of the key that slice tokens are
// derived from.
const MinPlatformKeyBytes = 32

// SliceToken derives the bearer token by which a slice knows the gateway. Only
// the gateway and the provisioner hold the key; a slice knows only its own
// token.
func SliceToken(platformKey []byte, number int, generation int64) string {
	m := hmac.New(sha256.New, platformKey)
	fmt.Fprintf(m, "%s/%d", SliceName(number), generation)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// ParsePlatformKey decodes the base64 text in which the key is configured.
func ParsePlatformKey(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("platform key: not base64")
	}
	if len(b) < MinPlatformKeyBytes {
		return nil, fmt.Errorf("platform key: %d bytes, want at least %d", len(b), MinPlatformKeyBytes)
	}
	return b, nil
}
