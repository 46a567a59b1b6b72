//go:build integration

package archive

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

var document = openapitest.Slice()

func TestMain(m *testing.M) {
	document.Main(m, "/api/export", "/api/data", "/api/contacts/{id}/data")
}

type noClients struct{}

func (noClients) Publish(string, any) {}

// marker is in every text of the person who is erased.
const marker = "MARKER"

const data = `
INSERT INTO contacts (phone, name, email) VALUES ('+491', 'MARKER Carl', 'MARKER@x.example'), ('+492', 'Dora', '');
INSERT INTO contact_ids VALUES ('491@c.us', 1), ('77@lid', 1), ('492@c.us', 2);
INSERT INTO contact_notes (contact_id, text) VALUES (1, 'MARKER note'), (2, 'keep');
INSERT INTO contact_note_versions (note_id, text) VALUES (1, 'MARKER before');
INSERT INTO labels (name) VALUES ('VIP');
INSERT INTO contact_labels VALUES (1, 1);
INSERT INTO chats (id, name, contact_id) VALUES ('491@c.us', 'MARKER Carl', 1), ('492@c.us', 'Dora', 2);
INSERT INTO chats (id, name, is_group) VALUES ('5-5@g.us', 'Group', true);
INSERT INTO files (name, mime_type, size, sha256, complete) VALUES ('../MARKER.txt', 'text/plain', 6, '\x00', true), ('keep.txt', 'text/plain', 4, '\x00', true);
INSERT INTO file_chunks VALUES (1, 0, 'MARKER'), (2, 0, 'keep');
INSERT INTO messages (wa_id, chat_id, direction, sender_id, sender_name, type, text, sent_at, file_id) VALUES
	('false_a', '491@c.us', 'in', '491@c.us', 'MARKER', 'text', 'MARKER hello', now(), 1),
	('true_b', '491@c.us', 'out', '49@c.us', 'me', 'text', 'dear MARKER', now(), NULL),
	('false_c', '5-5@g.us', 'in', '77@lid', 'MARKER', 'text', 'MARKER in a group', now(), NULL),
	('false_d', '492@c.us', 'in', '492@c.us', 'Dora', 'text', 'keep', now(), 2);
INSERT INTO reactions VALUES (3, '77@lid', '👍', now());
INSERT INTO broadcasts (name, label_id, label_name, text) VALUES ('b', 1, 'VIP', 'hello');
INSERT INTO broadcast_recipients (broadcast_id, n, contact_id, name) VALUES (1, 1, 1, 'MARKER Carl');
INSERT INTO webhooks (url, secret, events) VALUES ('https://x.example', 'TOPSECRET', '{*}');
INSERT INTO webhook_deliveries (webhook_id, event, payload) VALUES (1, 'message:new', '{"chat_id": "491@c.us", "text": "MARKER"}'), (1, 'contact:created', '{"id": "1", "name": "MARKER"}'),
	(1, 'message:new', '{"chat_id": "492@c.us", "text": "keep"}');
`

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
	if _, err := pool.Exec(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(pool, event.NewBus(pool, noClients{}), slog.New(slog.DiscardHandler)).Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &bundle{t, pool, srv.URL, document.Client(t, nil)}
}

func (b *bundle) do(method, path, body string) (int, []byte) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, answer
}

// marked returns the tables in which a text has the marker.
func (b *bundle) marked() (found []string) {
	b.t.Helper()
	for _, name := range b.tables() {
		var n int
		if err := b.pool.QueryRow(b.t.Context(), `SELECT count(*) FROM `+name+` t WHERE t::text LIKE '%`+marker+`%' OR t::text LIKE '%4d41524b4552%'`).Scan(&n); err != nil {
			b.t.Fatal(err)
		}
		if n > 0 {
			found = append(found, name)
		}
	}
	return found
}

func (b *bundle) tables() []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	if err != nil {
		b.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

func TestEveryTableIsExportedOrLeftOutForAReason(t *testing.T) {
	t.Parallel()
	for _, name := range setup(t).tables() {
		exported := slices.ContainsFunc(tables, func(t table) bool { return t.name == name })
		if _, left := notExported[name]; exported == left {
			t.Errorf("%s: exported %t, left out %t", name, exported, left)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, answer := b.do("GET", "/api/export", "")
	if status != 200 || bytes.Contains(answer, []byte("TOPSECRET")) {
		t.Fatalf("%d, %d bytes", status, len(answer))
	}
	archive, err := zip.NewReader(bytes.NewReader(answer), int64(len(answer)))
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = string(all)
	}
	var m manifest
	if err := json.Unmarshal([]byte(content["manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Rows["messages"] != 4 || m.Rows["contacts"] != 2 || m.Files != 2 || m.Schema < 9 {
		t.Errorf("manifest %+v", m)
	}
	for _, tb := range tables {
		lines := strings.Count(content[tb.name+".jsonl"], "\n")
		if lines != m.Rows[tb.name] {
			t.Errorf("%s: %d lines, %d in the manifest", tb.name, lines, m.Rows[tb.name])
		}
		for line := range strings.Lines(content[tb.name+".jsonl"]) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %s", tb.name, line)
			}
		}
	}
	if content["media/1-MARKER.txt"] != marker || content["media/2-keep.txt"] != "keep" || strings.Contains(content["webhooks.jsonl"], "TOPSECRET") {
		t.Errorf("files %v", content)
	}
}

func TestErasureOfAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var preview, erased Erased
	status, answer := b.do("GET", "/api/contacts/1/data", "")
	if err := json.Unmarshal(answer, &preview); err != nil || status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	status, answer = b.do("DELETE", "/api/contacts/1/data", "")
	if err := json.Unmarshal(answer, &erased); err != nil || status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if erased.Chats != 1 || erased.Messages != 3 || erased.Notes != 1 || erased.Files != 1 || erased.Messages != preview.Messages {
		t.Errorf("erased %+v, announced %+v", erased, preview)
	}
	if left := b.marked(); left != nil {
		t.Errorf("the person is still in %v", left)
	}
	var kept int
	if err := b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM messages WHERE text = 'keep') + (SELECT count(*) FROM contact_notes) + (SELECT count(*) FROM files) +
		(SELECT count(*) FROM webhook_deliveries WHERE event = 'message:new')`).Scan(&kept); err != nil || kept != 4 {
		t.Errorf("%d of the other person's records are left, %v", kept, err)
	}
	if status, _ := b.do("DELETE", "/api/contacts/1/data", ""); status != 404 {
		t.Errorf("erased twice: %d", status)
	}
}

func TestErasureOfEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, body := range map[string]string{"nothing": `{}`, "another text": `{"confirm":"yes"}`, "a number": `{"confirm":1}`, "more": `{"confirm":"erase everything","x":1}`, "no JSON": `{`} {
		if status, answer := b.do("DELETE", "/api/data", body); status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	for _, path := range []string{"/api/contacts/99/data", "/api/contacts/x/data"} {
		for _, method := range []string{"GET", "DELETE"} {
			if status, _ := b.do(method, path, ""); status != 404 {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
	if len(b.marked()) == 0 {
		t.Fatal("something was erased")
	}
	if status, answer := b.do("DELETE", "/api/data", `{"confirm":"erase everything"}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	for _, tb := range tables {
		var n int
		if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+tb.name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 && tb.name != "stages" && tb.name != "erased_chats" {
			t.Errorf("%s: %d rows are left", tb.name, n)
		}
	}
	if left := b.marked(); left != nil {
		t.Errorf("the marker is still in %v", left)
	}
}
