package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
)

// Statuses of a broadcast.
const (
	draftStatus = "draft"
	running     = "running"
	paused      = "paused"
	done        = "done"
	cancelled   = "cancelled"
)

// Why a recipient was left out.
const (
	skippedOptedOut  = "opted_out"
	skippedNoNumber  = "no_number"
	skippedDeleted   = "contact_deleted"
	skippedDuplicate = "duplicate"
	skippedTooLong   = "text_too_long"
	skippedRefused   = "cannot_be_sent"
)

// Broadcast is one text to all contacts with a label.
type Broadcast struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	LabelID    *string    `json:"label_id"` // nil when the label is gone
	LabelName  string     `json:"label_name"`
	Text       string     `json:"text"` // with variables
	FileID     *string    `json:"file_id"`
	Status     string     `json:"status"`
	Totals     Totals     `json:"totals"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`

	withFile bool
}

// Totals counts recipients by how far each got; each is in one of them.
type Totals struct {
	Recipients int `json:"recipients"` // all
	Waiting    int `json:"waiting"`
	Queued     int `json:"queued"` // in the outbox, or on its way to WhatsApp
	Sent       int `json:"sent"`
	Delivered  int `json:"delivered"`
	Read       int `json:"read"`
	Failed     int `json:"failed"`
	Skipped    int `json:"skipped"`
}

// progressOf is how far a recipient r with message m got.
const progressOf = `CASE WHEN r.status <> 'queued' THEN r.status WHEN m.id IS NULL THEN 'sent' WHEN m.ack < 0 THEN 'failed'
	WHEN m.ack = 0 THEN 'queued' WHEN m.ack = 1 THEN 'sent' WHEN m.ack = 2 THEN 'delivered' ELSE 'read' END`

const broadcastColumns = `b.id::text, b.name, b.label_id::text, b.label_name, b.text, b.file_id::text, b.with_file, b.status,
	b.created_at, b.updated_at, b.started_at, b.finished_at, t.*`

const broadcastFrom = ` FROM broadcasts b, LATERAL (
	SELECT count(*), count(*) FILTER (WHERE p = 'waiting'), count(*) FILTER (WHERE p = 'queued'), count(*) FILTER (WHERE p = 'sent'),
		count(*) FILTER (WHERE p = 'delivered'), count(*) FILTER (WHERE p = 'read'), count(*) FILTER (WHERE p = 'failed'), count(*) FILTER (WHERE p = 'skipped')
	FROM (SELECT ` + progressOf + ` AS p FROM broadcast_recipients r LEFT JOIN messages m ON m.id = r.message_id WHERE r.broadcast_id = b.id) each) t `

func scanBroadcast(row pgx.CollectableRow) (b Broadcast, err error) {
	t := &b.Totals
	err = row.Scan(&b.ID, &b.Name, &b.LabelID, &b.LabelName, &b.Text, &b.FileID, &b.withFile, &b.Status, &b.CreatedAt, &b.UpdatedAt, &b.StartedAt, &b.FinishedAt,
		&t.Recipients, &t.Waiting, &t.Queued, &t.Sent, &t.Delivered, &t.Read, &t.Failed, &t.Skipped)
	b.CreatedAt, b.UpdatedAt = b.CreatedAt.UTC(), b.UpdatedAt.UTC()
	for _, at := range []**time.Time{&b.StartedAt, &b.FinishedAt} {
		if *at != nil {
			utc := (*at).UTC()
			*at = &utc
		}
	}
	return b, err
}

func errNoBroadcast() error {
	return platform.Errorf(platform.ErrNotFound, "There is no such broadcast.")
}

func getBroadcast(ctx context.Context, q database.Querier, id int64) (Broadcast, error) {
	rows, err := database.Collect(ctx, q, scanBroadcast, `SELECT `+broadcastColumns+broadcastFrom+`WHERE b.id = $1`, id)
	if err != nil {
		return Broadcast{}, fmt.Errorf("broadcast %d: %w", id, err)
	}
	if len(rows) == 0 {
		return Broadcast{}, errNoBroadcast()
	}
	return rows[0], nil
}

// lockBroadcast reads a broadcast and keeps others from it: what is sent, and a
// change of status, wait for each other.
func lockBroadcast(ctx context.Context, tx *event.Tx, id int64) (Broadcast, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM broadcasts WHERE id = $1 FOR UPDATE`, id); err != nil {
		return Broadcast{}, fmt.Errorf("lock broadcast %d: %w", id, err)
	}
	return getBroadcast(ctx, tx, id)
}

// addressed tells of a contact c whether WhatsApp can reach it.
const addressed = `(c.phone IS NOT NULL OR EXISTS (SELECT FROM contact_ids i WHERE i.contact_id = c.id))`

// snapshot writes who gets the broadcast: all who have the label now.
func snapshot(ctx context.Context, tx *event.Tx, id int64, labelID string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO broadcast_recipients (broadcast_id, n, contact_id, name, status, reason)
		SELECT $1, row_number() OVER (ORDER BY c.id), c.id, coalesce(nullif(c.name, ''), nullif(c.wa_name, ''), c.phone, ''),
			CASE WHEN reason = '' THEN 'waiting' ELSE 'skipped' END, reason
		FROM contacts c JOIN contact_labels l ON l.contact_id = c.id AND l.label_id = $2::text::bigint,
			LATERAL (SELECT CASE WHEN c.opted_out_at IS NOT NULL THEN $3 WHEN NOT `+addressed+` THEN $4 ELSE '' END AS reason) why`,
		id, labelID, skippedOptedOut, skippedNoNumber)
	if err != nil {
		return fmt.Errorf("recipients of broadcast %d: %w", id, err)
	}
	return nil
}

// Preview is who would get a broadcast now, and what the first would.
type Preview struct {
	Recipients int     `json:"recipients"` // who would get it
	OptedOut   int     `json:"opted_out"`
	NoNumber   int     `json:"no_number"`
	Sample     *string `json:"sample"` // nil without a recipient
}

// preview counts those with a label.
func (s *Service) preview(ctx context.Context, labelID *string, text string) (p Preview, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE c.opted_out_at IS NULL AND `+addressed+`), count(*) FILTER (WHERE c.opted_out_at IS NOT NULL),
			count(*) FILTER (WHERE c.opted_out_at IS NULL AND NOT `+addressed+`)
		FROM contacts c JOIN contact_labels l ON l.contact_id = c.id WHERE l.label_id = $1::text::bigint`, labelID).Scan(&p.Recipients, &p.OptedOut, &p.NoNumber)
	if err != nil {
		return p, fmt.Errorf("preview: %w", err)
	}
	var who person
	err = s.pool.QueryRow(ctx, `
		SELECT `+personColumns+` FROM contacts c JOIN contact_labels l ON l.contact_id = c.id
		WHERE l.label_id = $1::text::bigint AND c.opted_out_at IS NULL AND `+addressed+` ORDER BY c.id LIMIT 1`, labelID).Scan(&who.name, &who.company, &who.phone, &who.custom)
	if isNoRows(err) {
		return p, nil
	} else if err != nil {
		return p, fmt.Errorf("preview: %w", err)
	}
	sample, err := render(text, who.values(s.myName()))
	p.Sample = &sample
	return p, err
}

// Recipient is how a broadcast fares with one contact.
type Recipient struct {
	N         int        `json:"n"` // in the order of sending
	ContactID *string    `json:"contact_id"`
	Name      string     `json:"name"`
	Status    string     `json:"status"` // waiting, queued, sent, delivered, read, failed, skipped
	Reason    string     `json:"reason"` // why it failed or was skipped
	ChatID    *string    `json:"chat_id"`
	MessageID *string    `json:"message_id"`
	QueuedAt  *time.Time `json:"queued_at"`
}

func scanRecipient(row pgx.CollectableRow) (r Recipient, err error) {
	err = row.Scan(&r.N, &r.ContactID, &r.Name, &r.Status, &r.Reason, &r.ChatID, &r.MessageID, &r.QueuedAt)
	if r.QueuedAt != nil {
		utc := r.QueuedAt.UTC()
		r.QueuedAt = &utc
	}
	return r, err
}

// recipients returns those after n, of one status unless that is "".
func (s *Service) recipients(ctx context.Context, id int64, status string, n, limit int) ([]Recipient, error) {
	rows, err := database.Collect(ctx, s.pool, scanRecipient, `
		SELECT * FROM (
			SELECT r.n, r.contact_id::text, r.name, `+progressOf+` AS status, CASE WHEN m.ack < 0 THEN m.failure ELSE r.reason END,
				m.chat_id, m.id::text, r.queued_at
			FROM broadcast_recipients r LEFT JOIN messages m ON m.id = r.message_id
			WHERE r.broadcast_id = $1 AND r.n > $2) each
		WHERE $3 = '' OR status = $3 ORDER BY n LIMIT $4`, id, n, status, limit)
	if err != nil {
		return nil, fmt.Errorf("recipients of broadcast %d: %w", id, err)
	}
	return rows, nil
}
