package platform

import "time"

// UserState says whether an account may be used.
type UserState string

const (
	UserActive  UserState = "active"
	UserBlocked UserState = "blocked" // by an admin: no log-in, no session serves
	UserCreated UserState = "created" // in notifications only: active since just now
	UserDeleted UserState = "deleted" // in notifications only: no longer there
)

// State returns the state of the account.
func (u User) State() UserState {
	if u.Blocked {
		return UserBlocked
	}
	return UserActive
}

// MaxBlockReason is in characters.
const MaxBlockReason = 500

// UserRecord is what admins see of an account.
type UserRecord struct {
	User
	BlockedAt   time.Time // zero unless blocked
	BlockReason string
	Slice       Slice // zero if the user has none
	Position    int   // in the queue; 0 if the user does not wait
	Sessions    int   // that have not expired
}

// UserFilter selects accounts, newest first; zero fields select all.
type UserFilter struct {
	Email string // part of the address, lower case
	Role  Role
	State UserState
	After UserCursor // accounts older than this one
	Limit int
}

// UserCursor is a place in the list of accounts.
type UserCursor struct {
	CreatedAt time.Time
	ID        string
}
