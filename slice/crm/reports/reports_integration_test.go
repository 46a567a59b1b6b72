//go:build integration

package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/inbox/inboxtest"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

var document = openapitest.Slice()

func TestMain(m *testing.M) { document.Main(m, "/api/reports") }

type bundle struct {
	t    *testing.T
	pool *pgxpool.Pool
	url  string
	http *http.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(pool).Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &bundle{t, pool, srv.URL, document.Client(t, nil)}
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) get(path string, v any) int {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/api/reports/"+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		b.t.Fatalf("%s: %d %s: %v", path, res.StatusCode, body, err)
	}
	return res.StatusCode
}

// say writes a message at a time of 10 March 2026, UTC.
func (b *bundle) say(chat, direction, at, source string, ack int) {
	b.t.Helper()
	b.exec(`INSERT INTO chats (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING`, chat)
	b.exec(`INSERT INTO messages (wa_id, chat_id, direction, sender_id, type, text, sent_at, source, ack) VALUES (gen_random_uuid(), $1, $2, $1, 'text', 'x', $3, $4, $5)`,
		chat, direction, at, source, ack)
}

func TestMessagesADay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say("1@c.us", "in", "2026-03-10T22:59:59Z", "user", 1)
	b.say("1@c.us", "in", "2026-03-10T23:00:00Z", "user", 1) // the next day in Berlin
	b.say("1@c.us", "out", "2026-03-12T10:00:00Z", "user", 3)
	b.say("1@c.us", "out", "2026-03-12T10:00:00Z", "user", -1) // never went
	var r struct {
		In, Out int64
		Days    []DayMessages
	}
	b.get("messages?from=2026-03-10&to=2026-03-12&tz=Europe/Berlin", &r)
	want := []DayMessages{{"2026-03-10", 1, 0}, {"2026-03-11", 1, 0}, {"2026-03-12", 0, 1}}
	if fmt.Sprint(r.Days) != fmt.Sprint(want) || r.In != 2 || r.Out != 1 {
		t.Errorf("%+v, want %v", r, want)
	}
}

func TestFirstResponse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := func(clock string) string { return "2026-03-10T" + clock + "Z" }
	// Two turns: answered after 60 s (a broadcast is no answer), and after 300 s.
	b.say("1@c.us", "in", at("10:00:00"), "user", 1)
	b.say("1@c.us", "in", at("10:00:30"), "user", 1)
	b.say("1@c.us", "out", at("10:00:40"), "broadcast", 1)
	b.say("1@c.us", "out", at("10:01:00"), "user", 1)
	b.say("1@c.us", "out", at("10:02:00"), "user", 1)
	b.say("1@c.us", "in", at("11:00:00"), "user", 1)
	b.say("1@c.us", "out", at("11:05:00"), "user", 1)
	// Begun before the period, answered after it, and not at all.
	b.say("2@c.us", "in", "2026-03-09T23:59:00Z", "user", 1)
	b.say("2@c.us", "in", at("00:01:00"), "user", 1)
	b.say("3@c.us", "in", at("23:59:00"), "user", 1)
	b.say("3@c.us", "out", "2026-03-11T00:09:00Z", "user", 1)
	b.say("4@c.us", "in", at("12:00:00"), "user", 1)
	b.say("5-5@g.us", "in", at("12:00:00"), "user", 1)
	b.exec(`UPDATE chats SET is_group = true WHERE id = '5-5@g.us'`)
	var r struct {
		Response
		Days []DayResponse
	}
	b.get("response-time?from=2026-03-10&to=2026-03-10", &r)
	if r.Turns != 4 || r.Answered != 3 || r.Unanswered != 1 || r.Median == nil || *r.Median != 300 || *r.Average != 320 || len(r.Days) != 1 || r.Days[0].Turns != 4 {
		t.Errorf("%+v", r)
	}
	b.get("response-time?from=2026-01-01&to=2026-01-02", &r)
	if r.Turns != 0 || r.Median != nil || len(r.Days) != 2 {
		t.Errorf("nothing said: %+v", r)
	}
}

func TestConversationsPipelineBroadcasts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say("1@c.us", "in", "2026-03-10T10:00:00Z", "user", 1)
	b.say("1@c.us", "in", "2026-03-10T11:00:00Z", "user", 1)
	b.say("2@c.us", "in", "2026-03-10T10:00:00Z", "user", 1)
	b.say("2@c.us", "out", "2026-03-10T10:01:00Z", "user", 1)
	b.exec(`UPDATE chats SET unread = 2, status = 'pending' WHERE id = '1@c.us'`)
	var c struct {
		ByStatus     map[string]int64 `json:"by_status"`
		UnreadChats  int64            `json:"unread_chats"`
		WaitingCount int64            `json:"waiting_count"`
		Waiting      []Waiting
	}
	b.get("conversations", &c)
	if c.ByStatus["pending"] != 1 || c.ByStatus["open"] != 1 || c.UnreadChats != 1 || c.WaitingCount != 1 || c.Waiting[0].Since.Format(time.TimeOnly) != "10:00:00" {
		t.Errorf("conversations %+v", c)
	}
	b.exec(`INSERT INTO deals (title, stage_id, position, value, currency, created_at, closed_at) VALUES
		('a', 1, 1, 100, 'EUR', '2026-03-01', NULL), ('b', 1, 2, 50, 'USD', '2026-03-02', NULL), ('c', 3, 1, 700, 'EUR', '2026-01-01', '2026-03-05'), ('d', 4, 1, 9, 'EUR', '2026-01-01', '2026-02-01')`)
	var p struct {
		Stages             []Stage
		Created, Won, Lost []Sum
	}
	b.get("pipeline?from=2026-03-01&to=2026-03-31", &p)
	if len(p.Stages) != 4 || p.Stages[0].Count != 2 || fmt.Sprint(p.Stages[0].Sums) != "[{EUR 1 100} {USD 1 50}]" ||
		fmt.Sprint(p.Created, p.Won, p.Lost) != "[{EUR 1 100} {USD 1 50}] [{EUR 1 700}] []" {
		t.Errorf("pipeline %+v", p)
	}
	b.say("1@c.us", "out", "2026-03-10T12:00:00Z", "broadcast", 3)
	b.say("1@c.us", "in", "2026-03-11T12:00:00Z", "user", 1)
	b.say("2@c.us", "out", "2026-03-10T12:00:00Z", "broadcast", -1)
	b.exec(`INSERT INTO broadcasts (name, label_name, text, status, started_at) VALUES ('spring', 'VIP', 'x', 'done', '2026-03-10T11:59:00Z');
		INSERT INTO broadcast_recipients (broadcast_id, n, name, status, message_id) SELECT 1, row_number() OVER (ORDER BY id), 'x', 'queued', id FROM messages WHERE source = 'broadcast';
		INSERT INTO broadcast_recipients (broadcast_id, n, name, status, reason) VALUES (1, 3, 'x', 'skipped', 'opted_out')`)
	var l struct{ Broadcasts []Broadcast }
	b.get("broadcasts?from=2026-03-01&to=2026-03-31", &l)
	if len(l.Broadcasts) != 1 {
		t.Fatalf("broadcasts %+v", l)
	}
	got := l.Broadcasts[0]
	if got.Recipients != 3 || got.Skipped != 1 || got.Sent != 1 || got.Read != 1 || got.Failed != 1 || got.Replied != 1 {
		t.Errorf("broadcast %+v", got)
	}
}

// At the size of years of use each report still answers.
func TestReportsOfALargeAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := pgx.ConnectConfig(t.Context(), b.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := inboxtest.Fill(t.Context(), conn, inboxtest.Large); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	period := "from=" + now.AddDate(0, 0, -365).Format(time.DateOnly) + "&to=" + now.Format(time.DateOnly)
	for _, report := range []string{"messages", "response-time", "conversations", "pipeline", "broadcasts"} {
		begun := time.Now()
		if status := b.get(report+"?"+period, &map[string]any{}); status != http.StatusOK {
			t.Errorf("%s: %d", report, status)
		}
		t.Logf("%s over a year of %d messages: %v", report, inboxtest.Large.Messages, time.Since(begun))
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, report := range []string{"messages", "response-time", "conversations", "pipeline", "broadcasts"} {
		for query, field := range map[string]string{
			"from=x": "from", "to=2026-13-01": "to", "from=": "from", "from=2026-03-02&to=2026-03-01": "from", "from=2020-01-01&to=2026-01-01": "from",
			"tz=Mars/Base": "tz", "tz=Local": "tz", "tz=": "tz", "from=2026-01-01&from=2026-01-02": "from", "from=0001-01-01": "from", "tz=..%2F..%2Fetc%2Fpasswd": "tz",
		} {
			var d problem.Details
			if status := b.get(report+"?"+query, &d); status != 400 || len(d.Errors) == 0 || d.Errors[0].Field != field {
				t.Errorf("%s?%s: %d %+v", report, query, status, d)
			}
		}
	}
}
