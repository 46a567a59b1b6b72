//go:build integration

package media

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
)

var document = openapitest.Slice()

func TestMain(m *testing.M) {
	document.Main(m, "/api/files", "/api/messages/{id}/media")
}

// sender plays WhatsApp: it gives the same file for every message.
type sender struct {
	content string
	err     error
	wait    chan struct{} // nil: gives it at once
	asked   atomic.Int64
}

func (s *sender) Download(_ context.Context, _ string, w io.Writer) (whatsapp.Media, error) {
	s.asked.Add(1)
	if s.wait != nil {
		<-s.wait
	}
	if s.err != nil {
		return whatsapp.Media{}, s.err
	}
	_, err := io.WriteString(w, s.content)
	return whatsapp.Media{}, err
}

type bundle struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *Store
	wa    *sender
	url   string
	http  *http.Client
}

func setup(t *testing.T, quota int64) *bundle {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, pool: pool, store: NewStore(pool, quota), wa: &sender{content: png}, http: document.Client(t, nil)}
	mux := http.NewServeMux()
	New(b.store, b.wa, slog.New(slog.DiscardHandler)).Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	_, err = pool.Exec(t.Context(), `INSERT INTO chats (id) VALUES ('49@c.us');
		INSERT INTO messages (wa_id, chat_id, direction, sender_id, type, media, sent_at) VALUES
			('false_1', '49@c.us', 'in', '49@c.us', 'image', '{"mime_type": "image/png", "name": "cake.png"}', now()),
			('false_2', '49@c.us', 'in', '49@c.us', 'text', NULL, now())`)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) do(method, path, contentType, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
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
	return res, string(answer)
}

func (b *bundle) upload(name, contentType, body string) (f File) {
	b.t.Helper()
	res, answer := b.do("POST", "/api/files?name="+name, contentType, body)
	if res.StatusCode != http.StatusCreated {
		b.t.Fatalf("upload: %d %s", res.StatusCode, answer)
	}
	if err := json.Unmarshal([]byte(answer), &f); err != nil {
		b.t.Fatal(err)
	}
	return f
}

func TestUploadAndParts(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	content := png + strings.Repeat("0123456789", 2*chunkBytes/10) + "end"
	f := b.upload("cake.png", "image/png", content)
	if f.MIMEType != "image/png" || f.Size != int64(len(content)) || f.Name != "cake.png" {
		t.Errorf("file %+v", f)
	}
	path := fmt.Sprint("/api/files/", f.ID)
	res, body := b.do("GET", path, "", "")
	if body != content || res.Header.Get("Content-Disposition") != "inline; filename=cake.png" || res.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "sandbox; default-src 'none'") {
		t.Errorf("%d bytes, %v", len(body), res.Header)
	}
	etag := res.Header.Get("ETag")
	for name, tc := range map[string]struct {
		header, value string
		want          int
		body          string
	}{
		"over two chunks": {"Range", fmt.Sprintf("bytes=%d-%d", chunkBytes-2, chunkBytes+2), 206, content[chunkBytes-2 : chunkBytes+3]},
		"the end":         {"Range", "bytes=-3", 206, "end"},
		"none":            {"Range", fmt.Sprintf("bytes=%d-", len(content)), 416, "invalid range: failed to overlap\n"},
		"unchanged":       {"If-None-Match", etag, 304, ""},
	} {
		res, body := b.do("GET", path, "", "", tc.header, tc.value)
		if res.StatusCode != tc.want || body != tc.body {
			t.Errorf("%s: %d, %d bytes", name, res.StatusCode, len(body))
		}
	}
	whole, err := b.store.Read(t.Context(), f.ID)
	if err != nil || string(whole.Data) != content || whole.MIMEType != "image/png" {
		t.Errorf("read: %v", err)
	}
}

// What a customer sends must run nothing where the app is.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	for name, content := range map[string]string{
		"html": "<html><script>alert(1)</script></html>",
		"svg":  `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`,
		"xml":  `<?xml version="1.0"?><a xmlns:html="http://www.w3.org/1999/xhtml"><html:script>alert(1)</html:script></a>`,
		"js":   "alert(1)",
	} {
		f := b.upload("x.png", "image/png", content)
		res, _ := b.do("GET", fmt.Sprint("/api/files/", f.ID), "", "")
		if !strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment") || strings.HasPrefix(res.Header.Get("Content-Type"), "image/png") {
			t.Errorf("%s: %v", name, res.Header)
		}
	}
	f := b.upload("..%2F..%2F%22%0d%0aX-Evil%3a%201%e2%80%aegpj.exe", "application/octet-stream", "\x01\x02")
	res, _ := b.do("GET", fmt.Sprint("/api/files/", f.ID), "", "")
	if res.Header.Get("X-Evil") != "" || strings.ContainsAny(f.Name, "/\\\r\n\u202e") {
		t.Errorf("name %q, %v", f.Name, res.Header)
	}
}

func TestMediaIsFetchedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	b.wa.wait = make(chan struct{})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			res, body := b.do("GET", "/api/messages/1/media", "", "")
			if res.StatusCode != 200 || body != png {
				t.Errorf("%d, %d bytes", res.StatusCode, len(body))
			}
		})
	}
	close(b.wa.wait)
	wg.Wait()
	first := b.wa.asked.Load()
	b.do("GET", "/api/messages/1/media", "", "")
	if first < 1 || b.wa.asked.Load() != first {
		t.Errorf("fetched %d times, then %d", first, b.wa.asked.Load())
	}
	var files int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM files`).Scan(&files); err != nil || files != int(first) {
		t.Errorf("%d files after %d fetches, %v", files, first, err)
	}
}

func TestMediaThatCannotBeHad(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	for err, want := range map[error]int{whatsapp.ErrNotReady: 503, whatsapp.ErrNotFound: 404, whatsapp.ErrRefused: 409, io.ErrUnexpectedEOF: 502} {
		b.wa.err = err
		if res, answer := b.do("GET", "/api/messages/1/media", "", ""); res.StatusCode != want {
			t.Errorf("%v: %d %s, want %d", err, res.StatusCode, answer, want)
		}
	}
	var files int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM files`).Scan(&files); err != nil || files != 0 {
		t.Errorf("%d files are left, %v", files, err)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	b := setup(t, 3*1000)
	var files []File
	for i := range 5 {
		f := b.upload("f", "application/octet-stream", "\x01\x02"+strings.Repeat(fmt.Sprint(i), 998))
		files = append(files, f)
		if i == 0 { // refers to it, so it stays
			if _, err := b.pool.Exec(t.Context(), `INSERT INTO quick_replies (shortcut, text, file_id) VALUES ('menu', 'x', $1)`, f.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What was just uploaded stays; an hour later the quota holds.
	if _, err := b.pool.Exec(t.Context(), `UPDATE files SET created_at = now() - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
	b.upload("f", "application/octet-stream", "\x01\x02")
	for i, want := range []int{200, 404, 404, 200, 200} {
		if res, _ := b.do("GET", fmt.Sprint("/api/files/", files[i].ID), "", ""); res.StatusCode != want {
			t.Errorf("file %d: %d, want %d", i, res.StatusCode, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	for name, tc := range map[string]struct {
		method, path, contentType, body string
		want                            int
	}{
		"empty":              {"POST", "/api/files", "image/png", "", 400},
		"no type":            {"POST", "/api/files", "", "x", 415},
		"a type that isn't":  {"POST", "/api/files", "picture;;", "x", 415},
		"a long name":        {"POST", "/api/files?name=" + strings.Repeat("a", 4*maxNameRunes+1), "image/png", "x", 400},
		"two names":          {"POST", "/api/files?name=a&name=b", "image/png", "x", 400},
		"unknown file":       {"GET", "/api/files/99", "", "", 404},
		"a path":             {"GET", "/api/files/..%2F1", "", "", 404},
		"a negative file":    {"GET", "/api/files/-1", "", "", 404},
		"unknown message":    {"GET", "/api/messages/99/media", "", "", 404},
		"message, no file":   {"GET", "/api/messages/2/media", "", "", 404},
		"message of letters": {"GET", "/api/messages/x/media", "", "", 404},
	} {
		if res, answer := b.do(tc.method, tc.path, tc.contentType, tc.body); res.StatusCode != tc.want {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, answer, tc.want)
		}
	}
	// Too large is told before it is sent, and when it turns out to be.
	big := io.MultiReader(strings.NewReader(png), io.LimitReader(zeros{}, maxBytes))
	_, err := b.store.Create(t.Context(), "big", "image/png", big)
	if err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("too large: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/files", bytes.NewReader(make([]byte, 10)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "image/png")
	req.ContentLength = maxBytes + 1
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("declared too large: %d", res.StatusCode)
		}
	}
	var files int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM files`).Scan(&files); err != nil || files != 0 {
		t.Errorf("%d files are left, %v", files, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
