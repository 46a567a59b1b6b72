//go:build integration

package inbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/whatsapp"
)

var document = openapitest.Slice()

func TestMain(m *testing.M) {
	document.Main(m, "/api/chats", "/api/messages/{id}", "!/api/messages/{id}/media", "/api/search", "/api/settings", "/api/whatsapp/history", "/api/contacts/{id}/chat")
}

// api is the routes as a client has them.
type api struct {
	*bundle
	url  string
	http *http.Client
}

func (b *bundle) api() *api {
	mux := http.NewServeMux()
	b.svc.Register(mux)
	srv := httptest.NewServer(mux)
	b.t.Cleanup(srv.Close)
	return &api{b, srv.URL, document.Client(b.t, nil)}
}

// do sends a body, a text as it is and anything else as JSON, and returns the
// status and the answer.
func (a *api) do(method, path string, body any) (int, []byte) {
	a.t.Helper()
	var r io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(v)
	default:
		data, err := json.Marshal(v)
		if err != nil {
			a.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, r)
	if err != nil {
		a.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.http.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, answer
}

// must demands a status and decodes the answer.
func must[T any](a *api, want int, method, path string, body any) (v T) {
	a.t.Helper()
	status, answer := a.do(method, path, body)
	if status != want {
		a.t.Fatalf("%s %s: %d %s, want %d", method, path, status, answer, want)
	}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &v); err != nil {
			a.t.Fatal(err)
		}
	}
	return v
}

type object = map[string]any

func TestConversationThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	b.greeted()
	thread := "/api/chats/" + chatID

	m := must[Message](a, 201, "POST", thread+"/messages", object{"text": "hello <b>'; DROP TABLE messages; --", "client_id": "c1"})
	if again := must[Message](a, 201, "POST", thread+"/messages", object{"text": m.Text, "client_id": "c1"}); again.ID != m.ID {
		t.Errorf("sent twice: %s and %s", m.ID, again.ID)
	}
	waitFor(b, func(x Ack) bool { return x.ID == m.ID && x.Ack == "sent" })
	path := "/api/messages/" + m.ID
	if got := must[Message](a, 200, "GET", path, nil); got.Text != m.Text || got.Ack != "sent" {
		t.Errorf("message %+v", got)
	}
	quoting := must[Message](a, 201, "POST", thread+"/messages", object{"text": "that is what I meant", "quoted_id": m.ID})
	if quoting.Quoted == nil || quoting.Quoted.ID != m.ID {
		t.Errorf("quoted %+v", quoting.Quoted)
	}
	if got := must[Message](a, 200, "PUT", path+"/reaction", object{"emoji": "👍"}); len(got.Reactions) != 1 || got.Reactions[0].Emoji != "👍" {
		t.Errorf("reactions %+v", got.Reactions)
	}
	if got := must[Message](a, 200, "DELETE", path+"/reaction", nil); len(got.Reactions) != 0 {
		t.Errorf("reactions %+v", got.Reactions)
	}
	if got := must[Message](a, 200, "PATCH", path, object{"text": "edited"}); got.Text != "edited" || got.EditedAt == nil {
		t.Errorf("edited %+v", got)
	}
	if got := must[Message](a, 200, "DELETE", path, nil); got.Text != "" || got.DeletedAt == nil {
		t.Errorf("deleted %+v", got)
	}
	must[object](a, 409, "PATCH", path, object{"text": "again"})
	must[object](a, 409, "POST", path+"/retry", nil)
	must[object](a, 204, "POST", thread+"/typing", object{"typing": true})
	must[object](a, 204, "POST", thread+"/read", nil)
	must[object](a, 204, "POST", thread+"/read", object{"receipt": true})
	set := must[Settings](a, 200, "PATCH", "/api/settings", object{"read_receipts": true, "send_per_minute": 60})
	if set != must[Settings](a, 200, "GET", "/api/settings", nil) || !set.ReadReceipts || set.SendPerMinute != 60 || set.BroadcastPerMinute != defaultBroadcastPerMinute {
		t.Errorf("settings %+v", set)
	}
	must[object](a, 204, "POST", thread+"/read", nil)
	must[object](a, 204, "POST", thread+"/read", object{"receipt": false})

	b.phone.mu.Lock()
	got := b.phone.changes
	b.phone.mu.Unlock()
	id := "true_" + chatID + "_3EB01"
	want := []string{"react " + id + " 👍", "react " + id + " ", "edit " + id + " edited", "delete " + id, "typing " + chatID + " true", "read " + chatID, "read " + chatID}
	if !slices.Equal(got, want) {
		t.Errorf("asked WhatsApp for %v, want %v", got, want)
	}
	page := must[MessagePage](a, 200, "GET", thread+"/messages?limit=2", nil)
	if len(page.Messages) != 2 || page.NextCursor == nil {
		t.Fatalf("page %+v", page)
	}
	older := must[MessagePage](a, 200, "GET", thread+"/messages?before="+*page.NextCursor, nil)
	if len(older.Messages) != 1 || older.Messages[0].Text != "hi" {
		t.Errorf("older %+v", older)
	}
	// A person's message is not ours to change.
	must[object](a, 403, "DELETE", "/api/messages/"+older.Messages[0].ID, nil)
	// One that failed can be sent again.
	b.exec(`UPDATE messages SET ack = -1, outbox = NULL WHERE id = $1`, number(t, quoting.ID))
	must[Message](a, 200, "POST", "/api/messages/"+quoting.ID+"/retry", nil)
}

func TestWhatWhatsAppRefusesChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	b.greeted()
	m := b.send("mine")
	waitFor(b, func(x Ack) bool { return x.ID == m.ID && x.Ack == "sent" })
	for _, tc := range []struct {
		err  error
		want int
	}{{whatsapp.ErrRefused, 409}, {whatsapp.ErrNotFound, 409}, {whatsapp.ErrNotReady, 503}, {io.ErrUnexpectedEOF, 502}} {
		b.phone.mu.Lock()
		b.phone.change = tc.err
		b.phone.mu.Unlock()
		must[object](a, tc.want, "PATCH", "/api/messages/"+m.ID, object{"text": "other"})
		must[object](a, tc.want, "DELETE", "/api/messages/"+m.ID, nil)
		must[object](a, tc.want, "PUT", "/api/messages/"+m.ID+"/reaction", object{"emoji": "👍"})
	}
	if got := must[Message](a, 200, "GET", "/api/messages/"+m.ID, nil); got.Text != "mine" || len(got.Reactions) > 0 {
		t.Errorf("changed: %+v", got)
	}
}

func TestWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	b.greeted()
	chat := "/api/chats/" + chatID
	b.exec(`INSERT INTO labels (name) VALUES ('VIP'), ('other')`)
	must[object](a, 204, "PUT", chat+"/labels/1", nil)
	must[object](a, 204, "PUT", chat+"/labels/1", nil)
	must[object](a, 404, "PUT", chat+"/labels/9", nil)
	must[object](a, 404, "PUT", "/api/chats/49@c.us/labels/1", nil)
	c := must[Chat](a, 200, "GET", chat, nil)
	if len(c.Labels) != 1 || c.Labels[0].Name != "VIP" || c.Unread != 1 || c.Status != StatusOpen || c.WaitingSince == nil || c.ContactID == nil {
		t.Errorf("chat %+v", c)
	}
	counts := must[Counts](a, 200, "GET", "/api/chats/counts", nil)
	if counts != (Counts{Open: 1, Unread: 1, Waiting: 1}) {
		t.Errorf("counts %+v", counts)
	}
	// Every filter finds it or not.
	for query, want := range map[string]int{
		"": 1, "status=open": 1, "status=closed,snoozed": 0, "unread=true": 1, "label=1": 1, "label=2": 0, "group=true": 0, "group=false": 1,
		"sort=waiting": 1, "sort=waiting&status=open&unread=true&label=1&group=false": 1,
	} {
		if page := must[ChatPage](a, 200, "GET", "/api/chats?"+query, nil); len(page.Chats) != want {
			t.Errorf("%s: %d chats, want %d", query, len(page.Chats), want)
		}
	}
	must[object](a, 204, "DELETE", chat+"/labels/1", nil)

	// Closed until the customer writes.
	if c := must[Chat](a, 200, "PATCH", chat, object{"status": "closed", "unread": false}); c.Status != StatusClosed || c.Unread != 0 {
		t.Errorf("closed %+v", c)
	}
	b.svc.Handle(seen(message("in2", false, "one more thing", 2)))
	waitFor(b, func(c Chat) bool { return c.Status == StatusOpen && c.Unread == 1 })

	// Snoozed until its time, which comes by itself.
	until := time.Now().Add(300 * time.Millisecond)
	if c := must[Chat](a, 200, "PATCH", chat, object{"status": "snoozed", "snoozed_until": until}); c.Status != StatusSnoozed || c.SnoozedUntil == nil {
		t.Errorf("snoozed %+v", c)
	}
	waitFor(b, func(c Chat) bool { return c.Status == StatusOpen && c.SnoozedUntil == nil })
	must[Chat](a, 200, "PATCH", chat, object{"status": "snoozed", "snoozed_until": time.Now().Add(time.Hour)})
	b.svc.Handle(seen(message("in3", false, "now", 3)))
	waitFor(b, func(c Chat) bool { return c.Status == StatusOpen })

	// A contact without a chat gets one.
	b.exec(`INSERT INTO contacts (id, phone, name) OVERRIDING SYSTEM VALUE VALUES (1000, '+4930123456', 'Bea'), (1001, NULL, 'nobody')`)
	c = must[Chat](a, 200, "POST", "/api/contacts/1000/chat", nil)
	if c.ID != "4930123456@c.us" || c.Name != "Bea" {
		t.Errorf("opened %+v", c)
	}
	if again := must[Chat](a, 200, "POST", "/api/contacts/1000/chat", nil); again.ID != c.ID {
		t.Errorf("two chats: %s and %s", c.ID, again.ID)
	}
	must[object](a, 409, "POST", "/api/contacts/1001/chat", nil)
	must[object](a, 404, "POST", "/api/contacts/1002/chat", nil)
}

func TestStatesAreRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	for i, state := range []whatsapp.State{whatsapp.StateOffline, whatsapp.StateOffline, whatsapp.StateReady, whatsapp.StateLoggedOut} {
		b.svc.Handle(whatsapp.StatusChanged{Status: whatsapp.Status{State: state, Reason: fmt.Sprint("r", i), Since: start.Add(time.Duration(i) * time.Second)}})
	}
	var page StatePage
	b.until(func() bool {
		page = must[StatePage](a, 200, "GET", "/api/whatsapp/history?limit=3", nil)
		return len(page.States) == 3 && page.States[0].State == whatsapp.StateLoggedOut
	}, nil)
	if page.States[0].Was != whatsapp.StateReady || page.States[2].State != whatsapp.StateOffline || page.NextCursor == nil {
		t.Errorf("states %+v", page)
	}
	older := must[StatePage](a, 200, "GET", "/api/whatsapp/history?cursor="+*page.NextCursor, nil)
	if len(older.States) != 1 || older.States[0].State != whatsapp.StateReady || older.States[0].Was != "" || older.NextCursor != nil {
		t.Errorf("older %+v", older)
	}
	must[object](a, 400, "GET", "/api/whatsapp/history?cursor=x", nil)
}

func TestPagesOfChatsAndMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.api()
	const chats = 7
	for i := range chats {
		id := fmt.Sprintf("49%d@c.us", i)
		m := message("m"+id, false, "x", i/2) // some at the same second
		m.ChatID = id
		messages := []whatsapp.Message{m}
		if i == 0 {
			messages = nil
		}
		if err := b.svc.saveMessages(t.Context(), whatsapp.Chat{ID: id}, messages, history); err != nil {
			t.Fatal(err)
		}
	}
	pages := func(query string) (ids []string) {
		for cursor := ""; ; {
			page := must[ChatPage](a, 200, "GET", "/api/chats?limit=3"+query+cursor, nil)
			for _, c := range page.Chats {
				ids = append(ids, c.ID)
			}
			if page.NextCursor == nil {
				return ids
			}
			cursor = "&cursor=" + *page.NextCursor
		}
	}
	want := []string{"496@c.us", "495@c.us", "494@c.us", "493@c.us", "492@c.us", "491@c.us", "490@c.us"}
	if ids := pages(""); !slices.Equal(ids, want) {
		t.Errorf("chats %v, want %v", ids, want)
	}
	slices.Reverse(want)
	if ids := pages("&sort=waiting"); !slices.Equal(ids, want[1:]) {
		t.Errorf("waiting %v, want %v", ids, want[1:])
	}
	var list []whatsapp.Message
	for i := range 7 {
		list = append(list, message(fmt.Sprint("p", i), false, fmt.Sprint(i), 100+i/3))
	}
	if err := b.svc.saveMessages(t.Context(), whatsapp.Chat{ID: chatID}, list, history); err != nil {
		t.Fatal(err)
	}
	var texts string
	for cursor := ""; ; {
		page := must[MessagePage](a, 200, "GET", "/api/chats/"+chatID+"/messages?limit=3"+cursor, nil)
		var these string
		for _, m := range page.Messages {
			these += m.Text
		}
		texts = these + texts
		if page.NextCursor == nil {
			break
		}
		cursor = "&before=" + *page.NextCursor
	}
	if texts != "0123456" {
		t.Errorf("messages %s", texts)
	}
	page := must[ChatPage](a, 200, "GET", "/api/chats?limit=1", nil)
	must[object](a, 400, "GET", "/api/chats/"+chatID+"/messages?before="+*page.NextCursor, nil)
}

func TestSearch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.api()
	for i, text := range []string{"Where is my order?", "Your order 4711 is on its way", "Grüße aus München", "100%_sure", "don't stop"} {
		m := message(fmt.Sprint("s", i), i == 1, text, i)
		if err := b.svc.saveMessages(t.Context(), whatsapp.Chat{ID: chatID, Name: "Carl Müller", Phone: "+4917012345"}, []whatsapp.Message{m}, live); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(`UPDATE contacts SET company = 'Acme & Sons', email = 'carl@acme.example'`)
	for q, want := range map[string]struct{ chats, messages int }{
		"order": {0, 2}, "ORDER way": {0, 1}, "ord": {0, 2}, "4711": {0, 1}, "grüße": {0, 1}, "münch": {0, 1}, "müller": {1, 0}, "carl": {1, 0},
		"acme": {1, 0}, "& sons": {1, 0}, "carl@acme": {1, 0}, "+49 170 123": {1, 0}, "0170/12345": {1, 0}, "170123": {1, 0},
		"%": {0, 0}, "_": {0, 0}, "100%": {0, 1}, "nothing like it": {0, 0}, "don't": {0, 1}, "'": {0, 0}, `\`: {0, 0}, "a|b": {0, 0}, "!": {0, 0}, "q": {0, 0},
	} {
		found := must[Found](a, 200, "GET", "/api/search?q="+url.QueryEscape(q), nil)
		if len(found.Chats) != want.chats || len(found.Messages) != want.messages {
			t.Errorf("%q: %d chats, %d messages; want %+v", q, len(found.Chats), len(found.Messages), want)
		}
	}
	first := must[Found](a, 200, "GET", "/api/search?q=order&limit=1", nil)
	if len(first.Messages) != 1 || first.NextCursor == nil || first.Messages[0].Text != "Your order 4711 is on its way" {
		t.Fatalf("first page %+v", first)
	}
	second := must[Found](a, 200, "GET", "/api/search?q=order&limit=1&cursor="+*first.NextCursor, nil)
	if len(second.Messages) != 1 || second.NextCursor != nil || second.Messages[0].Text != "Where is my order?" {
		t.Errorf("second page %+v", second)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	b.greeted()
	m := b.send("mine")
	waitFor(b, func(x Ack) bool { return x.ID == m.ID && x.Ack == "sent" })
	const chat = "/api/chats/" + chatID
	long := strings.Repeat("ä", maxTextChars+1)
	for name, tc := range map[string]struct {
		method, path, body string
		want               int
		field              string
	}{
		"malformed JSON":         {"POST", chat + "/messages", `{"text":`, 400, ""},
		"empty body":             {"POST", chat + "/messages", ` `, 400, ""},
		"a list":                 {"POST", chat + "/messages", `[]`, 400, ""},
		"wrong type":             {"POST", chat + "/messages", `{"text":3}`, 400, "text"},
		"unknown field":          {"POST", chat + "/messages", `{"text":"a","to":"b"}`, 400, "to"},
		"no text":                {"POST", chat + "/messages", `{}`, 400, "text"},
		"blank text":             {"POST", chat + "/messages", `{"text":" \n"}`, 400, "text"},
		"text with NUL":          {"POST", chat + "/messages", `{"text":"a\u0000"}`, 400, "text"},
		"long text":              {"POST", chat + "/messages", `{"text":"` + long + `"}`, 400, "text"},
		"body too large":         {"POST", chat + "/messages", `{"text":"` + strings.Repeat("a", maxBodyBytes) + `"}`, 413, ""},
		"two values":             {"POST", chat + "/messages", `{"text":"a"}{}`, 400, ""},
		"empty client id":        {"POST", chat + "/messages", `{"text":"a","client_id":""}`, 400, "client_id"},
		"client id with spaces":  {"POST", chat + "/messages", `{"text":"a","client_id":"a b"}`, 400, "client_id"},
		"file that is none":      {"POST", chat + "/messages", `{"file_id":"7"}`, 400, "file_id"},
		"file id of another way": {"POST", chat + "/messages", `{"file_id":"x"}`, 400, "file_id"},
		"type without a file":    {"POST", chat + "/messages", `{"type":"image","text":"a"}`, 400, "file_id"},
		"unknown type":           {"POST", chat + "/messages", `{"type":"poll","text":"a"}`, 400, "type"},
		"voice with a text":      {"POST", chat + "/messages", `{"type":"voice","text":"a","file_id":"7"}`, 400, "text"},
		"quoted that is none":    {"POST", chat + "/messages", `{"text":"a","quoted_id":"999"}`, 400, "quoted_id"},
		"chat that is none":      {"POST", "/api/chats/x/messages", `{"text":"a"}`, 400, "id"},
		"chat with a path":       {"GET", "/api/chats/..%2F1@c.us/messages", ``, 400, "id"},
		"unknown chat":           {"POST", "/api/chats/49@c.us/messages", `{"text":"a"}`, 404, ""},
		"messages of no chat":    {"GET", "/api/chats/49@c.us/messages", ``, 404, ""},
		"no such chat":           {"GET", "/api/chats/49@c.us", ``, 404, ""},
		"limit 0":                {"GET", "/api/chats?limit=0", ``, 400, "limit"},
		"limit too large":        {"GET", "/api/chats?limit=201", ``, 400, "limit"},
		"limit empty":            {"GET", chat + "/messages?limit=", ``, 400, "limit"},
		"limit twice":            {"GET", "/api/chats?limit=1&limit=2", ``, 400, "limit"},
		"cursor that is none":    {"GET", "/api/chats?cursor=x", ``, 400, "cursor"},
		"before that is none":    {"GET", chat + "/messages?before=x", ``, 400, "before"},
		"status that is none":    {"GET", "/api/chats?status=open,new", ``, 400, "status"},
		"unread that is none":    {"GET", "/api/chats?unread=1", ``, 400, "unread"},
		"label that is none":     {"GET", "/api/chats?label=VIP", ``, 400, "label"},
		"sort that is none":      {"GET", "/api/chats?sort=name", ``, 400, "sort"},
		"new status":             {"PATCH", chat, `{"status":"new"}`, 400, "status"},
		"snoozed without a time": {"PATCH", chat, `{"status":"snoozed"}`, 400, "snoozed_until"},
		"snoozed in the past":    {"PATCH", chat, `{"status":"snoozed","snoozed_until":"2020-01-01T00:00:00Z"}`, 400, "snoozed_until"},
		"snoozed for ages":       {"PATCH", chat, `{"status":"snoozed","snoozed_until":"2999-01-01T00:00:00Z"}`, 400, "snoozed_until"},
		"time without status":    {"PATCH", chat, `{"snoozed_until":"2999-01-01T00:00:00Z"}`, 400, "snoozed_until"},
		"typing what":            {"POST", chat + "/typing", `{}`, 400, "typing"},
		"typing in no chat":      {"POST", "/api/chats/49@c.us/typing", `{"typing":true}`, 404, ""},
		"read of no chat":        {"POST", "/api/chats/49@c.us/read", ``, 404, ""},
		"no such message":        {"GET", "/api/messages/999", ``, 404, ""},
		"message id that isn't":  {"GET", "/api/messages/1x", ``, 404, ""},
		"id beyond all":          {"GET", "/api/messages/99999999999999999999", ``, 404, ""},
		"edit to nothing":        {"PATCH", "/api/messages/" + m.ID, `{"text":""}`, 400, "text"},
		"edit of nothing":        {"PATCH", "/api/messages/999", `{"text":"x"}`, 404, ""},
		"reaction of letters":    {"PUT", "/api/messages/" + m.ID + "/reaction", `{"emoji":"ok"}`, 400, "emoji"},
		"reaction of nothing":    {"PUT", "/api/messages/" + m.ID + "/reaction", `{"emoji":""}`, 400, "emoji"},
		"reaction of a novel":    {"PUT", "/api/messages/" + m.ID + "/reaction", `{"emoji":"` + strings.Repeat("👍", 50) + `"}`, 400, "emoji"},
		"search for nothing":     {"GET", "/api/search?q=%20", ``, 400, "q"},
		"search, no question":    {"GET", "/api/search", ``, 400, "q"},
		"search for NUL":         {"GET", "/api/search?q=a%00", ``, 400, "q"},
		"search for no UTF-8":    {"GET", "/api/search?q=%ff", ``, 400, "q"},
		"search for a book":      {"GET", "/api/search?q=" + strings.Repeat("a", maxQueryChars+1), ``, 400, "q"},
		"settings, too fast":     {"PATCH", "/api/settings", `{"send_per_minute":1000}`, 400, "send_per_minute"},
		"settings, unknown":      {"PATCH", "/api/settings", `{"color":"red"}`, 400, "color"},
		"settings, wrong type":   {"PATCH", "/api/settings", `{"read_receipts":"yes"}`, 400, "read_receipts"},
	} {
		var body any
		if tc.body != "" {
			body = tc.body
		}
		status, answer := a.do(tc.method, tc.path, body)
		var d problem.Details
		if err := json.Unmarshal(answer, &d); err != nil || status != tc.want || d.Detail == "" {
			t.Errorf("%s: %d %s, want %d", name, status, answer, tc.want)
			continue
		}
		if tc.field != "" && (len(d.Errors) != 1 || d.Errors[0].Field != tc.field) {
			t.Errorf("%s: fields %+v, want %s", name, d.Errors, tc.field)
		}
	}
	if got := b.list(); !slices.Equal(got, []string{"hi", "mine"}) {
		t.Errorf("something changed: %v", got)
	}
	if c := must[Chat](a, 200, "GET", chat, nil); c.Status != StatusOpen {
		t.Errorf("something changed: %+v", c)
	}
}

func TestLongestTextPasses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	a := b.api()
	b.greeted()
	for name, text := range map[string]string{
		"emoji, escaped": `"` + strings.Repeat(`\ud83d\ude00`, maxTextChars) + `"`,
		"plain":          `"` + strings.Repeat("x", maxTextChars) + `"`,
	} {
		m := must[Message](a, 201, "POST", "/api/chats/"+chatID+"/messages", `{"text":`+text+`,"client_id":null}`)
		if n := len([]rune(m.Text)); n != maxTextChars {
			t.Errorf("%s: %d characters", name, n)
		}
	}
}
