package reports

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// maxWaiting are shown of those who wait for an answer.
const maxWaiting = 20

// Waiting is a conversation whose customer waits for an answer.
type Waiting struct {
	ChatID string    `json:"chat_id"`
	Name   string    `json:"name"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"` // of the first message that nobody answered
}

// conversations is how things stand now, whatever the period.
func conversations(ctx context.Context, q database.Querier, _ period) (any, error) {
	var answer struct {
		ByStatus       map[string]int64 `json:"by_status"`
		UnreadChats    int64            `json:"unread_chats"`
		UnreadMessages int64            `json:"unread_messages"`
		WaitingCount   int64            `json:"waiting_count"`
		Waiting        []Waiting        `json:"waiting"`
	}
	answer.ByStatus = map[string]int64{"open": 0, "pending": 0, "snoozed": 0, "closed": 0}
	type row struct {
		status                    string
		count, unreads, unreadSum int64
	}
	rows, err := database.Collect(ctx, q, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.status, &v.count, &v.unreads, &v.unreadSum)
		return v, err
	}, `SELECT status, count(*), count(*) FILTER (WHERE unread > 0), sum(unread) FROM chats GROUP BY status`)
	if err != nil {
		return nil, err
	}
	for _, v := range rows {
		answer.ByStatus[v.status] = v.count
		answer.UnreadChats += v.unreads
		answer.UnreadMessages += v.unreadSum
	}
	answer.Waiting, err = database.Collect(ctx, q, func(r pgx.CollectableRow) (v Waiting, err error) {
		err = r.Scan(&v.ChatID, &v.Name, &v.Status, &v.Since, &answer.WaitingCount)
		v.Since = v.Since.UTC()
		return v, err
	}, `
		SELECT c.id, coalesce(nullif(p.name, ''), nullif(c.name, ''), c.phone, ''), c.status, w.since, count(*) OVER ()
		FROM chats c
		LEFT JOIN contacts p ON p.id = c.contact_id
		CROSS JOIN LATERAL (
			SELECT m.direction FROM messages m WHERE m.chat_id = c.id AND `+said+` ORDER BY m.sent_at DESC, m.id DESC LIMIT 1
		) last
		CROSS JOIN LATERAL (
			SELECT min(i.sent_at) AS since FROM messages i WHERE i.chat_id = c.id AND i.direction = 'in' AND i.sent_at >= coalesce((
				SELECT m.sent_at FROM messages m WHERE m.chat_id = c.id AND m.direction = 'out' AND `+said+`
				ORDER BY m.sent_at DESC, m.id DESC LIMIT 1), '-infinity')
		) w
		WHERE c.status <> 'closed' AND NOT c.is_group AND last.direction = 'in'
		ORDER BY w.since, c.id LIMIT $1`, maxWaiting)
	return answer, err
}
