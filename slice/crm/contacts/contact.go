package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxNameChars  = 200
	maxEmailChars = 254 // RFC 5321
)

// Contact is a person, as clients see them.
type Contact struct {
	ID            string                     `json:"id"`
	DisplayName   string                     `json:"display_name"` // the user's, else WhatsApp's, else the phone
	Name          string                     `json:"name"`         // as the user wrote it
	WhatsAppName  string                     `json:"wa_name"`
	Company       string                     `json:"company"`
	Email         string                     `json:"email"`
	Phone         *string                    `json:"phone"` // nil for one known by LID only
	IsBusiness    bool                       `json:"is_business"`
	WhatsAppIDs   []string                   `json:"whatsapp_ids"`
	ChatIDs       []string                   `json:"chat_ids"`
	Labels        []LabelName                `json:"labels"`
	Custom        map[string]json.RawMessage `json:"custom"` // by the key of a custom field
	OptedOutAt    *time.Time                 `json:"opted_out_at"`
	LastMessageAt *time.Time                 `json:"last_message_at"`
	CreatedAt     time.Time                  `json:"created_at"`
	UpdatedAt     time.Time                  `json:"updated_at"`
}

// LabelName is a label as its contacts show it.
type LabelName struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Color string `json:"color"`
}

// columns of contacts c, as scan reads them.
const columns = `c.id::text, coalesce(nullif(c.name, ''), nullif(c.wa_name, ''), c.phone, ''), c.name, c.wa_name, c.company, c.email, c.phone,
	c.is_business, c.custom, c.opted_out_at, c.created_at, c.updated_at,
	ARRAY(SELECT wa_id FROM contact_ids i WHERE i.contact_id = c.id ORDER BY wa_id),
	ARRAY(SELECT h.id FROM chats h WHERE h.contact_id = c.id ORDER BY h.last_message_at DESC NULLS LAST, h.id),
	(SELECT max(h.last_message_at) FROM chats h WHERE h.contact_id = c.id),
	(SELECT coalesce(json_agg(json_build_object('id', l.id::text, 'name', l.name, 'color', l.color) ORDER BY lower(l.name)), '[]')
	 FROM contact_labels k JOIN labels l ON l.id = k.label_id WHERE k.contact_id = c.id)`

func scan(row pgx.CollectableRow) (c Contact, err error) {
	err = row.Scan(&c.ID, &c.DisplayName, &c.Name, &c.WhatsAppName, &c.Company, &c.Email, &c.Phone, &c.IsBusiness, &c.Custom,
		&c.OptedOutAt, &c.CreatedAt, &c.UpdatedAt, &c.WhatsAppIDs, &c.ChatIDs, &c.LastMessageAt, &c.Labels)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	for _, t := range []*time.Time{c.OptedOutAt, c.LastMessageAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return c, err
}

func errNoContact() error { return platform.Errorf(platform.ErrNotFound, "There is no such contact.") }

// find returns a contact, ErrNotFound without one.
func find(ctx context.Context, q database.Querier, id int64) (Contact, error) {
	rows, err := database.Collect(ctx, q, scan, `SELECT `+columns+` FROM contacts c WHERE c.id = $1`, id)
	if err != nil {
		return Contact{}, fmt.Errorf("contact %d: %w", id, err)
	}
	if len(rows) == 0 {
		return Contact{}, errNoContact()
	}
	return rows[0], nil
}

// lock keeps others from changing a contact until the transaction ends.
func lock(ctx context.Context, tx database.Querier, id int64) error {
	tag, err := tx.Exec(ctx, `SELECT FROM contacts WHERE id = $1 FOR UPDATE`, id)
	if err != nil {
		return fmt.Errorf("lock contact %d: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return errNoContact()
	}
	return nil
}

// checkLine checks a text of one line, and returns it without space around.
func checkLine(f *request.Faults, field, s string, maxChars int) string {
	s = strings.TrimSpace(s)
	n := len(*f)
	f.Text(field, s, maxChars)
	if n == len(*f) && strings.ContainsFunc(s, unicode.IsControl) {
		f.Add(field, "must be one line, without control characters")
	}
	return s
}

// checkEmail checks an address; "" is none.
func checkEmail(f *request.Faults, s string) string {
	n := len(*f)
	s = checkLine(f, "email", s, maxEmailChars)
	if s == "" || n != len(*f) {
		return s
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s {
		f.Add("email", "must be an e-mail address")
	}
	return s
}

// checkPhone returns a phone number as it is stored.
func checkPhone(f *request.Faults, s string) string {
	phone, ok := Phone(s)
	if !ok {
		f.Add("phone", "must be a phone number with its country code, such as +49 151 12345678")
	}
	return phone
}
