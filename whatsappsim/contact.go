package whatsappsim

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// contact is a person as an account knows them. Its id is a phone number or,
// for those who hide theirs, a LID.
type contact struct {
	ID       string `json:"id"`
	Name     string `json:"name"`            // as they call themselves
	Saved    string `json:"saved,omitempty"` // in the account's address book
	Phone    string `json:"phone,omitempty"` // digits; "" when only the LID is known
	LID      string `json:"lid,omitempty"`   // "…@lid"
	Business bool   `json:"business,omitempty"`
	Picture  bool   `json:"picture,omitempty"`
	Seq      int64  `json:"seq"`
}

// group is what makes a chat one of several people.
type group struct {
	Subject   string   `json:"subject"`
	Owner     string   `json:"owner"`
	CreatedAt int64    `json:"created_at"` // Unix seconds
	Members   []member `json:"members"`    // without the account itself
}

type member struct {
	ID    string `json:"id"`
	Admin bool   `json:"admin,omitempty"`
}

func (g *group) has(id string) bool {
	for _, m := range g.Members {
		if m.ID == id {
			return true
		}
	}
	return false
}

// lidOf is the LID of a phone number: the same for all who ask, and nothing
// that leads back to the number.
func lidOf(phone string) string {
	h := sha256.Sum256([]byte("lid of " + phone))
	const digits = 100_000_000_000_000 // 15 digits, the first is a 1
	return strconv.FormatUint(digits+binary.BigEndian.Uint64(h[:])%digits, 10) + "@lid"
}

// lid is the account's own.
func (a *account) lid() string { return lidOf(a.Phone) }

// meet returns the contact with this id; it makes one where there is none.
func (a *account) meet(id, phone string) *contact {
	c, ok := a.Contacts[id]
	if !ok {
		c = &contact{ID: id, Phone: phone}
		if phone != "" {
			c.LID = lidOf(phone)
		}
		a.Contacts[id] = c
	}
	return c
}
