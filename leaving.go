package platform

import "time"

// MaxDeletionGraceDays is the longest time in which users may change their mind
// about the deletion of their accounts.
const MaxDeletionGraceDays = 90

// AccountHistory is what is kept of a user beside the account itself.
type AccountHistory struct {
	EmailVerifiedAt     time.Time // zero: not yet
	DeletionRequestedAt time.Time // zero: not asked for
	Slices              []SliceClaim
	Mails               []SentMail
}

// SliceClaim tells of a slice that a user has, or had.
type SliceClaim struct {
	Number      int
	State       SliceState // now
	Current     bool       // it is still theirs
	RequestedAt time.Time
	ClaimedAt   time.Time
}

// SentMail is a mail to a user; its text is not kept.
type SentMail struct {
	Kind      MailKind
	Recipient string
	CreatedAt time.Time
	SentAt    time.Time // zero: not yet, or never
}
