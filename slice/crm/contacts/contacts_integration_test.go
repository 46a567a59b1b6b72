//go:build integration

package contacts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
)

var doc = openapitest.Slice()

// The chat of a contact is the inbox's.
func TestMain(m *testing.M) {
	const one = "/api/contacts/{id}"
	doc.Main(m, "/api/contacts/duplicates", "/api/contacts/export", "/api/contacts/import", one+"/opt-out", one+"/refresh", one+"/picture",
		one+"/merge", one+"/labels", one+"/notes", "/api/labels", "/api/custom-fields")
}

type clients struct {
	mu     sync.Mutex // guards events
	events []string
}

func (c *clients) Publish(name string, _ any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, name)
}

type phoneBook struct {
	profile whatsapp.Profile
	picture *whatsapp.File
	err     error
}

func (p *phoneBook) Profile(context.Context, string) (whatsapp.Profile, error) {
	return p.profile, p.err
}
func (p *phoneBook) Picture(context.Context, string) (*whatsapp.File, error) { return p.picture, p.err }

type testBundle struct {
	*testing.T
	pool    *pgxpool.Pool
	bus     *event.Bus
	clients *clients
	wa      *phoneBook
	api     *httptest.Server
	client  *http.Client
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	b := &testBundle{T: t, pool: pool, clients: &clients{}, wa: &phoneBook{}, client: doc.Client(t, nil)}
	b.bus = event.NewBus(pool, b.clients)
	mux := http.NewServeMux()
	New(pool, b.bus, b.wa, slog.New(slog.DiscardHandler)).Register(mux)
	b.api = httptest.NewServer(mux)
	t.Cleanup(b.api.Close)
	return b
}

func (b *testBundle) raw(method, path, contentType, body string, want int) string {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.api.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		b.Fatalf("%s %s %.200s: %d %.500s, want %d", method, path, body, res.StatusCode, text, want)
	}
	return string(text)
}

type object = map[string]any

func (b *testBundle) do(method, path string, body any, want int) object {
	b.Helper()
	text, contentType := "", ""
	switch v := body.(type) {
	case nil:
	case string:
		text, contentType = v, "application/json"
	default:
		j, _ := json.Marshal(v)
		text, contentType = string(j), "application/json"
	}
	answer := b.raw(method, path, contentType, text, want)
	var v object
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &v); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

func (b *testBundle) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

func (b *testBundle) value(sql string, args ...any) (s string) {
	b.Helper()
	if err := b.pool.QueryRow(b.Context(), sql, args...).Scan(&s); err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *testBundle) seen(waID, phone, name string) (id int64) {
	b.Helper()
	err := b.bus.Transact(b.Context(), func(tx *event.Tx) (err error) {
		id, err = Seen(b.Context(), tx, waID, phone, name)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func (b *testBundle) names(query string) string {
	b.Helper()
	var all []string
	for cursor := ""; ; {
		page := b.do("GET", "/api/contacts?limit=2&"+query+cursor, nil, 200)
		for _, c := range page["contacts"].([]any) {
			all = append(all, c.(object)["display_name"].(string))
		}
		if page["next_cursor"] == nil {
			return strings.Join(all, " ")
		}
		cursor = "&cursor=" + page["next_cursor"].(string)
	}
}

func TestContacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/api/custom-fields", object{"key": "size", "name": "Size", "type": "number"}, 201)
	c := b.do("POST", "/api/contacts", object{"name": " Ana ", "phone": "0049 (0)151 1234-5678", "email": "ana@oro.de", "company": "Oro", "custom": object{"size": 38.5}}, 201)
	if c["phone"] != "+4915112345678" || c["name"] != "Ana" || c["custom"].(object)["size"] != 38.5 {
		t.Errorf("%v", c)
	}
	if p := b.do("POST", "/api/contacts", object{"phone": "+4915112345678"}, 409); !strings.Contains(p["detail"].(string), "Contact 1 ") {
		t.Errorf("%v", p)
	}
	evil := `'; DROP TABLE contacts; -- <script>alert(1)</script>`
	if c := b.do("POST", "/api/contacts", object{"name": evil}, 201); c["name"] != evil {
		t.Errorf("%v", c)
	}
	b.do("POST", "/api/contacts", object{"name": "100%_Bob"}, 201)
	b.seen("4917099999999@c.us", "+4917099999999", "zoe")
	b.exec(`INSERT INTO chats (id, contact_id, last_message_at) VALUES ('4917099999999@c.us', 4, now() + interval '1 hour')`)
	for query, want := range map[string]string{
		"q=ana": "Ana", "q=oro+ana": "Ana", "q=0151+1234": "Ana", "q=%2B49+(0)151": "Ana", "q=%2B49-151": "Ana", "q=oro.de": "Ana",
		"q=100%25_": "100%_Bob", "q=%25": "100%_Bob", "q=nobody": "", "q=drop+table": evil,
		"": evil + " 100%_Bob Ana zoe", "sort=recent": "zoe 100%_Bob " + evil + " Ana", "has_chat=true": "zoe", "opted_out=true": "",
	} {
		if got := b.names(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	c = b.do("PATCH", "/api/contacts/1", object{"name": nil, "custom": object{"size": nil}, "phone": "+4915112345679"}, 200)
	if c["name"] != "" || c["display_name"] != "+4915112345679" || len(c["custom"].(object)) != 0 || c["company"] != "Oro" {
		t.Errorf("%v", c)
	}
	b.do("PATCH", "/api/contacts/4", object{"phone": "+4917099999998"}, 409)
	b.do("PATCH", "/api/contacts/4", object{"phone": nil}, 409)
	b.do("PATCH", "/api/contacts/1", object{"phone": "+4917099999999"}, 409)
	b.do("PATCH", "/api/contacts/1", object{"phone": nil}, 200)
	if b.do("PUT", "/api/contacts/1/opt-out", nil, 200)["opted_out_at"] == nil || len(b.do("GET", "/api/contacts?opted_out=true", nil, 200)["contacts"].([]any)) != 1 {
		t.Error("no opt-out")
	}
	if b.do("DELETE", "/api/contacts/1/opt-out", nil, 200)["opted_out_at"] != nil {
		t.Error("an opt-out")
	}
	b.do("GET", "/api/contacts/1", nil, 200)
	b.do("DELETE", "/api/contacts/4", nil, 204)
	b.do("GET", "/api/contacts/4", nil, 404)
	if id := b.seen("4917099999999@c.us", "+4917099999999", ""); b.value(`SELECT contact_id::text FROM chats`) != fmt.Sprint(id) {
		t.Error("the chat has no contact")
	}
	for _, e := range []string{"contact:created", "contact:updated", "contact:deleted"} {
		if !slices.Contains(b.clients.events, e) {
			t.Errorf("no %s in %v", e, b.clients.events)
		}
	}
}

func TestLabelsFieldsNotes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"Ana", "Bob"} {
		b.do("POST", "/api/contacts", object{"name": name}, 201)
	}
	b.do("POST", "/api/labels", object{"name": "VIP", "color": "red"}, 201)
	b.do("POST", "/api/labels", object{"name": "vip"}, 409)
	b.do("POST", "/api/labels", object{"name": "lead"}, 201)
	b.do("PATCH", "/api/labels/3", object{"name": "Vip"}, 409)
	if l := b.do("PATCH", "/api/labels/3", object{"color": "blue"}, 200); l["name"] != "lead" || l["color"] != "blue" {
		t.Errorf("%v", l)
	}
	b.do("PUT", "/api/contacts/1/labels/1", nil, 200)
	if c := b.do("PUT", "/api/contacts/1/labels/1", nil, 200); c["labels"].([]any)[0].(object)["color"] != "red" {
		t.Errorf("%v", c)
	}
	if v := b.do("POST", "/api/labels/1/contacts", object{"contact_ids": []string{"1", "2", "2"}}, 200); v["added"] != 1.0 || v["label"].(object)["contacts"] != 2.0 {
		t.Errorf("%v", v)
	}
	b.do("POST", "/api/labels/1/contacts", object{"contact_ids": []string{"1", "9"}}, 400)
	b.do("DELETE", "/api/contacts/1/labels/1", nil, 200)
	if b.names("label=1") != "Bob" || b.do("GET", "/api/labels/1", nil, 200)["contacts"] != 1.0 {
		t.Error("counts")
	}
	b.do("DELETE", "/api/labels/1", nil, 204)
	if l := b.do("GET", "/api/labels", nil, 200)["labels"].([]any); len(l) != 1 {
		t.Errorf("%v", l)
	}

	b.do("POST", "/api/custom-fields", object{"key": "tier", "name": "Tier", "type": "choice", "choices": []string{"gold", "tin"}}, 201)
	b.do("POST", "/api/custom-fields", object{"key": "tier", "name": "T", "type": "text"}, 409)
	b.do("POST", "/api/custom-fields", object{"key": "born", "name": "Born", "type": "date"}, 201)
	b.do("PATCH", "/api/contacts/1", object{"custom": object{"tier": "gold", "born": "2000-02-29"}}, 200)
	b.do("PATCH", "/api/custom-fields/1", object{"choices": []string{"tin"}}, 409)
	b.do("PATCH", "/api/custom-fields/1", object{"key": "x"}, 400)
	b.do("PATCH", "/api/custom-fields/1", object{"choices": []string{"gold", "lead"}, "name": "Rank"}, 200)
	b.do("DELETE", "/api/custom-fields/1", nil, 204)
	if c := b.do("GET", "/api/contacts/1", nil, 200)["custom"].(object); len(c) != 1 || c["born"] != "2000-02-29" {
		t.Errorf("%v", c)
	}
	if f := b.do("GET", "/api/custom-fields", nil, 200)["custom_fields"].([]any); len(f) != 1 {
		t.Errorf("%v", f)
	}

	b.do("POST", "/api/contacts/1/notes", object{"text": "one"}, 201)
	b.do("POST", "/api/contacts/1/notes", object{"text": "other"}, 201)
	b.do("PATCH", "/api/contacts/1/notes/1", object{"text": "two"}, 200)
	b.do("PATCH", "/api/contacts/1/notes/1", object{"text": "two"}, 200)
	b.do("PATCH", "/api/contacts/2/notes/1", object{"text": "x"}, 404)
	b.do("DELETE", "/api/contacts/1/notes/1", nil, 204)
	b.do("PATCH", "/api/contacts/1/notes/1", object{"text": "x"}, 404)
	if n := b.do("GET", "/api/contacts/1/notes", nil, 200)["notes"].([]any); len(n) != 1 {
		t.Errorf("%v", n)
	}
	v := b.do("GET", "/api/contacts/1/notes/1/versions?limit=1", nil, 200)
	if v["versions"].([]any)[0].(object)["text"] != "two" {
		t.Errorf("%v", v)
	}
	v = b.do("GET", "/api/contacts/1/notes/1/versions?cursor="+v["next_cursor"].(string), nil, 200)
	if v["versions"].([]any)[0].(object)["text"] != "one" || v["next_cursor"] != nil {
		t.Errorf("%v", v)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seen("5@lid", "", "")
	b.wa.profile = whatsapp.Profile{Phone: "+4915112345678", PushName: "ana", IsBusiness: true}
	if c := b.do("POST", "/api/contacts/1/refresh", nil, 200); c["phone"] != "+4915112345678" || c["wa_name"] != "ana" || c["is_business"] != true {
		t.Errorf("%v", c)
	}
	b.do("GET", "/api/contacts/1/picture", nil, 404)
	b.wa.picture = &whatsapp.File{MIMEType: "image/png", Data: []byte("<html><script>alert(1)</script>")}
	b.do("GET", "/api/contacts/1/picture", nil, 404)
	b.wa.picture.Data = []byte("\xff\xd8\xff\xe0 a photo")
	res, err := http.Get(b.api.URL + "/api/contacts/1/picture")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if h := res.Header; h.Get("Content-Type") != "image/jpeg" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%v", h)
	}
	b.raw("GET", "/api/contacts/1/picture", "", "", 200)
	b.wa.err = whatsapp.ErrNotReady
	b.do("POST", "/api/contacts/1/refresh", nil, 503)
	b.do("GET", "/api/contacts/1/picture", nil, 503)
	b.do("POST", "/api/contacts", object{"name": "No phone"}, 201)
	b.do("POST", "/api/contacts/2/refresh", nil, 404)
}

// Whatever refers to a contact follows it; a table that is added must be added to
// moves too.
func TestMerge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refs := b.value(`SELECT string_agg(conrelid::regclass::text, ' ' ORDER BY conrelid::regclass::text) FROM pg_constraint WHERE confrelid = 'contacts'::regclass`)
	for _, table := range strings.Fields(refs) {
		if !strings.Contains(strings.Join(moves, "\n"), table) {
			t.Errorf("a merge forgets %s", table)
		}
	}
	b.do("POST", "/api/custom-fields", object{"key": "a", "name": "A", "type": "text"}, 201)
	b.do("POST", "/api/contacts", object{"name": "Ana", "email": "ana@oro.de", "custom": object{"a": "1"}}, 201)
	b.do("POST", "/api/contacts", object{"name": "Ana Ruiz", "phone": "+4915112345678", "company": "Oro", "email": "ANA@oro.de", "custom": object{"a": "2"}}, 201)
	b.do("PUT", "/api/contacts/2/opt-out", nil, 200)
	b.exec(`INSERT INTO labels (name) VALUES ('x'), ('y')`)
	b.exec(`INSERT INTO contact_labels VALUES (1, 1), (2, 1), (2, 2)`)
	b.exec(`INSERT INTO chats (id, contact_id) VALUES ('4915112345678@c.us', 2)`)
	b.exec(`INSERT INTO contact_ids VALUES ('4915112345678@c.us', 2)`)
	b.exec(`INSERT INTO contact_notes (contact_id, text) VALUES (2, 'n')`)
	b.exec(`INSERT INTO deals (title, stage_id, position, contact_id) VALUES ('d', 1, 1, 2)`)
	b.exec(`INSERT INTO tasks (title, contact_id) VALUES ('t', 2)`)
	b.exec(`INSERT INTO broadcasts (name, label_name, text) VALUES ('b', 'x', 't'), ('c', 'x', 't')`)
	b.exec(`INSERT INTO broadcast_recipients (broadcast_id, n, contact_id, name) VALUES (1, 1, 1, 'a'), (1, 2, 2, 'b'), (2, 1, 2, 'b')`)
	if d := b.do("GET", "/api/contacts/duplicates", nil, 200)["duplicates"].([]any); len(d) != 1 || d[0].(object)["reason"] != "same_email" || d[0].(object)["target"].(object)["id"] != "2" {
		t.Errorf("%v", d)
	}
	b.do("POST", "/api/contacts/1/merge", object{"from": "1"}, 409)
	b.do("POST", "/api/contacts/1/merge", object{"from": "9"}, 404)
	c := b.do("POST", "/api/contacts/1/merge", object{"from": "2"}, 200)
	if c["name"] != "Ana" || c["phone"] != "+4915112345678" || c["company"] != "Oro" || c["opted_out_at"] == nil || c["custom"].(object)["a"] != "1" ||
		len(c["labels"].([]any)) != 2 || len(c["chat_ids"].([]any)) != 1 || len(c["whatsapp_ids"].([]any)) != 1 {
		t.Errorf("%v", c)
	}
	if got := b.value(`SELECT concat_ws(' ', (SELECT contact_id FROM deals), (SELECT contact_id FROM tasks),
		(SELECT string_agg(concat(broadcast_id, '/', contact_id, '/', status), ' ' ORDER BY broadcast_id, n) FROM broadcast_recipients))`); got != "1 1 1/1/waiting 1//skipped 2/1/waiting" {
		t.Error(got)
	}
	n := b.do("GET", "/api/contacts/1/notes", nil, 200)["notes"].([]any)
	if len(n) != 2 || n[0].(object)["text"] != "Merged with another contact, which had the name Ana Ruiz, a 2" {
		t.Errorf("%v", n)
	}
	b.do("GET", "/api/contacts/2", nil, 404)

	// WhatsApp says that an id has the phone of another contact.
	lid := b.seen("77@lid", "", "ana")
	if lid == 1 {
		t.Fatal("too early")
	}
	if id := b.seen("77@lid", "+4915112345678", "ana"); id != 1 || !slices.Contains(b.clients.events, "contact:merged") {
		t.Errorf("contact %d", id)
	}
	if id := b.seen("77@lid", "", ""); id != 1 {
		t.Errorf("contact %d", id)
	}
	b.do("POST", "/api/contacts", object{"phone": "+49015112345678", "name": "Z"}, 201)
	b.seen("78@lid", "", "Z")
	if d := b.do("GET", "/api/contacts/duplicates", nil, 200)["duplicates"].([]any); len(d) != 2 {
		t.Errorf("%v", d)
	}
}

// Two transactions that see the same id at once have one contact.
func TestSeenAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for range 10 {
				phone := []string{"", "+4915112345678"}[i%2]
				err := pgx.BeginFunc(b.Context(), b.pool, func(tx pgx.Tx) error {
					_, err := Seen(b.Context(), tx, []string{"9@lid", "4915112345678@c.us"}[i/2], phone, fmt.Sprint("name", i))
					return err
				})
				if err != nil {
					t.Log(err) // a deadlock at worst: the caller comes again
				}
			}
		})
	}
	group.Wait()
	b.seen("9@lid", "+4915112345678", "")
	b.seen("4915112345678@c.us", "+4915112345678", "")
	if n := b.value(`SELECT count(*)::text FROM contacts`); n != "1" {
		t.Errorf("%s contacts", n)
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/api/custom-fields", object{"key": "size", "name": "Shoe size", "type": "number"}, 201)
	b.do("POST", "/api/custom-fields", object{"key": "memo", "name": "Memo", "type": "text"}, 201)
	b.do("POST", "/api/contacts", object{"name": "Ana", "phone": "+4915112345678"}, 201)
	load := func(query, file string, want int) object {
		t.Helper()
		var v object
		if err := json.Unmarshal([]byte(b.raw("POST", "/api/contacts/import?"+query, "text/csv", file, want)), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	const file = "Name,Phone,Labels,Opt out,Shoe size,Fax\nAnna,+49 151 12345678,vip; new,yes,38,1\n=1+1,+4917012345678,VIP,,-2.5,\n"
	v := load("dry_run=true", file, 200)
	if v["created"] != 1.0 || v["skipped"] != 1.0 || v["labels_created"] != 1.0 || b.value(`SELECT count(*)::text FROM contacts`) != "1" || b.value(`SELECT count(*)::text FROM labels`) != "0" {
		t.Errorf("%v", v)
	}
	const wrong = "name,phone,size\na,+4917012345670,1\nb,123,1\nc,+4917012345671,x\n"
	v = load("", wrong, 400)
	if e := v["errors"].([]any); len(e) != 2 || e[0].(object)["field"] != "line 3: phone" || e[1].(object)["field"] != "line 4: custom.size" {
		t.Errorf("%v", v)
	}
	if v = load("dry_run=true", wrong, 200); v["invalid"] != 2.0 || v["created"] != 1.0 {
		t.Errorf("%v", v)
	}
	if b.value(`SELECT count(*)::text FROM contacts`) != "1" {
		t.Error("half was imported")
	}
	v = load("on_duplicate=update", file, 200)
	if v["created"] != 1.0 || v["updated"] != 1.0 || v["ignored_columns"].([]any)[0] != "Fax" {
		t.Errorf("%v", v)
	}
	c := b.do("GET", "/api/contacts/1", nil, 200)
	if c["name"] != "Anna" || c["opted_out_at"] == nil || c["custom"].(object)["size"] != 38.0 || len(c["labels"].([]any)) != 2 {
		t.Errorf("%v", c)
	}
	if v = load("skip_invalid=true", wrong, 200); v["created"] != 1.0 || v["invalid"] != 2.0 {
		t.Errorf("%v", v)
	}
	// Export and import are each other's reverse.
	b.do("POST", "/api/contacts", object{"name": "'@x, \"y\"", "company": "-5", "custom": object{"memo": "=a\nb"}}, 201)
	b.do("POST", "/api/labels", object{"name": `a;b,c\|`}, 201)
	b.do("POST", "/api/labels/"+b.value(`SELECT id::text FROM labels WHERE name LIKE 'a;%'`)+"/contacts", object{"contact_ids": []string{"1"}}, 200)
	b.seen("5@lid", "", "+wa")
	const state = `SELECT json_agg(json_build_array(name, wa_name, phone, email, company, custom, opted_out_at,
		(SELECT json_agg(l.name ORDER BY l.name) FROM contact_labels k JOIN labels l ON l.id = k.label_id WHERE k.contact_id = c.id)) ORDER BY id)::text FROM contacts c`
	before, export := b.value(state), b.raw("GET", "/api/contacts/export", "", "", 200)
	for _, line := range strings.Split(export, "\n")[1:] {
		if line != "" && strings.ContainsAny(line[:1], "=+-@") {
			t.Errorf("a formula: %s", line)
		}
	}
	if v = load("", export, 200); v["skipped"] != v["rows"] || v["created"] != 0.0 {
		t.Errorf("%v", v)
	}
	b.exec(`DELETE FROM contacts`)
	b.exec(`DELETE FROM labels`)
	load("", export, 200)
	if after := b.value(state); after != before {
		t.Errorf("\n%s\n%s\n%s", before, after, export)
	}
	var big strings.Builder
	big.WriteString("name,phone,email,labels,size\n")
	for i := range 10_000 {
		fmt.Fprintf(&big, "Person %d,+4930%07d,p%d@example.com,big,%d\n", i, i, i, i)
	}
	if v = load("", big.String(), 200); v["created"] != 10000.0 {
		t.Errorf("%v", v)
	}
	if v = load("on_duplicate=update", big.String(), 200); v["updated"] != 10000.0 {
		t.Errorf("%v", v)
	}
	if n := strings.Count(b.raw("GET", "/api/contacts/export?q=Person", "", "", 200), "\n"); n != 10_001 {
		t.Errorf("%d lines", n)
	}
	b.raw("POST", "/api/contacts/import", "text/csv", "name\n"+strings.Repeat("x", maxImportBytes), 413)
	b.raw("POST", "/api/contacts/import", "application/json", "{}", 415)
	b.raw("POST", "/api/contacts/import?dry_run=maybe", "text/csv", file, 400)
	b.raw("POST", "/api/contacts/import?on_duplicate=x", "text/csv", file, 400)
	load("skip_invalid=true", "name\n\"", 400)
	load("", "", 400)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/api/contacts", object{"name": "Ana"}, 201)
	b.do("POST", "/api/contacts/1/notes", object{"text": "n"}, 201)
	b.do("POST", "/api/labels", object{"name": "l"}, 201)
	b.do("POST", "/api/custom-fields", object{"key": "n", "name": "N", "type": "number"}, 201)
	before := b.value(`SELECT json_build_array((SELECT json_agg(c) FROM contacts c), (SELECT json_agg(c) FROM labels c), (SELECT json_agg(c) FROM contact_notes c), (SELECT json_agg(c) FROM custom_fields c))::text`)
	const c, n, l, f = "/api/contacts", "/api/contacts/1/notes", "/api/labels", "/api/custom-fields"
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", c + "?limit=0", nil, 400}, {"GET", c + "?cursor=x", nil, 400}, {"GET", c + "?sort=x", nil, 400}, {"GET", c + "?label=x", nil, 400},
		{"GET", c + "?opted_out=1", nil, 400}, {"GET", c + "?has_chat=", nil, 400}, {"GET", c + "?q=%00", nil, 400}, {"GET", c + "?q=%ff", nil, 400},
		{"GET", c + "?q=" + long(201), nil, 400}, {"GET", c + "?q=a&q=b", nil, 400}, {"GET", c + "/export?label=x", nil, 400},
		{"GET", c + "/x", nil, 404}, {"GET", c + "/9", nil, 404}, {"GET", c + "/0", nil, 404}, {"GET", c + "/99999999999999999999", nil, 404},
		{"POST", c, nil, 415}, {"POST", c, `{`, 400}, {"POST", c, `[]`, 400}, {"POST", c, `{}`, 400}, {"POST", c, `{"x":1}`, 400}, {"POST", c, `{"name":1}`, 400},
		{"POST", c, `{"name":" "}`, 400}, {"POST", c, `{"name":"a\u0000"}`, 400}, {"POST", c, `{"name":"a\nb"}`, 400}, {"POST", c, object{"name": long(201)}, 400},
		{"POST", c, object{"name": long(1 << 20)}, 413}, {"POST", c, `{"phone":"0151 1234567"}`, 400}, {"POST", c, `{"phone":"+49x"}`, 400}, {"POST", c, `{"phone":49}`, 400},
		{"POST", c, `{"name":"a","email":"x"}`, 400}, {"POST", c, `{"name":"a","email":"A <a@b.de>"}`, 400}, {"POST", c, object{"name": "a", "email": long(250) + "@b.de"}, 400},
		{"POST", c, `{"name":"a","custom":{"x":1}}`, 400}, {"POST", c, `{"name":"a","custom":{"n":"1"}}`, 400}, {"POST", c, `{"name":"a","custom":{"n":1e300}}`, 400}, {"POST", c, `{"name":"a","custom":[]}`, 400},
		{"POST", c, `{"name":"a","id":"7"}`, 400}, {"PATCH", c + "/9", `{}`, 404}, {"PATCH", c + "/1", `{"email":"x"}`, 400}, {"PATCH", c + "/1", `{"phone":""}`, 400},
		{"DELETE", c + "/9", nil, 404}, {"PUT", c + "/9/opt-out", nil, 404}, {"DELETE", c + "/9/opt-out", nil, 404}, {"POST", c + "/9/refresh", nil, 404}, {"GET", c + "/9/picture", nil, 404},
		{"POST", c + "/1/merge", `{}`, 400}, {"POST", c + "/1/merge", `{"from":2}`, 400}, {"POST", c + "/1/merge", `{"from":"x"}`, 400}, {"POST", c + "/9/merge", `{"from":"1"}`, 404},
		{"PUT", c + "/1/labels/9", nil, 404}, {"PUT", c + "/9/labels/1", nil, 404}, {"DELETE", c + "/1/labels/x", nil, 404},
		{"GET", "/api/contacts/9/notes", nil, 404}, {"GET", n + "?cursor=x", nil, 400}, {"POST", n, `{}`, 400}, {"POST", n, `{"text":null}`, 400}, {"POST", n, `{"text":"\u0000"}`, 400},
		{"POST", n, object{"text": long(10001)}, 400}, {"POST", "/api/contacts/9/notes", `{"text":"x"}`, 404}, {"PATCH", n + "/9", `{"text":"x"}`, 404}, {"PATCH", n + "/1", `{"text":" "}`, 400},
		{"DELETE", n + "/9", nil, 404}, {"GET", n + "/9/versions", nil, 404}, {"GET", n + "/1/versions?limit=x", nil, 400},
		{"POST", l, `{}`, 400}, {"POST", l, `{"name":null}`, 400}, {"POST", l, object{"name": long(61)}, 400}, {"POST", l, `{"name":"x","color":"#fff"}`, 400}, {"POST", l, `{"name":"x\u0000"}`, 400},
		{"GET", l + "/9", nil, 404}, {"PATCH", l + "/9", `{"name":"x"}`, 404}, {"PATCH", l + "/1", `{"name":""}`, 400}, {"DELETE", l + "/9", nil, 404},
		{"POST", l + "/1/contacts", `{}`, 400}, {"POST", l + "/1/contacts", `{"contact_ids":[1]}`, 400}, {"POST", l + "/1/contacts", `{"contact_ids":["x"]}`, 400}, {"POST", l + "/9/contacts", `{"contact_ids":["1"]}`, 404},
		{"POST", l + "/1/contacts", object{"contact_ids": make([]string, 1001)}, 400},
		{"POST", f, `{}`, 400}, {"POST", f, `{"key":"A","name":"x","type":"text"}`, 400}, {"POST", f, `{"key":"a","name":"x","type":"x"}`, 400}, {"POST", f, `{"key":"a","name":"","type":"text"}`, 400},
		{"POST", f, `{"key":"a","name":"x","type":"choice"}`, 400}, {"POST", f, `{"key":"a","name":"x","type":"choice","choices":["a","a"]}`, 400}, {"POST", f, `{"key":"a","name":"x","type":"text","choices":["a"]}`, 400},
		{"POST", f, `{"key":"a","name":"x","type":"text","position":1.5}`, 400}, {"POST", f, `{"key":"a","name":"x","type":"text","position":99999999999}`, 400},
		{"PATCH", f + "/1", `{"type":"text"}`, 400}, {"PATCH", f + "/9", `{}`, 404}, {"DELETE", f + "/9", nil, 404},
	} {
		if v := b.do(tc.method, tc.path, tc.body, tc.status); v["detail"] == "" || v["type"] == "" {
			t.Errorf("%s %.80s: %v", tc.method, tc.path, v)
		}
	}
	if after := b.value(`SELECT json_build_array((SELECT json_agg(c) FROM contacts c), (SELECT json_agg(c) FROM labels c), (SELECT json_agg(c) FROM contact_notes c), (SELECT json_agg(c) FROM custom_fields c))::text`); after != before {
		t.Errorf("\n%s\n%s", before, after)
	}
}
