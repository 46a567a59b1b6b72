//go:build integration

package campaigns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
)

const scheduledPath = "/api/scheduled-messages"

func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }

func (b *testBundle) scheduled(id, status string) map[string]any {
	b.Helper()
	var m map[string]any
	b.eventually(func() string {
		if m = b.do("GET", scheduledPath+"/"+id, "", 200); m["status"] != status {
			return fmt.Sprintf("%v, want %s", m, status)
		}
		return ""
	})
	return m
}

func TestScheduled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO chats (id, name, is_group) VALUES ('4915@c.us', 'Ana', false), ('4916@c.us', 'Bo', false)`)
	b.exec(`INSERT INTO files (name, mime_type, size, sha256, complete) VALUES ('a.ogg', 'audio/ogg', 1, '', true)`)
	soon := b.do("POST", scheduledPath, object("chat_id", "4915@c.us", "text", "one", "due_at", in(200*time.Millisecond)), 201)
	later := b.do("POST", scheduledPath, object("chat_id", "4916@c.us", "text", "two", "due_at", in(time.Hour), "client_id", "c1", "file_id", "1"), 201)
	same := object("chat_id", "4916@c.us", "text", "two", "due_at", later["due_at"], "client_id", "c1", "file_id", "1")
	if again := b.do("POST", scheduledPath, same, 201); again["id"] != later["id"] {
		t.Errorf("same client_id: %v, then %v", later, again)
	}
	b.do("POST", scheduledPath, strings.Replace(same, "two", "three", 1), 409)
	b.do("POST", scheduledPath, strings.Replace(same, "4916", "4915", 1), 409)

	m := b.scheduled(soon["id"].(string), "sent")
	if m["message_id"] == nil || m["failure"] != "" {
		t.Errorf("sent: %v", m)
	}
	one := scheduledPath + "/" + soon["id"].(string)
	b.do("PATCH", one, object("text", "x"), 409)
	b.do("POST", one+"/cancel", "", 409)

	two := scheduledPath + "/" + later["id"].(string)
	if m = b.do("PATCH", two, object("text", "changed"), 200); m["text"] != "changed" || m["due_at"] != later["due_at"] || m["file_id"] != "1" {
		t.Errorf("changed: %v", m)
	}
	b.do("PATCH", two, object("due_at", in(100*time.Millisecond)), 200)
	b.scheduled(later["id"].(string), "sent")
	if got := strings.Join(b.sent(), "|"); got != "4915@c.us one|4916@c.us changed" {
		t.Errorf("sent %s", got)
	}
	var kind string
	if err := b.pool.QueryRow(t.Context(), `SELECT type FROM messages WHERE chat_id = '4916@c.us'`).Scan(&kind); err != nil || kind != "document" {
		t.Errorf("a sound with a text is a %s, %v", kind, err)
	}

	third := b.do("POST", scheduledPath, object("chat_id", "4916@c.us", "text", "3", "due_at", in(time.Hour)), 201)
	fourth := b.do("POST", scheduledPath, object("chat_id", "4915@c.us", "text", "4", "due_at", in(2*time.Hour)), 201)
	if m := b.do("POST", scheduledPath+"/"+third["id"].(string)+"/cancel", "", 200); m["status"] != "cancelled" {
		t.Errorf("cancelled: %v", m)
	}
	ids := func(query string) string {
		var all []string
		for cursor := ""; ; {
			page := b.do("GET", scheduledPath+"?limit=1"+query+cursor, "", 200)
			for _, m := range page["scheduled_messages"].([]any) {
				all = append(all, m.(map[string]any)["id"].(string))
			}
			if page["next_cursor"] == nil {
				return strings.Join(all, " ")
			}
			cursor = "&cursor=" + page["next_cursor"].(string)
		}
	}
	if got, want := ids(""), fourth["id"]; got != want {
		t.Errorf("scheduled: %s, want %s", got, want)
	}
	if got, want := ids("&status=sent"), fmt.Sprint(later["id"], " ", soon["id"]); got != want {
		t.Errorf("sent: %s, want %s", got, want)
	}
	if got := ids("&status=sent&chat_id=4915@c.us"); got != soon["id"] {
		t.Errorf("sent to one chat: %s", got)
	}
	if c := b.clients; c.count("scheduled:created") != 4 || c.count("scheduled:sent") != 2 || c.count("scheduled:updated") != 3 {
		t.Errorf("events: %v", c.events)
	}
}

// Nothing is sent twice, and nothing late, whatever the slice was doing.
func TestScheduledAfterDowntime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	b.exec(`INSERT INTO chats (id, name, is_group) VALUES ('4915@c.us', 'Ana', false)`)
	b.exec(`INSERT INTO scheduled_messages (chat_id, text, due_at, with_file) VALUES
		('4915@c.us', 'late', now() - interval '23 hours', false), ('4915@c.us', 'too late', now() - interval '25 hours', false),
		('4915@c.us', 'file is gone', now() - interval '1 hour', true), ('4915@c.us', 'to come', now() + interval '1 hour', false)`)
	b.outbox.set(platform.Errorf(platform.ErrConflict, "No phone is linked."))
	b.start()
	if m := b.scheduled("2", "failed"); !strings.Contains(m["failure"].(string), "24 hours") {
		t.Errorf("too late: %v", m)
	}
	if m := b.scheduled("3", "failed"); m["failure"] != failureNoFile {
		t.Errorf("without its file: %v", m)
	}
	if m := b.scheduled("1", "scheduled"); m["message_id"] != nil {
		t.Errorf("while nothing can be sent: %v", m)
	}
	b.outbox.set(nil)
	b.start()
	b.scheduled("1", "sent")
	b.start()
	b.scheduled("1", "sent")
	b.scheduled("4", "scheduled")
	if got := strings.Join(b.sent(), "|"); got != "4915@c.us late" {
		t.Errorf("sent %s", got)
	}

	b.outbox.set(platform.Invalid(platform.FieldError{Field: "file_id", Detail: "must be the id of a file"}))
	b.exec(`UPDATE scheduled_messages SET due_at = now() WHERE id = 4`)
	b.service.dueAlarm.Wake()
	if m := b.scheduled("4", "failed"); m["failure"] == "" {
		t.Errorf("what cannot be sent: %v", m)
	}

	b.outbox.set(errors.New("the database is away")) // is tried again
	b.exec(`INSERT INTO scheduled_messages (chat_id, text, due_at) VALUES ('4915@c.us', 'again', now() - interval '1 minute')`)
	b.stop()
	if next, err := b.service.sendDue(t.Context()); err != nil || time.Until(next) > lastRetryDue || next.IsZero() {
		t.Errorf("tried again at %v, %v", next, err)
	}
	b.start()
	b.scheduled("5", "scheduled")
	b.outbox.set(nil)
	b.scheduled("5", "sent") // by itself
}

func TestScheduledBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO chats (id, name, is_group) VALUES ('4915@c.us', 'Ana', false)`)
	b.exec(`INSERT INTO scheduled_messages (chat_id, text, due_at) VALUES ('4915@c.us', 'x', now() + interval '1 hour')`)
	due := in(time.Hour)
	with := func(fields ...any) string {
		return object(append([]any{"chat_id", "4915@c.us", "text", "x", "due_at", due}, fields...)...)
	}
	const one = scheduledPath + "/1"
	b.refused([]badInput{
		{"GET", scheduledPath + "?status=x", "", 400},
		{"GET", scheduledPath + "?status=", "", 400},
		{"GET", scheduledPath + "?chat_id=x", "", 400},
		{"GET", scheduledPath + "?limit=999", "", 400},
		{"GET", scheduledPath + "?cursor=eyJ0IjoxLCJpIjoieCJ9", "", 400},
		{"POST", scheduledPath, "", 415},
		{"POST", scheduledPath, "[]", 400},
		{"POST", scheduledPath, "{}", 400},
		{"POST", scheduledPath, with("chat_id", nil), 400},
		{"POST", scheduledPath, with("chat_id", 4915), 400},
		{"POST", scheduledPath, with("chat_id", "status@broadcast"), 400},
		{"POST", scheduledPath, with("chat_id", "4999@c.us"), 404},
		{"POST", scheduledPath, with("text", ""), 400},
		{"POST", scheduledPath, with("text", nil), 400},
		{"POST", scheduledPath, with("text", 5), 400},
		{"POST", scheduledPath, with("text", "a\x00b"), 400},
		{"POST", scheduledPath, with("text", strings.Repeat("x", 65537)), 400},
		{"POST", scheduledPath, with("text", strings.Repeat("x", 1<<20)), 413},
		{"POST", scheduledPath, with("due_at", nil), 400},
		{"POST", scheduledPath, with("due_at", "tomorrow"), 400},
		{"POST", scheduledPath, with("due_at", 1794822000), 400},
		{"POST", scheduledPath, with("due_at", in(-time.Second)), 400},
		{"POST", scheduledPath, with("due_at", in(367*24*time.Hour)), 400},
		{"POST", scheduledPath, with("due_at", "9999-12-31T23:59:59Z"), 400},
		{"POST", scheduledPath, with("client_id", "a b"), 400},
		{"POST", scheduledPath, with("client_id", ""), 400},
		{"POST", scheduledPath, with("file_id", "1"), 400},
		{"POST", scheduledPath, with("file_id", "-1"), 400},
		{"POST", scheduledPath, with("status", "sent"), 400},
		{"GET", scheduledPath + "/9", "", 404},
		{"GET", scheduledPath + "/1%00", "", 404},
		{"PATCH", one, `{"text":""}`, 400},
		{"PATCH", one, `{"text":null}`, 400},
		{"PATCH", one, `{"due_at":null}`, 400},
		{"PATCH", one, `{"due_at":"2020-01-01T00:00:00Z"}`, 400},
		{"PATCH", one, `{"chat_id":"4915@c.us"}`, 400},
		{"PATCH", one, `{"file_id":"1"}`, 400},
		{"PATCH", scheduledPath + "/9", `{}`, 404},
		{"POST", scheduledPath + "/9/cancel", "", 404},
		{"POST", scheduledPath + "/x/cancel", "", 404},
	})
	if l := b.do("GET", scheduledPath, "", 200)["scheduled_messages"].([]any); len(l) != 1 || l[0].(map[string]any)["text"] != "x" {
		t.Errorf("afterwards: %v", l)
	}
}
