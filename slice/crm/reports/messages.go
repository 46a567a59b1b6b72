package reports

import (
	"context"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// DayMessages are the messages of one day.
type DayMessages struct {
	Date string `json:"date"`
	In   int64  `json:"in"`
	Out  int64  `json:"out"`
}

// messages counts what came and what went, day by day; what failed did not go.
func messages(ctx context.Context, q database.Querier, p period) (any, error) {
	answer := struct {
		period
		In   int64         `json:"in"`
		Out  int64         `json:"out"`
		Days []DayMessages `json:"days"`
	}{period: p, Days: make([]DayMessages, len(p.days))}
	for i, day := range p.days {
		answer.Days[i].Date = day
	}
	type row struct{ day, in, out int64 }
	rows, err := database.Collect(ctx, q, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.day, &v.in, &v.out)
		return v, err
	}, `
		SELECT width_bucket(sent_at, $1::timestamptz[]) AS day, count(*) FILTER (WHERE direction = 'in'), count(*) FILTER (WHERE direction = 'out')
		FROM messages WHERE sent_at >= $2 AND sent_at < $3 AND (direction = 'in' OR ack >= 0) GROUP BY day`, p.bounds, p.start(), p.end())
	for _, v := range rows {
		day := &answer.Days[v.day-1]
		day.In, day.Out = v.in, v.out
		answer.In += v.in
		answer.Out += v.out
	}
	return answer, err
}

// Response says how fast customers were answered. Times are null where none was.
type Response struct {
	Turns      int64    `json:"turns"` // times that a customer began to speak
	Answered   int64    `json:"answered"`
	Unanswered int64    `json:"unanswered"`
	Median     *float64 `json:"median_seconds"`
	P90        *float64 `json:"p90_seconds"`
	Average    *float64 `json:"average_seconds"`
}

// DayResponse are the turns that began on one day.
type DayResponse struct {
	Date string `json:"date"`
	Response
}

// responseTime is about turns: from the first message of a customer that nobody
// has answered to the first reply of a person. What was scheduled or broadcast is
// no reply, and groups are no customers.
func responseTime(ctx context.Context, q database.Querier, p period) (any, error) {
	answer := struct {
		period
		Response
		Days []DayResponse `json:"days"`
	}{period: p, Days: make([]DayResponse, len(p.days))}
	for i, day := range p.days {
		answer.Days[i].Date = day
	}
	type row struct {
		day *int64 // null for all days
		Response
	}
	rows, err := database.Collect(ctx, q, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.day, &v.Turns, &v.Answered, &v.Median, &v.P90, &v.Average)
		v.Unanswered = v.Turns - v.Answered
		return v, err
	}, responseQuery, p.bounds, p.start(), p.end())
	for _, v := range rows {
		if v.day == nil {
			answer.Response = v.Response
		} else {
			answer.Days[*v.day-1].Response = v.Response
		}
	}
	return answer, err
}

// said is what customers and persons said.
const said = `(m.direction = 'in' OR m.source = 'user' AND m.ack >= 0)`

// A turn begins where an incoming message does not follow another one; what was
// said before the period and after it is looked up for a chat's first and last
// turn only.
const responseQuery = `
WITH said AS (
	SELECT m.chat_id, m.sent_at, m.id, m.direction, lag(m.direction) OVER (PARTITION BY m.chat_id ORDER BY m.sent_at, m.id) AS before
	FROM messages m WHERE m.sent_at >= $2 AND m.sent_at < $3 AND ` + said + `
		AND m.chat_id NOT IN (SELECT id FROM chats WHERE is_group)
), edges AS (
	SELECT *, lead(sent_at) OVER (PARTITION BY chat_id ORDER BY sent_at, id) AS next
	FROM said WHERE before IS DISTINCT FROM direction
), turns AS (
	SELECT width_bucket(e.sent_at, $1::timestamptz[]) AS day, extract(epoch FROM coalesce(e.next, (
			SELECT m.sent_at FROM messages m WHERE m.chat_id = e.chat_id AND m.sent_at >= $3 AND m.direction = 'out' AND ` + said + `
			ORDER BY m.sent_at, m.id LIMIT 1)) - e.sent_at)::double precision AS took
	FROM edges e WHERE e.direction = 'in' AND (e.before IS NOT NULL OR coalesce((
			SELECT m.direction FROM messages m WHERE m.chat_id = e.chat_id AND m.sent_at < $2 AND ` + said + `
			ORDER BY m.sent_at DESC, m.id DESC LIMIT 1), 'out') = 'out')
)
SELECT day, count(*), count(took), percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.9) WITHIN GROUP (ORDER BY took), avg(took)
FROM turns GROUP BY GROUPING SETS ((day), ())`
