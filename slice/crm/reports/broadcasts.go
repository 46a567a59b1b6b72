package reports

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// maxBroadcasts are shown, the latest of the period.
const maxBroadcasts = 100

// Broadcast says how a broadcast fared. Who read it had it delivered, and so on:
// each number is part of the one before.
type Broadcast struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Status     string     `json:"status"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Recipients int64      `json:"recipients"`
	Skipped    int64      `json:"skipped"`
	Sent       int64      `json:"sent"`
	Delivered  int64      `json:"delivered"`
	Read       int64      `json:"read"`
	Failed     int64      `json:"failed"`
	Replied    int64      `json:"replied"` // wrote within seven days
}

// broadcasts are those that were started in the period. A reply may come in any
// chat of the recipient.
func broadcasts(ctx context.Context, q database.Querier, p period) (any, error) {
	answer := struct {
		period
		Broadcasts []Broadcast `json:"broadcasts"`
	}{period: p}
	var err error
	answer.Broadcasts, err = database.Collect(ctx, q, func(r pgx.CollectableRow) (b Broadcast, err error) {
		err = r.Scan(&b.ID, &b.Name, &b.Status, &b.StartedAt, &b.FinishedAt, &b.Recipients, &b.Skipped, &b.Sent, &b.Delivered, &b.Read, &b.Failed, &b.Replied)
		b.StartedAt = b.StartedAt.UTC()
		if b.FinishedAt != nil {
			*b.FinishedAt = b.FinishedAt.UTC()
		}
		return b, err
	}, `
		SELECT b.id::text, b.name, b.status, b.started_at, b.finished_at, count(r.n), count(*) FILTER (WHERE r.status = 'skipped'),
			count(*) FILTER (WHERE m.ack >= 1), count(*) FILTER (WHERE m.ack >= 2), count(*) FILTER (WHERE m.ack >= 3), count(*) FILTER (WHERE m.ack = -1),
			count(*) FILTER (WHERE m.ack >= 0 AND EXISTS (
				SELECT FROM chats c JOIN messages i ON i.chat_id = c.id AND i.direction = 'in'
					AND i.sent_at >= m.sent_at AND i.sent_at < m.sent_at + interval '7 days' AND i.id > m.id
				WHERE c.id = m.chat_id
				UNION ALL
				SELECT FROM chats c JOIN messages i ON i.chat_id = c.id AND i.direction = 'in'
					AND i.sent_at >= m.sent_at AND i.sent_at < m.sent_at + interval '7 days' AND i.id > m.id
				WHERE c.contact_id = r.contact_id AND NOT c.is_group))
		FROM (SELECT * FROM broadcasts WHERE started_at >= $1 AND started_at < $2 ORDER BY started_at DESC, id DESC LIMIT $3) b
		LEFT JOIN broadcast_recipients r ON r.broadcast_id = b.id
		LEFT JOIN messages m ON m.id = r.message_id
		GROUP BY b.id, b.name, b.status, b.started_at, b.finished_at ORDER BY b.started_at DESC, b.id DESC`, p.start(), p.end(), maxBroadcasts)
	return answer, err
}
