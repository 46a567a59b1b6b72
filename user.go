package platform

import (
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"
)

// Role says what a user may do.
type Role string

const (
	RoleUser  Role = "user"  // has a slice
	RoleAdmin Role = "admin" // runs the platform; has no slice
)

// User is an account of the platform.
type User struct {
	ID            string    `json:"id"` // UUID
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Role          Role      `json:"role"`
	CreatedAt     time.Time `json:"created_at"`
	Blocked       bool      `json:"-"` // by an admin; then no session serves
	DeletionAt    time.Time `json:"-"` // when the account is deleted, as its user asked; zero: it is not
}

const (
	maxEmailBytes     = 254 // RFC 5321's limit for a forward path
	MinPasswordLength = 10  // characters
	MaxPasswordLength = 128 // characters; bounds the cost of hashing
)

// Credentials are what a user signs up and logs in with.
type Credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// NormalizeEmail returns the form under which an address is stored and
// compared: trimmed, lower case.
func NormalizeEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// Validate normalises the address and returns an ErrInvalid that names every
// field at fault.
func (c *Credentials) Validate() error {
	var fields []FieldError
	c.Email = NormalizeEmail(c.Email)
	if d := EmailFault(c.Email); d != "" {
		fields = append(fields, FieldError{"email", d})
	}
	if d := PasswordFault(c.Password, c.Email); d != "" {
		fields = append(fields, FieldError{"password", d})
	}
	if fields != nil {
		return Invalid(fields...)
	}
	return nil
}

// PasswordFault says what is wrong with a new password of the user with this
// address; "" if nothing is.
func PasswordFault(password, email string) string {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return "must be valid UTF-8"
	case n < MinPasswordLength:
		return "must have at least 10 characters"
	case n > MaxPasswordLength:
		return "must have at most 128 characters"
	}
	lower := strings.ToLower(password)
	name, _, _ := strings.Cut(email, "@")
	switch {
	case email != "" && (strings.Contains(lower, email) || lower == name):
		return "must not be the e-mail address"
	case commonPassword(lower):
		return "is one of the first that others would guess; choose a less common one"
	}
	return ""
}

// EmailFault says what is wrong with a normalised address; "" if nothing is.
func EmailFault(s string) string {
	if s == "" {
		return "is required"
	}
	if len(s) > maxEmailBytes {
		return "must have at most 254 bytes"
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return "must be an e-mail address such as ana@example.com"
	}
	_, domain, _ := strings.Cut(s, "@")
	if !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.ContainsAny(domain, "[]@") {
		return "must be an e-mail address such as ana@example.com"
	}
	for _, r := range s {
		if r < 0x21 || r == 0x7f {
			return "must be an e-mail address such as ana@example.com"
		}
	}
	return ""
}
