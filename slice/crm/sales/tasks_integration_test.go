//go:build integration

package sales

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// 23:30 in Berlin on the day that has 25 hours.
	now := time.Date(2026, 10, 25, 22, 30, 0, 0, time.UTC)
	b.svc.now = func() time.Time { return now }
	contact, deal := b.contact("Ana"), b.deal("Cake", "1")
	add := func(title string, in time.Duration) Task {
		return as[Task](b, "POST", "/api/tasks", fmt.Sprintf(`{"title":%q,"due_at":%q}`, title, now.Add(in).Format(time.RFC3339)), 201)
	}
	late := add("yesterday", -25*time.Hour)
	add("morning", -23*time.Hour)
	add("soon", 20*time.Minute)
	add("tomorrow", 40*time.Minute)
	free := as[Task](b, "POST", "/api/tasks", `{"title":"free","text":"<script>","contact_id":"`+contact+`","deal_id":"`+deal.ID+`"}`, 201)
	if free.DueAt != nil || *free.ContactName != "Ana" || *free.DealTitle != "Cake" || free.Text != "<script>" {
		t.Errorf("made %+v", free)
	}
	list := func(query string) string {
		t.Helper()
		var titles []string
		for cursor := ""; ; {
			page := as[taskPage](b, "GET", "/api/tasks?limit=2&"+query+cursor, "", 200)
			for _, task := range page.Tasks {
				titles = append(titles, task.Title)
			}
			if page.NextCursor == nil {
				return strings.Join(titles, " ")
			}
			cursor = "&cursor=" + *page.NextCursor
		}
	}
	berlin := "&tz=" + url.QueryEscape("Europe/Berlin")
	for query, want := range map[string]string{
		"":                      "yesterday morning soon tomorrow free",
		"due=overdue" + berlin:  "yesterday morning",
		"due=today" + berlin:    "morning soon",
		"due=today":             "soon tomorrow",
		"due=upcoming" + berlin: "tomorrow",
		"due=upcoming":          "",
		"due=none":              "free",
		"contact=" + contact:    "free",
		"deal=" + deal.ID:       "free",
		"deal=77":               "",
		"done=true":             "",
	} {
		if got := list(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	done := as[Task](b, "PATCH", "/api/tasks/"+late.ID, `{"done":true}`, 200)
	if done.DoneAt == nil || list("done=true") != "yesterday" || list("due=overdue") != "morning" {
		t.Errorf("done: %+v, %q", done, list("due=overdue"))
	}
	if undone := as[Task](b, "PATCH", "/api/tasks/"+late.ID, `{"done":false}`, 200); undone.DoneAt != nil || list("due=overdue") != "yesterday morning" {
		t.Errorf("not done: %+v", undone)
	}
	if got := as[Task](b, "PATCH", "/api/tasks/"+free.ID, `{"contact_id":null,"text":"","title":"freed"}`, 200); got.ContactID != nil || got.Title != "freed" || got.DealID == nil {
		t.Errorf("changed: %+v", got)
	}
	b.do("DELETE", "/api/deals/"+deal.ID, "", 204)
	if got := as[Task](b, "GET", "/api/tasks/"+free.ID, "", 200); got.DealID != nil {
		t.Errorf("its deal is gone, but %+v", got)
	}
	b.do("DELETE", "/api/tasks/"+free.ID, "", 204)
	b.do("DELETE", "/api/tasks/"+free.ID, "", 404)
	if got := b.events(); got[len(got)-1] != "task:deleted" || !slices.Contains(got, "task:created") || !slices.Contains(got, "task:updated") {
		t.Errorf("told %v", got)
	}
}

// due waits for the next reminder.
func (b *bundle) due() Task {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-b.told:
			if e.name == EventTaskDue {
				return e.payload.(Task)
			}
		case <-timeout:
			b.t.Fatal("no reminder came")
		}
	}
}

func TestReminders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.pool.Exec(t.Context(), `INSERT INTO webhooks (url, secret, events) VALUES ('https://example.com', 's', '{task:due}')`); err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	add := func(title string, d time.Duration) Task {
		return as[Task](b, "POST", "/api/tasks", `{"title":"`+title+`","due_at":"`+at(d)+`"}`, 201)
	}
	missed := add("missed", -time.Hour) // while nothing ran
	stop := b.run(b.svc)
	if got := b.due(); got.ID != missed.ID || got.RemindedAt == nil {
		t.Errorf("reminded of %+v", got)
	}
	later, changed, done := add("later", time.Hour), add("changed", time.Hour), add("done", 100*time.Millisecond)
	b.do("PATCH", "/api/tasks/"+done.ID, `{"done":true}`, 200)
	b.do("PATCH", "/api/tasks/"+changed.ID, `{"due_at":"`+at(200*time.Millisecond)+`"}`, 200)
	if got := b.due(); got.ID != changed.ID {
		// The one that was done may have been due before it was done.
		if got.ID != done.ID {
			t.Errorf("reminded of %+v", got)
		}
		if got = b.due(); got.ID != changed.ID {
			t.Errorf("reminded of %+v", got)
		}
	}
	b.do("PATCH", "/api/tasks/"+changed.ID, `{"title":"same time"}`, 200) // no second reminder
	stop()

	// A restart reminds of nothing twice, and still of what was not due.
	b.run(b.service())
	b.run(b.service()) // not even two at a time
	b.do("PATCH", "/api/tasks/"+later.ID, `{"due_at":"`+at(-time.Second)+`"}`, 200)
	again := b.service()
	b.run(again)
	if got := b.due(); got.ID != later.ID {
		t.Errorf("reminded of %+v", got)
	}
	b.do("PATCH", "/api/tasks/"+changed.ID, `{"due_at":"`+at(-time.Second)+`"}`, 200)
	if _, err := again.remind(t.Context()); err != nil {
		t.Fatal(err)
	}
	for e := (told{}); e.name != EventTaskUpdated || e.payload.(Task).ID != changed.ID; {
		e = <-b.told
	}
	if got := b.due(); got.ID != changed.ID {
		t.Errorf("reminded of %+v", got)
	}
	var reminders []string
	rows, err := b.pool.Query(t.Context(), `SELECT payload->>'title' FROM webhook_deliveries WHERE event = 'task:due' AND payload->>'id' <> $1 ORDER BY id`, done.ID)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var title string
		if err := rows.Scan(&title); err != nil {
			t.Fatal(err)
		}
		reminders = append(reminders, title)
	}
	if got := strings.Join(reminders, ", "); rows.Err() != nil || got != "missed, changed, later, same time" {
		t.Errorf("reminders %s, %v", got, rows.Err())
	}
}

func TestManyReminders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.pool.Exec(t.Context(), `INSERT INTO tasks (title, due_at) SELECT n::text, now() - interval '1 day' FROM generate_series(1, 250) n`); err != nil {
		t.Fatal(err)
	}
	b.run(b.svc)
	seen := make(map[string]bool)
	for range 250 {
		seen[b.due().ID] = true
	}
	if len(seen) != 250 {
		t.Errorf("reminded of %d tasks, want 250", len(seen))
	}
}
