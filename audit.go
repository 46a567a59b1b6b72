package platform

import (
	"encoding/json"
	"time"
)

// AuditEntry is one line of the audit log: who did what to whom. Entries are
// only ever added. Before and After never hold a secret, nor what would have to
// be erased with an account (such as an e-mail address): entries outlive both.
type AuditEntry struct {
	ID          int64
	At          time.Time
	ActorID     string          // user id; "" for the platform itself
	Action      string          // subject and verb: "user.block"
	SubjectType string          // "user", "slice", "settings"
	SubjectID   string          // user id, slice number
	Before      json.RawMessage // what was changed, as it was; nil for nothing
	After       json.RawMessage // and as it is now
	RequestID   string
	ClientAddr  string
}

// AuditFilter selects entries of the audit log; zero fields select all.
type AuditFilter struct {
	ActorID     string
	Action      string
	SubjectType string
	SubjectID   string
	Since       time.Time // at or after
	Until       time.Time // before
	Below       int64     // entries with a lower id
	Limit       int
}
