package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
	"ipnoelp.io/platform/gateway/proxy"
)

// testCluster is what a test says that runs.
type testCluster struct {
	mu        sync.Mutex
	instances map[int]cluster.Instance // guarded by mu
	nodes     []cluster.Node           // guarded by mu
	log       string                   // guarded by mu
	restarted []string                 // guarded by mu
	down      error                    // guarded by mu
	refusal   error                    // guarded by mu; of restarts
}

func (c *testCluster) Instances(context.Context) (map[int]cluster.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.instances, c.down
}

func (c *testCluster) Look(_ context.Context, instances []cluster.Instance) []cluster.Instance {
	return instances
}

func (c *testCluster) Instance(_ context.Context, number int) (cluster.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[number]
	if !ok && c.down == nil {
		return i, platform.Errorf(platform.ErrNotFound, "nothing")
	}
	return i, c.down
}

func (c *testCluster) Log(_ context.Context, _, stream string, last int64) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream == "stderr" {
		return nil, nil
	}
	return []byte(c.log[max(0, len(c.log)-int(last)):]), c.down
}

func (c *testCluster) Restart(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restarted = append(c.restarted, id)
	return cmp.Or(c.refusal, c.down)
}

func (c *testCluster) Nodes(context.Context) ([]cluster.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes, c.down
}

// oneSlice resolves to a slice that tells its metrics to the gateway alone.
type oneSlice struct{ addr string }

func (o oneSlice) Resolve(context.Context, int) (string, error) { return o.addr, nil }
func (oneSlice) Invalidate(int, string)                         {}

// withSlice is a gateway with a cluster in which slice 1 runs.
func withSlice(t *testing.T) (*testBundle, *testCluster) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(platform.HeaderSliceNumber) != "1" || r.Header.Get(platform.HeaderSliceToken) != platform.SliceToken(make([]byte, 32), 1, 1) {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "# HELP slice_whatsapp_state x\nslice_whatsapp_state{state=\"qr\"} 0\nslice_whatsapp_state{state=\"ready\"} 1\n")
	}))
	t.Cleanup(srv.Close)
	c := &testCluster{
		instances: map[int]cluster.Instance{1: {
			Slice: 1, ID: "alloc-1", Node: "n1", NodeID: "n1", Status: "running", Image: "slice:1", Restarts: 2, StartedAt: time.Unix(1000, 0).UTC(),
			Reserved: cluster.Reserved{CPU: 50, Memory: 256, MemoryMax: 1024}, Usage: &cluster.Usage{Memory: 240 << 20, CPU: 12.5},
			Events: []cluster.Event{{At: time.Unix(1000, 0).UTC(), Type: "Started", Message: "Task started by client"}},
		}},
		nodes: []cluster.Node{{ID: "n1", Name: "n1", Status: "ready", Eligible: true, CPU: 4000, Memory: 8 << 30, Available: 4 << 30}},
	}
	ui, _ := url.Parse("https://nomad.example.com")
	b := setupWith(t, oneSlice{srv.Listener.Addr().String()}, proxy.Limits{Requests: 64, Rate: 100, Burst: 400},
		func(o *Options) { o.Cluster, o.NomadUI = c, ui })
	b.store.addSlice(platform.SliceWarm)
	return b, c
}

func TestSlicesAreShownWithWhatRuns(t *testing.T) {
	b, c := withSlice(t)
	b.signUp(t, "ana@example.com")
	b.store.addSlice(platform.SliceFailed)
	cookie := b.admin(t)
	res, body := b.call(t, "GET", "/admin/slices/1", cookie, "", nil)
	for _, want := range []string{`"user_email":"ana@example.com"`, `"node":"n1"`, `"image":"slice:1"`, `"memory_bytes":251658240`, `"cpu_mhz":12.5`,
		`"whatsapp":"ready"`, `"nomad_url":"https://nomad.example.com/ui/jobs/slice-1@slices"`, `"type":"Started"`, `"restarts":2`, `"audit":[]`, `"last_activity_at":"20`} {
		if !strings.Contains(body, want) {
			t.Errorf("%d %s lacks %s", res.StatusCode, body, want)
		}
	}
	if _, body := b.call(t, "GET", "/admin/users?email=ana", cookie, "", nil); !strings.Contains(body, `"last_activity_at":"20`) {
		t.Errorf("users: %s", body)
	}
	if res, body := b.call(t, "GET", "/admin/slices", cookie, "", nil); res.StatusCode != 200 || strings.Count(body, `"instance":null`) != 1 ||
		strings.Count(body, `"last_activity_at":"20`) != 1 || strings.Count(body, `"last_activity_at":null`) != 1 ||
		strings.Count(body, `"whatsapp":"ready"`) != 1 || !strings.Contains(body, `"memory_bytes":251658240`) {
		t.Errorf("list: %d %s", res.StatusCode, body)
	}
	c.mu.Lock()
	c.down = platform.Errorf(platform.ErrUnavailable, "Nomad is down.")
	c.mu.Unlock()
	for _, path := range []string{"/admin/slices", "/admin/slices/1"} { // what is known is shown
		if res, body := b.call(t, "GET", path, cookie, "", nil); res.StatusCode != 200 || !strings.Contains(body, `"instance":null`) || !strings.Contains(body, "ana@example.com") {
			t.Errorf("%s without Nomad: %d %s", path, res.StatusCode, body)
		}
	}
	for _, call := range [][2]string{{"GET", "/admin/slices/1/log"}, {"POST", "/admin/slices/1/restart"}} {
		res, body := b.call(t, call[0], call[1], cookie, "", nil)
		wantProblem(t, res, body, 503)
	}
	for _, number := range []string{"99", "0", "-1", "x", "01", "99999999999"} {
		for _, call := range [][2]string{{"GET", ""}, {"GET", "/log"}, {"POST", "/restart"}} {
			res, body := b.call(t, call[0], "/admin/slices/"+number+call[1], cookie, "", nil)
			wantProblem(t, res, body, 404)
		}
	}
}

func TestSliceLogAndRestart(t *testing.T) {
	b, c := withSlice(t)
	cookie := b.admin(t)
	c.log = strings.Repeat("x", 300<<10) + "\none\ntwo \xff\n"
	for query, want := range map[string]string{"": `"stream":"stdout","lines":["one","two \ufffd"]`, "?lines=1": `"lines":["two`, "?stream=stderr": `"lines":[]`} {
		var got struct{ Lines []string }
		res, body := b.call(t, "GET", "/admin/slices/1/log"+query, cookie, "", nil)
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || !strings.Contains(strings.ReplaceAll(body, "\uFFFD", `\ufffd`), want) {
			t.Errorf("log%s: %d %.200s", query, res.StatusCode, body)
		}
	}
	for query, field := range map[string]string{"stream=both": "stream", "lines=0": "lines", "lines=1001": "lines", "follow=1": "follow"} {
		res, body := b.call(t, "GET", "/admin/slices/1/log?"+query, cookie, "", nil)
		wantProblem(t, res, body, 400, field)
	}
	if res, body := b.call(t, "POST", "/admin/slices/1/restart", cookie, "", nil); res.StatusCode != 202 || !strings.Contains(body, "alloc-1") {
		t.Errorf("restart: %d %s", res.StatusCode, body)
	}
	if len(c.restarted) != 1 || c.restarted[0] != "alloc-1" {
		t.Errorf("restarted %v", c.restarted)
	}
	if _, body := b.call(t, "GET", "/admin/audit?action=slice.restart&subject_id=1", cookie, "", nil); !strings.Contains(body, `"subject_type":"slice"`) {
		t.Errorf("audit %s", body)
	}
	b.store.addSlice(platform.SliceHeld)
	res, body := b.call(t, "POST", "/admin/slices/2/restart", cookie, "", nil)
	wantProblem(t, res, body, 409)

	// What was stopped by hand has an instance still.
	audited := func(action string) int {
		_, body := b.call(t, "GET", "/admin/audit?subject_type=slice&subject_id=1&action="+action, cookie, "", nil)
		return strings.Count(body, `"action":"`+action+`"`)
	}
	set := func(status string, refusal error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.instances[1]
		i.Status = status
		c.instances[1], c.refusal = i, refusal
	}
	set("complete", nil)
	res, body = b.call(t, "POST", "/admin/slices/1/restart", cookie, "", nil)
	wantProblem(t, res, body, 409)
	if res, body := b.call(t, "GET", "/admin/slices/1/log", cookie, "", nil); res.StatusCode != 200 {
		t.Errorf("its log: %d %s", res.StatusCode, body)
	}
	if n := audited("slice.restart"); n != 1 {
		t.Errorf("%d restarts on record, want 1", n)
	}
	set(cluster.Running, platform.Errorf(platform.ErrUnavailable, "Nomad refuses."))
	res, body = b.call(t, "POST", "/admin/slices/1/restart", cookie, "", nil)
	wantProblem(t, res, body, 503)
	if n, failed := audited("slice.restart"), audited("slice.restart_failed"); n != 2 || failed != 1 {
		t.Errorf("%d restarts on record and %d that failed, want 2 and 1", n, failed)
	}
}

func TestRetiredSlice(t *testing.T) {
	b, _ := withSlice(t)
	ana := b.signUp(t, "ana@example.com")
	cookie := b.admin(t)
	for _, in := range []string{`{}`, `{"confirm":"slice-2"}`, `{"confirm":1}`} {
		res, body := b.call(t, "POST", "/admin/slices/1/retire", cookie, in, nil)
		wantProblem(t, res, body, 400, "confirm")
	}
	res, body := b.call(t, "POST", "/admin/slices/1/retire", cookie, `{"confirm":"slice-1"}`, nil)
	if res.StatusCode != 200 || !strings.Contains(body, `"state":"retiring"`) || !strings.Contains(body, `"user_id":null`) {
		t.Fatalf("retire: %d %s", res.StatusCode, body)
	}
	b.sessions.Suspend() // the database's notification is not there to do it
	if _, body := b.call(t, "GET", "/auth/me", ana, "", nil); !strings.Contains(body, `"queued"`) {
		t.Errorf("its user: %s", body)
	}
	res, body = b.call(t, "POST", "/admin/slices/1/retire", cookie, `{"confirm":"slice-1"}`, nil)
	wantProblem(t, res, body, 409)
	res, body = b.call(t, "POST", "/admin/slices/9/retire", cookie, `{"confirm":"slice-9"}`, nil)
	wantProblem(t, res, body, 404)
}

func TestPoolNodesAndCapacity(t *testing.T) {
	b, c := withSlice(t)
	cookie := b.admin(t)
	get := func(path string) string {
		t.Helper()
		res, body := b.call(t, "GET", path, cookie, "", nil)
		if res.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
		return body
	}
	b.store.locked(func() {
		b.store.history = &platform.ClaimHistory{Claims: 3, Hits: 2, WaitP50: time.Second, WaitP95: 2 * time.Second, WaitMax: 3 * time.Second,
			Hours: []platform.ClaimHour{{At: time.Now().Truncate(time.Hour), Claims: 3, Hits: 2}}}
	})
	if got := get("/admin/pool"); !strings.Contains(got, `"target":2`) || !strings.Contains(got, `"total":3,"hits":2,"misses":1,"wait_p50_seconds":1,"wait_p95_seconds":2,"wait_max_seconds":3`) {
		t.Errorf("pool %s", got)
	}
	if got := get("/admin/nodes"); !strings.Contains(got, `"name":"n1"`) || !strings.Contains(got, `"slices":1,"reserved_memory_mib":256`) {
		t.Errorf("nodes %s", got)
	}
	for in, field := range map[string]string{`{"warm_target":0}`: "warm_target", `{"warm_target":"x"}`: "warm_target", `{"warm_target":1.5}`: "warm_target", `{"price":-1}`: "price", `{"node_cost":1e30}`: "node_cost",
		`{"currency":"eur"}`: "currency", `{"currency":"\u0000AB"}`: "currency", `{"pool":1}`: "pool",
		`{"deletion_grace_days":0}`: "deletion_grace_days", `{"deletion_grace_days":91}`: "deletion_grace_days", `{"deletion_grace_days":"14"}`: "deletion_grace_days", `{"sign_up_by_mail":"yes"}`: "sign_up_by_mail", `{"price":null}`: "price", `{"currency":null}`: "currency", `null`: "", ` null`: ""} {
		res, body := b.call(t, "PATCH", "/admin/settings", cookie, in, nil)
		wantProblem(t, res, body, 400, field)
	}
	if got := get("/admin/settings"); strings.TrimSpace(got) != `{"warm_target":null,"node_cost":0,"price":0,"currency":"EUR","deletion_grace_days":14,"sign_up_by_mail":null}` {
		t.Errorf("settings %s", got)
	}
	if res, body := b.call(t, "PATCH", "/admin/settings", cookie, `{"warm_target":7,"node_cost":4000,"price":1500}`, nil); res.StatusCode != 200 || !strings.Contains(body, `"warm_target":7`) {
		t.Errorf("settings: %d %s", res.StatusCode, body)
	}
	if got := get("/admin/pool"); !strings.Contains(got, `"target":7`) {
		t.Errorf("pool %s", got)
	}
	if got := get("/admin/capacity"); !strings.Contains(got, `"memory_median_bytes":251658240`) || !strings.Contains(got, `"break_even_users":3`) || !strings.Contains(got, `"maximum_slices":18`) {
		t.Errorf("capacity %s", got)
	}
	if res, body := b.call(t, "PATCH", "/admin/settings", cookie, `{"warm_target":null}`, nil); res.StatusCode != 200 || !strings.Contains(body, `"warm_target":null,"node_cost":4000`) {
		t.Errorf("settings: %d %s", res.StatusCode, body)
	}
	if got := get("/admin/audit?action=settings.change"); strings.Count(got, `"id"`) != 2 {
		t.Errorf("audit %s", got)
	}
	c.mu.Lock()
	c.down = platform.Errorf(platform.ErrUnavailable, "Nomad is down.")
	c.mu.Unlock()
	for _, path := range []string{"/admin/nodes", "/admin/capacity"} {
		res, body := b.call(t, "GET", path, cookie, "", nil)
		wantProblem(t, res, body, 503)
	}
}
