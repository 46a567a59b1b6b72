package whatsapp

import (
	"strings"
	"time"
)

// snapshot is what the agent tells about the page's state.
type snapshot struct {
	At            float64      `json:"at"`    // Unix milliseconds; orders the snapshots of one document
	Ready         bool         `json:"ready"` // WPP is
	Authenticated bool         `json:"authenticated"`
	MainReady     bool         `json:"main_ready"`
	Online        bool         `json:"online"`
	NeedsUpdate   bool         `json:"needs_update"`
	Mode          string       `json:"mode"`
	Info          string       `json:"info"`
	Logout        string       `json:"logout"`
	QR            string       `json:"qr"`
	QRAt          float64      `json:"qr_at"` // Unix milliseconds
	QRIdle        bool         `json:"qr_idle"`
	LinkCode      string       `json:"link_code"`
	LinkAt        float64      `json:"link_at"` // Unix milliseconds
	LinkError     string       `json:"link_error"`
	Passkey       *pagePasskey `json:"passkey"`
	AccountID     string       `json:"account_id"`
	AccountName   string       `json:"account_name"`
}

// Reasons are written for the person who uses the CRM.
const (
	reasonOffline     = "There is no connection to WhatsApp at the moment."
	reasonConflict    = "WhatsApp Web was opened somewhere else with this login."
	reasonNeedsUpdate = "WhatsApp Web changed and needs a newer version of this program."
	reasonProxyBlock  = "WhatsApp refuses connections from this network."
	reasonTerms       = "WhatsApp's terms of service must be accepted on the phone."
	reasonLoggedOut   = "The phone ended the link to this device."
)

// state derives what the user is shown. That WPP says main_ready means little:
// it fires in QR mode, too. Ready is authenticated and stream mode MAIN.
func (s snapshot) state() (State, string) {
	if !s.Ready {
		return StateStarting, ""
	}
	switch s.Mode {
	case "CONFLICT":
		return StateConflict, reasonConflict
	case "PROXYBLOCK":
		return StateFailed, reasonProxyBlock
	case "TOS_BLOCK", "SMB_TOS_BLOCK":
		return StateFailed, reasonTerms
	case "DEPRECATED_VERSION":
		return StateFailed, reasonNeedsUpdate
	}
	switch {
	case !s.Authenticated && s.Passkey != nil:
		return StatePasskeyRequired, reasonPasskey
	case !s.Authenticated && s.pairingCode() != nil:
		return StatePairingCode, ""
	case !s.Authenticated && s.QR != "":
		return StateQR, s.linkReason()
	case !s.Authenticated && s.Logout != "":
		return StateLoggedOut, reasonLoggedOut
	case !s.Authenticated && s.NeedsUpdate:
		return StateFailed, reasonNeedsUpdate
	case !s.Authenticated:
		return StateStarting, ""
	case s.Mode == "OFFLINE" || !s.Online || s.Info == "OFFLINE" || s.Info == "TIMEOUT":
		return StateOffline, reasonOffline
	case s.Mode == "MAIN" && s.MainReady:
		return StateReady, ""
	}
	return StateSyncing, ""
}

// qrLifetime is how long WhatsApp accepts a code, counted from when it came.
// The first one of a page may live longer.
const qrLifetime = 20 * time.Second

// qrOverdue is the age at which a code that was not replaced counts as stale,
// though the page did not say so.
const qrOverdue = 75 * time.Second

func (s snapshot) qrTime() time.Time { return pageTime(s.QRAt) }

// stale reports whether a person who looks at the code now could not use it.
func (s snapshot) stale(now time.Time) bool {
	if !s.Ready || s.Authenticated || s.LinkCode != "" || s.Passkey != nil {
		return false
	}
	return s.QRIdle || s.QR == "" || now.Sub(s.qrTime()) > qrOverdue
}

func (s snapshot) account() *Account {
	id := userID(s.AccountID)
	if !s.Authenticated || !ValidChatID(id) {
		return nil
	}
	return &Account{ID: id, Phone: phoneOf(id), Name: cleanName(s.AccountName)}
}

// maxNameRunes bounds names of people, groups and accounts.
const maxNameRunes = 256

// cleanName makes a name from outside storable and short.
func cleanName(s string) string {
	s = strings.TrimSpace(cleanText(s))
	if r := []rune(s); len(r) > maxNameRunes {
		s = string(r[:maxNameRunes])
	}
	return s
}

// cleanText removes what PostgreSQL cannot store as text.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
