package platform

import "time"

// Mail is one message to one person.
type Mail struct {
	ID      int64 // the same for each attempt to send it
	To      string
	Subject string
	Text    string
}

// MailKind is an occasion to write to a user.
type MailKind string

const (
	MailVerifyEmail     MailKind = "verify_email"     // with a token: proves the account's address
	MailSignUp          MailKind = "sign_up"          // with a token, to an address that may have an account
	MailChangeEmail     MailKind = "change_email"     // with a token, to the new address
	MailResetPassword   MailKind = "reset_password"   // with a token
	MailEmailChanged    MailKind = "email_changed"    // to the old address
	MailPasswordChanged MailKind = "password_changed" // tells that it was changed or reset
	MailPasskeyAdded    MailKind = "passkey_added"
	MailPasskeyRemoved  MailKind = "passkey_removed"

	MailSupportAccess MailKind = "support_access" // tells that an admin acts for the user

	MailDeletionRequested MailKind = "deletion_requested" // tells when, and how to cancel
	MailDeletionCancelled MailKind = "deletion_cancelled"
	MailAccountDeleted    MailKind = "account_deleted"
)

// QueuedMail is a mail that is to be sent. Its text is made when it is sent.
type QueuedMail struct {
	ID        int64
	Kind      MailKind
	Recipient string
	CreatedAt time.Time
	Attempts  int // this one included

	DeletionAt time.Time // of the user's account; zero unless they asked for it
	HasAccount bool      // there is an account with the recipient's address; of MailSignUp only
}

// How long the tokens in mails are good.
const (
	VerifyEmailLifetime   = 24 * time.Hour
	ResetPasswordLifetime = time.Hour
)

// How many mails with a token one address gets: of each kind within an hour, and of
// MailSignUp, whose recipient need not have an account, within a day.
const (
	MailsPerHour      = 3
	SignUpMailsPerDay = 5
)

// TokenLifetime returns how long the token in a mail is good; 0 for a kind that
// has none.
func (k MailKind) TokenLifetime() time.Duration {
	switch k {
	case MailVerifyEmail, MailChangeEmail, MailSignUp:
		return VerifyEmailLifetime
	case MailResetPassword:
		return ResetPasswordLifetime
	default:
		return 0
	}
}

// AccountToken is what a token from a mail stands for.
type AccountToken struct {
	Purpose MailKind
	Email   string // the address that it was sent to
	User    User
}
