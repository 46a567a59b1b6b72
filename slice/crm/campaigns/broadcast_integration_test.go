//go:build integration

package campaigns

import (
	"fmt"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/whatsapp"
)

const broadcastPath = "/api/broadcasts"

// people makes label 1 with n contacts of a phone each, and one who opted out,
// one without a number, and one without the label.
func (b *testBundle) people(n int) {
	b.Helper()
	b.exec(`INSERT INTO labels (name) VALUES ('VIP')`)
	b.exec(`INSERT INTO contacts (phone, wa_name) SELECT '+49' || 1000 + n, 'Name' || n || ' Last' FROM generate_series(1, $1) n`, n)
	b.exec(`INSERT INTO contacts (phone, opted_out_at) VALUES ('+4920', now()), (NULL, NULL)`)
	b.exec(`INSERT INTO contact_labels (contact_id, label_id) SELECT id, 1 FROM contacts`)
	b.exec(`INSERT INTO contacts (phone) VALUES ('+4999')`)
}

func (b *testBundle) totals(id string) map[string]any {
	b.Helper()
	return b.do("GET", broadcastPath+"/"+id, "", 200)["totals"].(map[string]any)
}

// broadcast waits until a condition of the broadcast holds.
func (b *testBundle) broadcast(id, what string, f func(v, totals map[string]any) bool) map[string]any {
	b.Helper()
	var v map[string]any
	b.eventually(func() string {
		v = b.do("GET", broadcastPath+"/"+id, "", 200)
		if !f(v, v["totals"].(map[string]any)) {
			return fmt.Sprintf("%v, want %s", v, what)
		}
		return ""
	})
	return v
}

func (b *testBundle) recipientsOf(id, query string) string {
	b.Helper()
	var all []string
	for cursor := ""; ; {
		page := b.do("GET", broadcastPath+"/"+id+"/recipients?limit=3"+query+cursor, "", 200)
		for _, r := range page["recipients"].([]any) {
			m := r.(map[string]any)
			all = append(all, strings.TrimSpace(fmt.Sprint(m["n"], " ", m["status"], " ", m["reason"])))
		}
		if page["next_cursor"] == nil {
			return strings.Join(all, ", ")
		}
		cursor = "&cursor=" + page["next_cursor"].(string)
	}
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.people(6)
	v := b.do("POST", broadcastPath, object("name", " Spring ", "label_id", "1", "text", "Hi {{first_name}} of {{company|you}}"), 201)
	if v["status"] != "draft" || v["name"] != "Spring" || v["label_name"] != "VIP" {
		t.Errorf("draft: %v", v)
	}
	id := v["id"].(string)
	one := broadcastPath + "/" + id
	b.do("PATCH", one, object("text", "Dear {{first_name}}"), 200)
	p := b.do("GET", one+"/preview", "", 200)
	if p["recipients"] != 6.0 || p["opted_out"] != 1.0 || p["no_number"] != 1.0 || p["sample"] != "Dear Name1" {
		t.Errorf("preview: %v", p)
	}
	b.do("POST", one+"/pause", "", 409)
	b.do("POST", one+"/resume", "", 409)
	if v = b.do("POST", one+"/start", "", 200); v["status"] != "running" || v["totals"].(map[string]any)["recipients"] != 8.0 {
		t.Errorf("started: %v", v)
	}
	b.do("POST", one+"/start", "", 409)
	b.do("PATCH", one, object("text", "x"), 409)
	b.do("DELETE", one, "", 409)

	// Three are in the outbox, no more, until some leave it.
	b.broadcast(id, "3 queued", func(_, t map[string]any) bool { return t["queued"] == 3.0 })
	if got := strings.Join(b.sent(), "|"); got != "491001@c.us Dear Name1|491002@c.us Dear Name2|491003@c.us Dear Name3" {
		t.Errorf("queued: %s", got)
	}
	// Whoever opts out, or is deleted, before their turn is left out.
	b.exec(`UPDATE contacts SET opted_out_at = now() WHERE id = 4`)
	b.exec(`DELETE FROM contacts WHERE id = 5`)
	b.deliver(1, map[string]int{"491001@c.us": 2, "491002@c.us": -1})
	b.broadcast(id, "the last queued", func(_, t map[string]any) bool { return t["queued"] == 1.0 && t["waiting"] == 0.0 })
	b.deliver(3, nil)
	v = b.broadcast(id, "done", func(v, _ map[string]any) bool { return v["status"] == "done" })
	if v["finished_at"] == nil || v["started_at"] == nil {
		t.Errorf("done: %v", v)
	}
	want := "1 delivered, 2 failed No such number., 3 sent, 4 skipped opted_out, 5 skipped contact_deleted, 6 read, 7 skipped opted_out, 8 skipped no_number"
	if got := b.recipientsOf(id, ""); got != want {
		t.Errorf("recipients %s\nwant       %s", got, want)
	}
	if got := b.recipientsOf(id, "&status=failed"); got != "2 failed No such number." {
		t.Errorf("failed: %s", got)
	}
	if n := b.clients.count("broadcast:updated"); n < 3 || n > 8 {
		t.Errorf("%d events of progress", n)
	}
	if list := b.do("GET", broadcastPath, "", 200)["broadcasts"].([]any); len(list) != 1 {
		t.Errorf("list: %v", list)
	}
	b.do("DELETE", one, "", 204)
	b.do("GET", one, "", 404)
}

func TestBroadcastPauseAndRestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.people(10)
	id := b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "{{name}}"), 201)["id"].(string)
	one := broadcastPath + "/" + id
	b.do("POST", one+"/start", "", 200)
	three := func(_, t map[string]any) bool { return t["queued"] == 3.0 }
	b.broadcast(id, "3 queued", three)

	// After a pause nothing is queued any more, also by another process.
	b.do("POST", one+"/pause", "", 200)
	b.do("POST", one+"/pause", "", 200)
	b.deliver(1, nil)
	b.start()
	b.stop()
	if _, err := b.service.runBroadcasts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.sent()); n != 3 {
		t.Errorf("%d messages while it was paused", n)
	}
	b.exec(`UPDATE broadcasts SET status = 'running'`) // as the process before left it
	b.start()
	b.broadcast(id, "3 queued", three)
	// A crash in the middle of queueing leaves neither a message nor a mark.
	b.outbox.set(platform.Errorf(platform.ErrConflict, "No phone is linked."))
	b.deliver(1, nil)
	b.broadcast(id, "none queued", func(_, t map[string]any) bool { return t["queued"] == 0.0 && t["waiting"] == 4.0 })
	b.outbox.set(nil)
	for range 3 {
		b.start()
		b.deliver(1, nil)
	}
	b.eventually(func() string {
		b.deliver(1, nil)
		if v := b.do("GET", one, "", 200); v["status"] != "done" {
			return fmt.Sprint(v)
		}
		return ""
	})
	seen := make(map[string]bool)
	for _, m := range b.sent() {
		if seen[m] {
			t.Errorf("%s twice", m)
		}
		seen[m] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d messages, want 10", len(seen))
	}
	b.do("POST", one+"/cancel", "", 409)

	id = b.do("POST", broadcastPath, object("name", "y", "label_id", "1", "text", "again {{name}}"), 201)["id"].(string)
	one = broadcastPath + "/" + id
	b.do("POST", one+"/start", "", 200)
	b.broadcast(id, "3 queued", three)
	b.do("POST", one+"/pause", "", 200)
	if v := b.do("POST", one+"/resume", "", 200); v["status"] != "running" {
		t.Errorf("resumed: %v", v)
	}
	if v := b.do("POST", one+"/cancel", "", 200); v["status"] != "cancelled" || v["finished_at"] == nil {
		t.Errorf("cancelled: %v", v)
	}
	b.do("POST", one+"/resume", "", 409)
}

// People who had half of a broadcast from one number do not get the rest from
// another.
func TestBroadcastEndsWithTheLink(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]whatsapp.Status{
		"unlinked":             {State: whatsapp.StateQR},
		"another phone linked": {State: whatsapp.StateReady, Account: &whatsapp.Account{ID: "49301@c.us"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.people(10)
			id := b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "{{name}}"), 201)["id"].(string)
			one := broadcastPath + "/" + id
			b.do("POST", one+"/start", "", 200)
			b.broadcast(id, "3 queued", func(_, t map[string]any) bool { return t["queued"] == 3.0 })
			b.account.other.Store(&whatsapp.Status{State: whatsapp.StateStarting}) // such as while the browser is replaced
			b.deliver(1, nil)
			b.broadcast(id, "still running", func(v, _ map[string]any) bool { return v["status"] == "running" })
			b.account.other.Store(&status)
			b.service.broadcastAlarm.Wake()
			b.broadcast(id, "paused", func(v, _ map[string]any) bool { return v["status"] == "paused" })
			if status.Account == nil {
				b.do("POST", one+"/resume", "", 409)
				b.account.other.Store(nil)
			}
			b.do("POST", one+"/resume", "", 200)
			b.eventually(func() string {
				b.deliver(1, nil)
				if v := b.do("GET", one, "", 200); v["status"] != "done" {
					return fmt.Sprint(v)
				}
				return ""
			})
		})
	}
}

// Refused for good is left out; a person with two contacts gets it once.
func TestBroadcastLeavesOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO labels (name) VALUES ('VIP')`)
	b.exec(`INSERT INTO contacts (phone) VALUES ('+491'), (NULL), ('+493')`)
	b.exec(`INSERT INTO contact_labels (contact_id, label_id) SELECT id, 1 FROM contacts`)
	b.exec(`INSERT INTO contact_ids (wa_id, contact_id) VALUES ('7@lid', 2)`)
	b.exec(`INSERT INTO chats (id, name, is_group, contact_id) VALUES ('491@c.us', '', false, 1), ('7@lid', '', false, 2), ('493@c.us', '', false, 3)`)
	id := b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "x"), 201)["id"].(string)
	b.outbox.set(platform.Errorf(platform.ErrNotFound, "There is no such chat."))
	b.do("POST", broadcastPath+"/"+id+"/start", "", 200)
	b.broadcast(id, "done", func(v, t map[string]any) bool { return v["status"] == "done" && t["skipped"] == 3.0 })
	if got := b.recipientsOf(id, ""); !strings.Contains(got, "1 skipped cannot_be_sent") {
		t.Errorf("refused: %s", got)
	}
	b.outbox.set(nil)
	b.exec(`UPDATE chats SET contact_id = 1`) // OpenChat answers for contact 1 only; 2 and 3 have the same chat below
	b.exec(`DELETE FROM chats WHERE id <> '491@c.us'`)
	b.outbox.alias("491@c.us")
	id = b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "x"), 201)["id"].(string)
	b.do("POST", broadcastPath+"/"+id+"/start", "", 200)
	b.broadcast(id, "one queued", func(_, t map[string]any) bool { return t["waiting"] == 0.0 })
	if got := b.recipientsOf(id, ""); got != "1 queued, 2 skipped duplicate, 3 skipped duplicate" {
		t.Errorf("one chat: %s", got)
	}
}

func TestBroadcastBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.people(1)
	b.exec(`INSERT INTO labels (name) VALUES ('Nobody')`)
	draft := b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "x"), 201)
	nobody := b.do("POST", broadcastPath, object("name", "x", "label_id", "2", "text", "x"), 201)
	one, two := broadcastPath+"/"+draft["id"].(string), broadcastPath+"/"+nobody["id"].(string)
	with := func(fields ...any) string {
		return object(append([]any{"name", "x", "label_id", "1", "text", "x"}, fields...)...)
	}
	b.refused([]badInput{
		{"GET", broadcastPath + "?limit=-1", "", 400},
		{"GET", broadcastPath + "?cursor=eyJ0IjoxLCJpIjoieCJ9", "", 400},
		{"POST", broadcastPath, "", 415},
		{"POST", broadcastPath, "5", 400},
		{"POST", broadcastPath, "{}", 400},
		{"POST", broadcastPath, with("name", ""), 400},
		{"POST", broadcastPath, with("name", nil), 400},
		{"POST", broadcastPath, with("name", "\x00"), 400},
		{"POST", broadcastPath, with("name", strings.Repeat("x", 201)), 400},
		{"POST", broadcastPath, with("label_id", "9"), 400},
		{"POST", broadcastPath, with("label_id", 1), 400},
		{"POST", broadcastPath, with("label_id", nil), 400},
		{"POST", broadcastPath, with("label_id", "1; DROP TABLE labels"), 400},
		{"POST", broadcastPath, with("text", ""), 400},
		{"POST", broadcastPath, with("text", "{{x}}"), 400},
		{"POST", broadcastPath, with("text", "{{custom.x}}"), 400},
		{"POST", broadcastPath, with("text", strings.Repeat("x", 16385)), 400},
		{"POST", broadcastPath, with("text", "\x00"), 400},
		{"POST", broadcastPath, with("file_id", "1"), 400},
		{"POST", broadcastPath, with("status", "running"), 400},
		{"GET", broadcastPath + "/99", "", 404},
		{"GET", broadcastPath + "/x", "", 404},
		{"PATCH", one, `{"name":""}`, 400},
		{"PATCH", one, `{"text":"{{"}`, 400},
		{"PATCH", one, `{"label_id":null}`, 400},
		{"PATCH", one, `{"x":1}`, 400},
		{"PATCH", broadcastPath + "/99", `{}`, 404},
		{"DELETE", broadcastPath + "/99", "", 404},
		{"GET", broadcastPath + "/99/preview", "", 404},
		{"POST", broadcastPath + "/99/start", "", 404},
		{"POST", two + "/start", "", 409},
		{"POST", one + "/pause", "", 409},
		{"POST", one + "/cancel", "", 409},
		{"POST", broadcastPath + "/99/pause", "", 404},
		{"POST", broadcastPath + "/99/resume", "", 404},
		{"POST", broadcastPath + "/99/cancel", "", 404},
		{"GET", broadcastPath + "/99/recipients", "", 404},
		{"GET", one + "/recipients?status=x", "", 400},
		{"GET", one + "/recipients?status=", "", 400},
		{"GET", one + "/recipients?cursor=eyJ0IjoxLCJpIjoieCJ9", "", 400},
		{"GET", one + "/recipients?limit=0", "", 400},
	})
	if t1 := b.totals(nobody["id"].(string)); t1["recipients"] != 0.0 {
		t.Errorf("a start that was refused left recipients: %v", t1)
	}
	// What was right when it was written may not be at the start.
	b.exec(`DELETE FROM labels WHERE id = 1`)
	b.do("POST", one+"/start", "", 409)
	b.do("PATCH", one, object("name", "y"), 400) // it needs another label
	b.do("PATCH", one, object("label_id", "2"), 200)
}
