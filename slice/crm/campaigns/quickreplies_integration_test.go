//go:build integration

package campaigns

import (
	"strings"
	"testing"
)

func TestQuickReplies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO custom_fields (key, name, type) VALUES ('city', 'City', 'text'), ('size', 'Size', 'number')`)
	b.exec(`INSERT INTO contacts (phone, wa_name, name, company, custom) VALUES ('+4915', 'ana', 'Ana {{company}} Ruiz', '<b>Oro</b>', '{"city": "Köln'' --", "size": 2.5}')`)
	b.exec(`INSERT INTO chats (id, name, phone, is_group, contact_id) VALUES ('4915@c.us', 'x', '+4915', false, 1), ('1@g.us', 'Friends', NULL, true, NULL)`)
	b.exec(`INSERT INTO files (name, mime_type, size, sha256, complete) VALUES ('a.pdf', 'application/pdf', 1, '', true), ('b.pdf', 'application/pdf', 1, '', false)`)
	q := b.do("POST", "/api/quick-replies", object("shortcut", "Hi_1", "title", " Greeting ", "file_id", "1",
		"text", "Hi {{first_name|there}} of {{company|your company}} in {{custom.city}} ({{custom.size}}), {{phone}}. {{my_name}}"), 201)
	if q["shortcut"] != "hi_1" || q["title"] != "Greeting" || q["file_id"] != "1" {
		t.Errorf("created: %v", q)
	}
	render := func(chat string) string {
		return b.do("POST", "/api/quick-replies/1/render", object("chat_id", chat), 200)["text"].(string)
	}
	if got, want := render("4915@c.us"), "Hi Ana of <b>Oro</b> in Köln' -- (2.5), +4915. Bakery {{name}}"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := render("1@g.us"), "Hi Friends of your company in  (), . Bakery {{name}}"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b.do("POST", "/api/quick-replies", object("shortcut", "hI_1", "text", "x"), 409)
	for _, shortcut := range []string{"b", "a", "c"} {
		b.do("POST", "/api/quick-replies", object("shortcut", shortcut, "text", "x"), 201)
	}
	b.do("PATCH", "/api/quick-replies/1", object("shortcut", "b"), 409)
	q = b.do("PATCH", "/api/quick-replies/1", object("title", nil, "file_id", nil), 200)
	if q["title"] != "" || q["file_id"] != nil || q["shortcut"] != "hi_1" {
		t.Errorf("changed: %v", q)
	}
	var all []string
	for cursor := ""; ; {
		page := b.do("GET", "/api/quick-replies?limit=2"+cursor, "", 200)
		for _, q := range page["quick_replies"].([]any) {
			all = append(all, q.(map[string]any)["shortcut"].(string))
		}
		if page["next_cursor"] == nil {
			break
		}
		cursor = "&cursor=" + page["next_cursor"].(string)
	}
	if got := strings.Join(all, " "); got != "a b c hi_1" {
		t.Errorf("list: %s", got)
	}
	b.do("DELETE", "/api/quick-replies/3", "", 204)
	b.do("GET", "/api/quick-replies/3", "", 404)
	b.do("GET", "/api/quick-replies/1", "", 200)
	if b.clients.count("quick_reply:created") != 4 || b.clients.count("quick_reply:updated") != 1 || b.clients.count("quick_reply:deleted") != 1 {
		t.Errorf("events: %v", b.clients.events)
	}
}

func TestQuickRepliesBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO files (name, mime_type, size, sha256, complete) VALUES ('b.pdf', 'application/pdf', 1, '', false)`)
	b.exec(`INSERT INTO quick_replies (shortcut, text) VALUES ('a', 'x')`)
	const list, one = "/api/quick-replies", "/api/quick-replies/1"
	b.refused([]badInput{
		{"GET", list + "?limit=x", "", 400},
		{"GET", list + "?cursor=x", "", 400},
		{"POST", list, "", 415},
		{"POST", list, "{", 400},
		{"POST", list, "null", 400},
		{"POST", list, `{"text":"x"}`, 400},
		{"POST", list, `{"shortcut":"x"}`, 400},
		{"POST", list, `{"shortcut":"x","text":""}`, 400},
		{"POST", list, `{"shortcut":"x","text":" \n"}`, 400},
		{"POST", list, `{"shortcut":"x","text":null}`, 400},
		{"POST", list, `{"shortcut":"x","text":1}`, 400},
		{"POST", list, `{"shortcut":1,"text":"x"}`, 400},
		{"POST", list, `{"shortcut":null,"text":"x"}`, 400},
		{"POST", list, `{"shortcut":"","text":"x"}`, 400},
		{"POST", list, `{"shortcut":"/x","text":"x"}`, 400},
		{"POST", list, `{"shortcut":"x y","text":"x"}`, 400},
		{"POST", list, `{"shortcut":"ü","text":"x"}`, 400},
		{"POST", list, object("shortcut", strings.Repeat("x", 33), "text", "x"), 400},
		{"POST", list, `{"shortcut":"x","text":"\u0000"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","title":"\u0000"}`, 400},
		{"POST", list, object("shortcut", "x", "text", "x", "title", strings.Repeat("x", 201)), 400},
		{"POST", list, object("shortcut", "x", "text", strings.Repeat("x", 16385)), 400},
		{"POST", list, object("shortcut", "x", "text", strings.Repeat("x", 2<<20)), 413},
		{"POST", list, `{"shortcut":"x","text":"{{"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"{{nobody}}"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"{{custom.nothing}}"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","file_id":"1"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","file_id":"9"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","file_id":"../1"}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","file_id":1}`, 400},
		{"POST", list, `{"shortcut":"x","text":"x","id":"7"}`, 400},
		{"GET", list + "/x", "", 404},
		{"GET", list + "/9", "", 404},
		{"PATCH", one, `{"text":""}`, 400},
		{"PATCH", one, `{"text":"{{x}}"}`, 400},
		{"PATCH", one, `{"shortcut":null}`, 400},
		{"PATCH", one, `{"x":1}`, 400},
		{"PATCH", list + "/9", `{}`, 404},
		{"DELETE", list + "/9", "", 404},
		{"DELETE", list + "/-1", "", 404},
		{"POST", one + "/render", `{}`, 400},
		{"POST", one + "/render", `{"chat_id":"' OR 1=1 --"}`, 400},
		{"POST", one + "/render", `{"chat_id":1}`, 400},
		{"POST", one + "/render", `{"chat_id":"49@c.us"}`, 404},
		{"POST", list + "/9/render", `{"chat_id":"49@c.us"}`, 404},
	})
	if v := b.do("POST", list, `{"shortcut":"x","text":"ab {{nobody}}"}`, 400); !strings.Contains(object("", v), "at character 4") {
		t.Errorf("the position is not told: %v", v)
	}
	if q := b.do("GET", list, "", 200)["quick_replies"].([]any); len(q) != 1 || q[0].(map[string]any)["text"] != "x" {
		t.Errorf("afterwards: %v", q)
	}
}
