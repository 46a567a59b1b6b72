package sales

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
)

// Deal is a deal as clients see it.
type Deal struct {
	ID           string     `json:"id"`
	Title        string     `json:"title"`
	StageID      string     `json:"stage_id"`
	Position     float64    `json:"position"` // order within the stage, then by id
	ContactID    *string    `json:"contact_id"`
	ContactName  *string    `json:"contact_name"`
	Value        int64      `json:"value"` // in the currency's smallest unit
	Currency     string     `json:"currency"`
	ExpectedDate *string    `json:"expected_date"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
	ClosedAt     *time.Time `json:"closed_at"`
}

// contactName is how a contact is called.
const contactName = `coalesce(nullif(c.name, ''), nullif(c.wa_name, ''), c.phone, '')`

const (
	dealColumns = `d.id::text, d.title, d.stage_id::text, d.position, d.contact_id::text,
	CASE WHEN c.id IS NOT NULL THEN ` + contactName + ` END, d.value, d.currency::text, d.expected_date::text,
	d.created_at, d.updated_at, d.closed_at`
	// dealQuery ends where a WHERE follows.
	dealQuery = `SELECT ` + dealColumns + ` FROM deals d LEFT JOIN contacts c ON c.id = d.contact_id`
)

func scanDeal(row pgx.CollectableRow) (Deal, error) {
	var d Deal
	err := row.Scan(&d.ID, &d.Title, &d.StageID, &d.Position, &d.ContactID, &d.ContactName, &d.Value, &d.Currency,
		&d.ExpectedDate, &d.CreatedAt, &d.UpdatedAt, &d.ClosedAt)
	d.CreatedAt, d.UpdatedAt, d.ClosedAt = d.CreatedAt.UTC(), d.UpdatedAt.UTC(), inUTC(d.ClosedAt)
	return d, err
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// dealOf returns a deal; lock is "" or FOR UPDATE OF d.
func dealOf(ctx context.Context, q database.Querier, id int64, lock string) (Deal, error) {
	list, err := database.Collect(ctx, q, scanDeal, dealQuery+` WHERE d.id = $1 `+lock, id)
	if err != nil {
		return Deal{}, fmt.Errorf("deal %d: %w", id, err)
	}
	if len(list) == 0 {
		return Deal{}, platform.Errorf(platform.ErrNotFound, "There is no such deal.")
	}
	return list[0], nil
}

// close sets or clears closed_at for a stage of this kind. A deal that stays won
// keeps the time at which it was won.
func (d *Deal) close(kind string, otherKind bool, now time.Time) {
	switch {
	case kind == kindOpen:
		d.ClosedAt = nil
	case otherKind || d.ClosedAt == nil:
		now = now.UTC().Truncate(time.Microsecond)
		d.ClosedAt = &now
	}
}

// changes are from and to, by the field's name.
type changes map[string][2]any

// add notes a change, if it is one.
func (c changes) add(field string, from, to any) {
	a, _ := json.Marshal(from) // strings and numbers cannot fail
	b, _ := json.Marshal(to)
	if string(a) != string(b) {
		c[field] = [2]any{from, to}
	}
}

// between are the changes from one state of a deal to another, but for the order
// within a stage.
func between(was, is Deal) changes {
	c := make(changes)
	c.add("title", was.Title, is.Title)
	c.add("stage_id", was.StageID, is.StageID)
	c.add("contact_id", was.ContactID, is.ContactID)
	c.add("value", was.Value, is.Value)
	c.add("currency", was.Currency, is.Currency)
	c.add("expected_date", was.ExpectedDate, is.ExpectedDate)
	c.add("closed_at", was.ClosedAt, is.ClosedAt)
	return c
}

// save writes what changed of a deal that is locked, with its history; more
// says what the deal's fields do not.
func (s *Service) save(ctx context.Context, tx *event.Tx, was Deal, is *Deal, more changes) error {
	is.UpdatedAt = s.now().UTC().Truncate(time.Microsecond)
	_, err := tx.Exec(ctx, `
		UPDATE deals SET title = $2, stage_id = $3, position = $4, contact_id = $5, value = $6, currency = $7,
			expected_date = $8, closed_at = $9, updated_at = $10 WHERE id = $1`,
		is.ID, is.Title, is.StageID, is.Position, is.ContactID, is.Value, is.Currency, is.ExpectedDate, is.ClosedAt, is.UpdatedAt)
	if err != nil {
		return err
	}
	c := between(was, *is)
	for field, change := range more {
		c[field] = change
	}
	if len(c) == 0 {
		return nil
	}
	if _, ok := c["contact_id"]; ok {
		id, err := strconv.ParseInt(is.ID, 10, 64)
		if err != nil {
			return err
		}
		if *is, err = dealOf(ctx, tx, id, ""); err != nil { // the contact's name
			return err
		}
	}
	return s.remember(ctx, tx, is.ID, c)
}

func (s *Service) remember(ctx context.Context, tx *event.Tx, dealID string, c changes) error {
	_, err := tx.Exec(ctx, `INSERT INTO deal_history (deal_id, at, changes) VALUES ($1, $2, $3)`, dealID, s.now(), c)
	return err
}
