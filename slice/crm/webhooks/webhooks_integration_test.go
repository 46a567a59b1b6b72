//go:build integration

package webhooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
)

var doc = openapitest.Slice()

func TestMain(m *testing.M) { doc.Main(m, "/api/webhooks") }

// testBundle is a service on a real database, which may deliver to this machine.
type testBundle struct {
	*testing.T
	pool    *pgxpool.Pool
	bus     *event.Bus
	service *Service
	api     *httptest.Server
	client  *http.Client
	stop    func() // of the service; waits
	queries *atomic.Int64
}

type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type noClients struct{}

func (noClients) Publish(string, any) {}

func anyAddress(netip.Addr) bool { return true }

func setup(t *testing.T) *testBundle {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 4
	count := &counter{}
	cfg.ConnConfig.Tracer = count
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	b := &testBundle{T: t, pool: pool, client: doc.Client(t, nil), queries: &count.n, stop: func() {}}
	b.start(anyAddress)
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs a new service, as after a restart.
func (b *testBundle) start(permit func(netip.Addr) bool) {
	b.Helper()
	b.stop()
	b.bus = event.NewBus(b.pool, noClients{})
	b.service = newService(b.pool, b.bus, slog.New(slog.DiscardHandler), permit)
	mux := http.NewServeMux()
	b.service.Register(mux)
	api := httptest.NewServer(mux)
	b.api = api
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.service.Run(ctx); close(done) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-done; api.Close() })
}

func (b *testBundle) do(method, path, body string, want int) map[string]any {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, b.api.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		b.Fatalf("%s %s %.200s: %d %s, want %d", method, path, body, res.StatusCode, text, want)
	}
	var v map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

func (b *testBundle) create(url string, events ...string) (id, secret string) {
	b.Helper()
	body, _ := json.Marshal(map[string]any{"url": url, "events": events})
	v := b.do("POST", "/api/webhooks", string(body), 201)
	return v["id"].(string), v["secret"].(string)
}

func (b *testBundle) emit(name string, payload any) {
	b.Helper()
	if err := b.bus.Transact(b.Context(), func(tx *event.Tx) error { tx.Emit(name, payload); return nil }); err != nil {
		b.Fatal(err)
	}
}

// hurry makes all that is pending due, since nobody waits for back-offs here.
func (b *testBundle) hurry(id string) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), `UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'`); err != nil {
		b.Fatal(err)
	}
	n, _ := strconv.ParseInt(id, 10, 64)
	b.service.hurry(n)
}

func (b *testBundle) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatal(err)
	}
}

// eventually waits until f returns "".
func (b *testBundle) eventually(f func() string) {
	b.Helper()
	var last string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if last = f(); last == "" {
			return
		}
	}
	b.Fatal(last)
}

// delivery waits for a state of the latest delivery.
func (b *testBundle) delivery(id, status string, attempts int) map[string]any {
	b.Helper()
	var d map[string]any
	b.eventually(func() string {
		list := b.do("GET", "/api/webhooks/"+id+"/deliveries?limit=1", "", 200)["deliveries"].([]any)
		if len(list) == 0 {
			return "no delivery"
		}
		d = list[0].(map[string]any)
		if d["status"] != status || d["attempts"] != float64(attempts) {
			return fmt.Sprintf("%v, want %s after %d attempts", d, status, attempts)
		}
		return ""
	})
	return d
}

// got is a request that a receiver took in.
type got struct {
	header http.Header
	body   []byte
}

// receiver answers requests as they come with answer.
func receiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (url string, requests chan got) {
	t.Helper()
	requests = make(chan got, 1000)
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- got{r.Header.Clone(), body}
		answer(int(n.Add(1)), w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, requests
}

func take(t *testing.T, requests chan got) got {
	t.Helper()
	select {
	case g := <-requests:
		return g
	case <-time.After(15 * time.Second):
		t.Fatal("no request arrives")
		return got{}
	}
}

// verify computes the signature as the document describes it.
func verify(t *testing.T, secret string, g got) {
	t.Helper()
	var at, v1 string
	for _, part := range strings.Split(g.header.Get("X-Webhook-Signature"), ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "t":
			at = value
		case "v1":
			v1 = value
		}
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", at, g.body)
	if fmt.Sprintf("%x", mac.Sum(nil)) != v1 || at == "" {
		t.Errorf("signature %q is wrong", g.header.Get("X-Webhook-Signature"))
	}
	if sec, _ := strconv.ParseInt(at, 10, 64); time.Since(time.Unix(sec, 0)).Abs() > time.Hour {
		t.Errorf("signature of %s", at)
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, requests := receiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	id, secret := b.create(url+"/hook?a=b", "deal:created")
	b.emit("message:new", map[string]string{"not": "wanted"})
	b.emit("deal:created", map[string]string{"title": "<script>\x00\"'; DROP TABLE webhooks;--"})
	first := take(t, requests)
	verify(t, secret, first)
	d := b.delivery(id, "pending", 1)
	if d["response_status"] != 500.0 || d["failure"] != "It answered 500." || d["next_attempt_at"] == nil {
		t.Errorf("after a failure: %v", d)
	}
	b.hurry(id)
	second := take(t, requests)
	b.delivery(id, "pending", 2)
	b.hurry(id)
	third := take(t, requests)
	d = b.delivery(id, "delivered", 3)
	if d["response_status"] != 200.0 || d["failure"] != "" || d["delivered_at"] == nil {
		t.Errorf("delivered: %v", d)
	}
	var body struct {
		ID        string
		Event     string
		CreatedAt time.Time `json:"created_at"`
		Data      map[string]string
	}
	if err := json.Unmarshal(first.body, &body); err != nil || body.ID != d["id"] || body.Event != "deal:created" ||
		body.CreatedAt.IsZero() || body.Data["title"] != "<script>\x00\"'; DROP TABLE webhooks;--" {
		t.Errorf("body %s (%v)", first.body, err)
	}
	for i, g := range []got{first, second, third} {
		verify(t, secret, g)
		if !bytes.Equal(g.body, first.body) || g.header.Get("X-Webhook-Id") != d["id"] ||
			g.header.Get("X-Webhook-Event") != "deal:created" || g.header.Get("X-Webhook-Attempt") != strconv.Itoa(i+1) {
			t.Errorf("attempt %d: %v %s", i+1, g.header, g.body)
		}
	}
	one := b.do("GET", "/api/webhooks/"+id+"/deliveries/"+d["id"].(string), "", 200)
	if one["data"].(map[string]any)["title"] == nil {
		t.Errorf("one delivery: %v", one)
	}

	// A new secret signs what is sent again.
	secret = b.do("POST", "/api/webhooks/"+id+"/rotate-secret", "", 200)["secret"].(string)
	b.do("POST", "/api/webhooks/"+id+"/deliveries/"+d["id"].(string)+"/redeliver", "", 202)
	again := take(t, requests)
	verify(t, secret, again)
	if !bytes.Equal(again.body, first.body) {
		t.Errorf("sent again: %s, first %s", again.body, first.body)
	}
	b.delivery(id, "delivered", 1)
	b.do("POST", "/api/webhooks/"+id+"/test", "", 202)
	if g := take(t, requests); g.header.Get("X-Webhook-Event") != "webhook:test" {
		t.Errorf("test: %v", g.header)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var inFlight, most atomic.Int64
	url, requests := receiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if now := inFlight.Add(1); now > most.Load() {
			most.Store(now)
		}
		defer inFlight.Add(-1)
		if n == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	id, _ := b.create(url, "*")
	const count = 20
	for i := range count {
		b.emit("task:created", i+1)
	}
	var order []string
	for range count {
		order = append(order, dataOf(t, take(t, requests)))
	}
	want := "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	b.hurry(id)
	if got := dataOf(t, take(t, requests)); got != "3" {
		t.Errorf("sent again: %s, want 3", got)
	}
	if most.Load() != 1 {
		t.Errorf("%d requests at a time", most.Load())
	}
}

func dataOf(t *testing.T, g got) string {
	t.Helper()
	var body struct{ Data json.RawMessage }
	if err := json.Unmarshal(g.body, &body); err != nil {
		t.Fatal(err)
	}
	return string(body.Data)
}

// What a receiver does to us is bounded.
func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var endless atomic.Int64
	reached, inside := receiver(t, func(int, http.ResponseWriter, *http.Request) {})
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		status string
		want   string
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, reached, http.StatusTemporaryRedirect)
		},
			"pending", "It answered 307; redirects are not followed."},
		"endless answer": {func(w http.ResponseWriter, r *http.Request) {
			chunk := bytes.Repeat([]byte("x"), 1<<16)
			for r.Context().Err() == nil {
				n, err := w.Write(chunk)
				if err != nil {
					return
				}
				endless.Add(int64(n))
			}
		}, "delivered", ""},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
			"pending", "The connection failed."},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		}, "pending", "The connection failed."},
	} {
		url, requests := receiver(t, func(_ int, w http.ResponseWriter, r *http.Request) { tc.answer(w, r) })
		id, _ := b.create(url, "webhook:test")
		b.do("POST", "/api/webhooks/"+id+"/test", "", 202)
		take(t, requests)
		if d := b.delivery(id, tc.status, 1); d["failure"] != tc.want {
			t.Errorf("%s: %v, want %q", name, d["failure"], tc.want)
		}
	}
	if n := endless.Load(); n > 64<<20 {
		t.Errorf("%d bytes of an answer were taken", n)
	}
	if len(inside) > 0 {
		t.Error("the redirect was followed")
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.service.client.Timeout = 100 * time.Millisecond // of ten seconds, for the test
	release := make(chan struct{})
	url, requests := receiver(t, func(int, http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	id, _ := b.create(url, "*")
	b.emit("deal:created", 1)
	take(t, requests)
	if d := b.delivery(id, "pending", 1); d["failure"] != "It did not answer within 10s." || d["response_status"] != nil {
		t.Errorf("%v", d)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, requests := receiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	id, _ := b.create(url, "deal:created")
	b.emit("deal:created", 1)
	take(t, requests)
	d := b.delivery(id, "failed", 1)
	hook := b.do("GET", "/api/webhooks/"+id, "", 200)
	if hook["active"] != false || hook["disabled_reason"] == "" {
		t.Errorf("webhook %v", hook)
	}
	b.do("POST", "/api/webhooks/"+id+"/test", "", 409)
	b.do("POST", "/api/webhooks/"+id+"/deliveries/"+d["id"].(string)+"/redeliver", "", 409)
	b.emit("deal:created", 2)
	b.delivery(id, "failed", 1) // nothing new
	hook = b.do("PATCH", "/api/webhooks/"+id, `{"active":true}`, 200)
	if hook["active"] != true || hook["disabled_reason"] != "" {
		t.Errorf("active again: %v", hook)
	}
}

// A receiver that has failed for a day is given up.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, requests := receiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	id, _ := b.create(url, "deal:created")
	b.stop()
	b.emit("deal:created", 1)
	if _, err := b.pool.Exec(t.Context(), `UPDATE webhook_deliveries SET retry_until = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	b.start(anyAddress)
	take(t, requests) // late, but tried
	b.delivery(id, "failed", 1)
}

// A name may resolve to another address than when it was checked.
func TestPrivateAddressIsNotDialled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, requests := receiver(t, func(int, http.ResponseWriter, *http.Request) {})
	id, _ := b.create(url, "*")
	b.start(isPublic)
	b.do("POST", "/api/webhooks/"+id+"/test", "", 202)
	if d := b.delivery(id, "pending", 1); !strings.Contains(d["failure"].(string), "private") {
		t.Errorf("stored URL: %v", d["failure"])
	}
	// Past the check of the URL, the dialler refuses.
	b.service.permit = anyAddress
	r := b.service.attempt(t.Context(), &due{id: 1, url: url, payload: json.RawMessage("1")})
	if r.failure != "Its address is not a public one." {
		t.Errorf("dialled: %+v", r)
	}
	if len(requests) > 0 {
		t.Error("a request arrived")
	}
}

// A process that dies between attempts, or in one, loses nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hang := make(chan struct{})
	url, requests := receiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 { // answers never
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	defer close(hang)
	id, _ := b.create(url, "*")
	b.emit("deal:created", 1)
	b.emit("deal:created", 2)
	first := take(t, requests)
	b.start(anyAddress) // while the first is on its way
	again, second := take(t, requests), take(t, requests)
	if again.header.Get("X-Webhook-Id") != first.header.Get("X-Webhook-Id") || !bytes.Equal(again.body, first.body) {
		t.Errorf("first %s %s, then %s %s", first.header, first.body, again.header, again.body)
	}
	if dataOf(t, second) != "2" {
		t.Errorf("then %s", second.body)
	}
	b.delivery(id, "delivered", 1)
}

func TestNoWebhooksNoQueries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.create("https://example.com/", "deal:created")
	b.do("DELETE", "/api/webhooks/"+id, "", 204)
	empty := func() int64 { // queries of an empty transaction
		before := b.queries.Load()
		b.emit("message:new", 1)
		return b.queries.Load() - before
	}
	b.eventually(func() string { // what Run began is done
		before := b.queries.Load()
		time.Sleep(100 * time.Millisecond)
		if b.queries.Load() != before {
			return "it still asks"
		}
		return ""
	})
	before := b.queries.Load()
	for range 5 {
		if n := empty(); n > 2 { // BEGIN, COMMIT
			t.Errorf("%d queries for an event that nobody wants", n)
		}
	}
	if n := b.queries.Load() - before; n > 10 {
		t.Errorf("%d queries", n)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.create("https://example.com/", "deal:created")
	b.stop()
	if _, err := b.pool.Exec(t.Context(), `
		INSERT INTO webhook_deliveries (webhook_id, event, payload, status, created_at)
		SELECT $1::bigint, 'deal:created', '1', CASE WHEN n % 2 = 0 THEN 'delivered' ELSE 'failed' END, now() - (n = 1500)::int * interval '40 days'
		FROM generate_series(1, 1500) n`, id); err != nil {
		t.Fatal(err)
	}
	next, err := b.service.prune(t.Context(), time.Now())
	if err != nil || time.Until(next) < time.Hour-time.Minute {
		t.Errorf("next %v, %v", next, err)
	}
	var count int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_deliveries`).Scan(&count); err != nil || count != keepCount {
		t.Errorf("%d are kept (%v)", count, err)
	}
	// A receiver that is away does not fill the database.
	b.exec(`INSERT INTO webhook_deliveries (webhook_id, event, payload) SELECT $1::bigint, 'deal:created', '1' FROM generate_series(1, $2::int)`, id, maxPending+50)
	if _, err := b.service.prune(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'`).Scan(&count); err != nil || count != maxPending {
		t.Errorf("%d are pending (%v)", count, err)
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if list := b.do("GET", "/api/webhooks", "", 200)["webhooks"].([]any); len(list) != 0 {
		t.Errorf("at first: %v", list)
	}
	id, secret := b.create("https://example.com/a", "deal:created", "chat:updated", "deal:created")
	if len(secret) < 40 {
		t.Errorf("secret %q", secret)
	}
	hook := b.do("PATCH", "/api/webhooks/"+id, `{"url":"https://example.com/b"}`, 200)
	if hook["url"] != "https://example.com/b" || len(hook["events"].([]any)) != 2 || hook["secret"] != nil {
		t.Errorf("changed: %v", hook)
	}
	b.do("PATCH", "/api/webhooks/"+id, `{"active":false}`, 200)
	b.do("PATCH", "/api/webhooks/"+id, `{}`, 200)
	for i := 1; i < maxWebhooks; i++ {
		b.create("https://example.com/a", "*")
	}
	b.do("POST", "/api/webhooks", `{"url":"https://example.com","events":["*"]}`, 409)

	if _, err := b.pool.Exec(t.Context(), `
		INSERT INTO webhook_deliveries (webhook_id, event, payload, status)
		SELECT $1::bigint, 'deal:created', 'null', CASE WHEN n = 3 THEN 'failed' ELSE 'delivered' END FROM generate_series(1, 5) n`, id); err != nil {
		t.Fatal(err)
	}
	var all []string
	path := "/api/webhooks/" + id + "/deliveries?limit=2"
	for cursor := ""; ; {
		page := b.do("GET", path+cursor, "", 200)
		for _, d := range page["deliveries"].([]any) {
			all = append(all, d.(map[string]any)["id"].(string))
		}
		if page["next_cursor"] == nil {
			break
		}
		cursor = "&cursor=" + page["next_cursor"].(string)
	}
	if got := strings.Join(all, " "); got != "5 4 3 2 1" {
		t.Errorf("pages: %s", got)
	}
	if l := b.do("GET", "/api/webhooks/"+id+"/deliveries?status=failed", "", 200)["deliveries"].([]any); len(l) != 1 {
		t.Errorf("failed: %v", l)
	}
	b.do("DELETE", "/api/webhooks/"+id, "", 204)
	b.do("GET", "/api/webhooks/"+id, "", 404)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(isPublic)
	id, _ := b.create("https://example.com/a", "deal:created")
	hook, delivery := "/api/webhooks/"+id, "/api/webhooks/"+id+"/deliveries/1"
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/webhooks", ``, 415},
		{"POST", "/api/webhooks", ` `, 400},
		{"POST", "/api/webhooks", `[]`, 400},
		{"POST", "/api/webhooks", `{`, 400},
		{"POST", "/api/webhooks", `{}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com"}`, 400},
		{"POST", "/api/webhooks", `{"events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":1,"events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":null,"events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":null}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":[]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":"*"}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":[1]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":["x:y"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":["\u0000"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":["*"],"secret":"mine"}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":["*"],"active":"yes"}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com","events":["*"],"active":null}`, 400},
		{"POST", "/api/webhooks", `{"url":"http://127.0.0.1:5432","events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"http://[::ffff:169.254.169.254]/","events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"https://example.com/` + strings.Repeat("a", 2048) + `","events":["*"]}`, 400},
		{"POST", "/api/webhooks", `{"url":"` + strings.Repeat("a", 100_000) + `","events":["*"]}`, 413},
		{"GET", "/api/webhooks/0", ``, 404},
		{"GET", "/api/webhooks/99", ``, 404},
		{"GET", "/api/webhooks/1%27%20OR%201=1", ``, 404},
		{"GET", "/api/webhooks/99999999999999999999", ``, 404},
		{"PATCH", "/api/webhooks/99", `{"active":true}`, 404},
		{"PATCH", hook, `{"url":"http://localhost/"}`, 400},
		{"PATCH", hook, `{"url":null}`, 400},
		{"PATCH", hook, `{"events":[]}`, 400},
		{"PATCH", hook, `{"active":null}`, 400},
		{"PATCH", hook, `{"x":1}`, 400},
		{"DELETE", "/api/webhooks/99", ``, 404},
		{"POST", "/api/webhooks/99/rotate-secret", ``, 404},
		{"POST", "/api/webhooks/x/rotate-secret", ``, 404},
		{"POST", "/api/webhooks/99/test", ``, 404},
		{"GET", "/api/webhooks/99/deliveries", ``, 404},
		{"GET", hook + "/deliveries?status=x", ``, 400},
		{"GET", hook + "/deliveries?status=", ``, 400},
		{"GET", hook + "/deliveries?limit=0", ``, 400},
		{"GET", hook + "/deliveries?cursor=x", ``, 400},
		{"GET", hook + "/deliveries?cursor=eyJ0IjoxLCJpIjoieCJ9", ``, 400}, // {"t":1,"i":"x"}
		{"GET", delivery, ``, 404},
		{"GET", hook + "/deliveries/x", ``, 404},
		{"POST", delivery + "/redeliver", ``, 404},
	} {
		v := b.do(tc.method, tc.path, tc.body, tc.status)
		if v["detail"] == "" || v["type"] == "" {
			t.Errorf("%s %s %s: %v", tc.method, tc.path, tc.body, v)
		}
	}
	if hooks := b.do("GET", "/api/webhooks", "", 200)["webhooks"].([]any); len(hooks) != 1 || hooks[0].(map[string]any)["url"] != "https://example.com/a" {
		t.Errorf("afterwards: %v", hooks)
	}
}
