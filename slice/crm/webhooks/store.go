package webhooks

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// Webhook is a receiver of events.
type Webhook struct {
	ID             string    `json:"id"`
	URL            string    `json:"url"`
	Events         []string  `json:"events"`
	Active         bool      `json:"active"`
	DisabledReason string    `json:"disabled_reason"` // of one that we made inactive
	Pending        int       `json:"pending"`         // deliveries that are not made yet
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

const webhookColumns = `w.id::text, w.url, w.events, w.active, w.disabled_reason, w.created_at, w.updated_at,
	(SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending')`

func scanWebhook(row pgx.CollectableRow) (w Webhook, err error) {
	err = row.Scan(&w.ID, &w.URL, &w.Events, &w.Active, &w.DisabledReason, &w.CreatedAt, &w.UpdatedAt, &w.Pending)
	w.CreatedAt, w.UpdatedAt = w.CreatedAt.UTC(), w.UpdatedAt.UTC()
	return w, err
}

// Delivery is one event for one webhook.
type Delivery struct {
	ID             string          `json:"id"`
	WebhookID      string          `json:"webhook_id"`
	Event          string          `json:"event"`
	Status         string          `json:"status"` // pending, delivered, failed
	Attempts       int             `json:"attempts"`
	NextAttemptAt  *time.Time      `json:"next_attempt_at"` // of a pending one
	ResponseStatus *int            `json:"response_status"` // of the latest attempt
	Failure        string          `json:"failure"`         // of the latest attempt
	CreatedAt      time.Time       `json:"created_at"`
	DeliveredAt    *time.Time      `json:"delivered_at"`
	Data           json.RawMessage `json:"data,omitempty"` // of a single one only
}

const deliveryColumns = `d.id::text, d.webhook_id::text, d.event, d.status, d.attempts,
	CASE WHEN d.status = 'pending' THEN d.next_attempt_at END, d.response_status, d.failure, d.created_at, d.delivered_at`

func (d *Delivery) fields() []any {
	return []any{&d.ID, &d.WebhookID, &d.Event, &d.Status, &d.Attempts, &d.NextAttemptAt, &d.ResponseStatus, &d.Failure, &d.CreatedAt, &d.DeliveredAt}
}

func (d *Delivery) inUTC() {
	d.CreatedAt = d.CreatedAt.UTC()
	for _, t := range []**time.Time{&d.NextAttemptAt, &d.DeliveredAt} {
		if *t != nil {
			u := (*t).UTC()
			*t = &u
		}
	}
}

func scanDelivery(row pgx.CollectableRow) (d Delivery, err error) {
	err = row.Scan(d.fields()...)
	d.inUTC()
	return d, err
}

// due is a delivery to be attempted now.
type due struct {
	id         int64
	event      string
	payload    json.RawMessage
	createdAt  time.Time
	retryUntil time.Time
	attempts   int // so far
	url        string
	secret     string
}

// nextDue returns the first delivery that is due for a webhook, nil for none.
func (s *Service) nextDue(ctx context.Context, webhookID int64, now time.Time) (*due, error) {
	rows, err := database.Collect(ctx, s.pool, func(row pgx.CollectableRow) (d due, err error) {
		err = row.Scan(&d.id, &d.event, &d.payload, &d.createdAt, &d.retryUntil, &d.attempts, &d.url, &d.secret)
		return d, err
	}, `
		SELECT d.id, d.event, d.payload, d.created_at, d.retry_until, d.attempts, w.url, w.secret
		FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
		WHERE d.webhook_id = $1 AND w.active AND d.status = 'pending' AND d.next_attempt_at <= $2
		ORDER BY d.id LIMIT 1`, webhookID, now)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// waiting returns when the next delivery of each webhook is due.
func (s *Service) waiting(ctx context.Context) (map[int64]time.Time, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT w.id, d.next FROM webhooks w, LATERAL (
			SELECT min(next_attempt_at) AS next FROM webhook_deliveries
			WHERE webhook_id = w.id AND status = 'pending') d
		WHERE w.active AND d.next IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	next := make(map[int64]time.Time)
	var id int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { next[id] = at; return nil })
	return next, err
}

// prune removes what the log keeps no longer, and returns when it is to be
// called again.
func (s *Service) prune(ctx context.Context, now time.Time) (time.Time, error) {
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`DELETE FROM webhook_deliveries d USING webhooks w WHERE w.id = d.webhook_id AND d.created_at < $1 AND (d.status <> 'pending' OR NOT w.active)`,
			[]any{now.Add(-keepFor)}},
		{`DELETE FROM webhook_deliveries d USING webhooks w, LATERAL (
			SELECT id FROM webhook_deliveries WHERE webhook_id = w.id ORDER BY id DESC OFFSET $1 LIMIT 1) newest_old
		WHERE d.webhook_id = w.id AND d.id <= newest_old.id AND d.status <> 'pending'`, []any{keepCount}},
		// Of a receiver that has been away for long, the oldest are given up.
		{`UPDATE webhook_deliveries d SET status = 'failed', failure = 'Too many deliveries waited.' FROM webhooks w, LATERAL (
			SELECT id FROM webhook_deliveries WHERE webhook_id = w.id AND status = 'pending' ORDER BY id DESC OFFSET $1 LIMIT 1) newest_old
		WHERE d.webhook_id = w.id AND d.id <= newest_old.id AND d.status = 'pending'`, []any{maxPending}},
	} {
		if _, err := s.pool.Exec(ctx, q.sql, q.args...); err != nil {
			return time.Time{}, err
		}
	}
	var oldest *time.Time
	if err := s.pool.QueryRow(ctx, `SELECT min(created_at) FROM webhook_deliveries`).Scan(&oldest); err != nil || oldest == nil {
		return time.Time{}, err
	}
	return later(oldest.Add(keepFor+time.Minute), now.Add(time.Hour)), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func formatID(id int64) string { return strconv.FormatInt(id, 10) }
