package platform

import "time"

// Settings are what admins change while everything runs.
type Settings struct {
	WarmTarget *int   `json:"warm_target"` // slices kept warm; nil: as the programs are configured
	NodeCost   int64  `json:"node_cost"`   // of one machine a month, in hundredths of the currency; 0 when unknown
	Price      int64  `json:"price"`       // that a user pays a month, likewise
	Currency   string `json:"currency"`    // ISO 4217

	DeletionGraceDays int `json:"deletion_grace_days"` // between a user's wish and the deletion of the account

	// SignUpByMail has a sign-up begin with a mail: nobody but the owner of an
	// address learns then whether it has an account. nil: where mails reach people.
	SignUpByMail *bool `json:"sign_up_by_mail"`
}

// SignUpsByMail returns whether a sign-up begins with a mail, where mails reach people or
// not.
func (s *Settings) SignUpsByMail(delivered bool) bool {
	if s.SignUpByMail != nil {
		return *s.SignUpByMail
	}
	return delivered
}

const (
	MaxWarmTarget = 1000
	MaxAmount     = 100_000_000_00 // hundredths of a currency
)

// Validate returns an ErrInvalid that names every field at fault.
func (s *Settings) Validate() error {
	var fields []FieldError
	if s.WarmTarget != nil && (*s.WarmTarget < 1 || *s.WarmTarget > MaxWarmTarget) {
		fields = append(fields, FieldError{"warm_target", "must be a number from 1 to 1000, or null"})
	}
	for _, a := range []struct {
		field string
		value int64
	}{{"node_cost", s.NodeCost}, {"price", s.Price}} {
		if a.value < 0 || a.value > MaxAmount {
			fields = append(fields, FieldError{a.field, "must be hundredths of the currency, from 0 to 10000000000"})
		}
	}
	upper := len(s.Currency) == 3
	for _, r := range s.Currency {
		upper = upper && r >= 'A' && r <= 'Z'
	}
	if !upper {
		fields = append(fields, FieldError{"currency", "must be a code of three letters such as EUR"})
	}
	if s.DeletionGraceDays < 1 || s.DeletionGraceDays > MaxDeletionGraceDays {
		fields = append(fields, FieldError{"deletion_grace_days", "must be a number from 1 to 90"})
	}
	if fields != nil {
		return Invalid(fields...)
	}
	return nil
}

// ClaimHistory is how users got their slices since some time.
type ClaimHistory struct {
	Claims  int
	Hits    int           // a warm slice was there at sign-up
	WaitP50 time.Duration // of those who waited
	WaitP95 time.Duration
	WaitMax time.Duration
	Hours   []ClaimHour // those with claims, oldest first
}

// ClaimHour is one hour of a ClaimHistory.
type ClaimHour struct {
	At     time.Time // when it began
	Claims int
	Hits   int
}
