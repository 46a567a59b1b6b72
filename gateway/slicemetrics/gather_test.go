package slicemetrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform"
)

var key = make([]byte, 32)

// world is the slices that there are, and where.
type world struct {
	mu    sync.Mutex
	addrs map[int][]string // guarded by mu; what is resolved, the next after each Invalidate
	all   []platform.Slice
	down  error
}

func (w *world) Resolve(_ context.Context, number int) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.addrs[number]) == 0 {
		return "", platform.Errorf(platform.ErrUnavailable, "starting")
	}
	return w.addrs[number][0], nil
}

func (w *world) Invalidate(number int, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.addrs[number]; len(known) > 1 && known[0] == addr {
		w.addrs[number] = known[1:]
	}
}

func (w *world) ListSlices(_ context.Context, state platform.SliceState, before, limit int) ([]platform.Slice, map[string]string, error) {
	var found []platform.Slice
	for _, sl := range slices.Backward(w.all) {
		if sl.State == state && (before == 0 || sl.Number < before) && len(found) < limit {
			found = append(found, sl)
		}
	}
	return found, nil, w.down
}

// add makes a slice with the next number that answers like this.
func (w *world) add(t *testing.T, state platform.SliceState, h http.HandlerFunc) string {
	t.Helper()
	number := len(w.all) + 1
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get(platform.HeaderSliceNumber) != strconv.Itoa(number):
			rw.WriteHeader(http.StatusMisdirectedRequest)
		case r.Header.Get(platform.HeaderSliceToken) != platform.SliceToken(key, number, 3) || r.URL.String() != "/metrics":
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			h(rw, r)
		}
	}))
	t.Cleanup(srv.Close)
	w.all = append(w.all, platform.Slice{Number: number, State: state, Generation: 3})
	w.addrs[number] = []string{srv.Listener.Addr().String()}
	return srv.Listener.Addr().String()
}

func newWorld() *world { return &world{addrs: make(map[int][]string)} }

func (w *world) gatherer() *Gatherer {
	return NewGatherer(w, NewClient(w, key), slog.New(slog.DiscardHandler))
}

func (w *world) gather(t *testing.T) string {
	t.Helper()
	text, err := w.gatherer().Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func good(memory int) http.HandlerFunc {
	return says(fmt.Sprintf(`# HELP go_gc_duration_seconds A summary.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 1
# HELP slice_memory_bytes Memory.
# TYPE slice_memory_bytes gauge
slice_memory_bytes %d
# HELP slice_whatsapp_state 1 for the state.
# TYPE slice_whatsapp_state gauge
slice_whatsapp_state{state="ready"} 1
slice_whatsapp_state{state="qr"} 0
`, memory))
}

func TestGather(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.add(t, platform.SliceWarm, good(100))
	w.add(t, platform.SliceAssigned, good(200))
	w.add(t, platform.SliceRetiring, good(300))
	w.add(t, platform.SliceWarm, good(400))
	w.addrs[4] = nil // has no address now
	want := `# HELP slice_memory_bytes Memory.
# TYPE slice_memory_bytes gauge
slice_memory_bytes{slice="1"} 100
slice_memory_bytes{slice="2"} 200
# HELP slice_up 1 if the slice told its metrics to the gateway that was asked, else 0.
# TYPE slice_up gauge
slice_up{slice="1"} 1
slice_up{slice="2"} 1
slice_up{slice="4"} 0
# HELP slice_whatsapp_state 1 for the state.
# TYPE slice_whatsapp_state gauge
slice_whatsapp_state{slice="1",state="qr"} 0
slice_whatsapp_state{slice="1",state="ready"} 1
slice_whatsapp_state{slice="2",state="qr"} 0
slice_whatsapp_state{slice="2",state="ready"} 1
`
	for range 3 {
		if got := w.gather(t); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if got := newWorld().gather(t); got != "" {
		t.Errorf("of no slices: %q", got)
	}
	w.down = platform.Errorf(platform.ErrUnavailable, "no database")
	if _, err := w.gatherer().Gather(t.Context()); platform.CodeOf(err) != platform.ErrUnavailable {
		t.Errorf("without a database: %v", err)
	}
}

// The slice moved; what has its old address is another one, or nothing.
func TestGatherLooksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	other := w.add(t, platform.SliceWarm, good(100))
	own := w.add(t, platform.SliceWarm, good(200))
	third := w.add(t, platform.SliceWarm, good(300))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	w.addrs[2] = []string{other, own}
	w.addrs[3] = []string{gone.Listener.Addr().String(), third}
	got := w.gather(t)
	for _, want := range []string{`slice_memory_bytes{slice="2"} 200`, `slice_memory_bytes{slice="3"} 300`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// What one slice says changes nothing of the others' and stays small.
func TestGatherFromHostileSlices(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(says("slice_memory_bytes 666\n"))
	t.Cleanup(elsewhere.Close)
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		up     int
		has    string // all that it may add, in the text's order, beside slice_up
	}{
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			for range 2 << 10 {
				if _, err := io.WriteString(w, strings.Repeat("go_x 666\n", 128)); err != nil {
					return
				}
			}
		}, 0, ""},
		"thousands of series": {says(func() string {
			var s strings.Builder
			for i := range 5000 {
				fmt.Fprintf(&s, "slice_memory_bytes{x=\"%d\"} 666\n", i)
			}
			return s.String()
		}()), 0, ""},
		"thousands of families": {says("slice_memory_bytes 666\n" + strings.Repeat("# TYPE slice_x gauge\n", 5000)), 0, ""},
		"a long line":           {says("slice_memory_bytes{x=\"" + strings.Repeat("y", 5000) + "\"} 666\n"), 0, ""},
		"another type":          {says("# TYPE slice_memory_bytes counter\nslice_memory_bytes 666\n"), 1, ""},
		"no type":               {says("slice_memory_bytes 666\n"), 1, ""},
		"a histogram":           {says("# TYPE slice_memory_bytes histogram\nslice_memory_bytes_bucket{le=\"1\"} 666\nslice_memory_bytes_sum 666\nslice_memory_bytes_count 666\n"), 1, ""},
		"one of its own":        {says("# TYPE slice_h histogram\nslice_h_bucket{le=\"1\",slice=\"2\"} 1\nslice_h_sum 5\nslice_h_count 2\n"), 1, `slice_h_bucket{slice="1",le="1"} 1`},
		"another's number":      {says("# TYPE slice_memory_bytes gauge\nslice_memory_bytes{slice=\"2\"} 7\nslice_memory_bytes{slice=\"3\"} 666\n"), 1, `slice_memory_bytes{slice="1"} 7`},
		"twice":                 {says("# TYPE slice_memory_bytes gauge\nslice_memory_bytes 7\nslice_memory_bytes{x=\"\"} 666\n"), 1, `slice_memory_bytes{slice="1"} 7`},
		"a time":                {says("# TYPE slice_memory_bytes gauge\nslice_memory_bytes 7 99999999999999\n"), 1, `slice_memory_bytes{slice="1"} 7` + "\n"},
		"that it is up":         {says("slice_up{slice=\"2\"} 666\nslice_up+666\n slice_up 666\n{\"slice_up\"} 666\n"), 0, ""},
		"another job's":         {says("up 666\ngateway_x 666\n# TYPE slice_memory_bytes gauge\nslice_memory_bytes 7\n"), 1, `slice_memory_bytes{slice="1"} 7`},
		"Prometheus' label":     {says("# TYPE slice_memory_bytes gauge\nslice_memory_bytes{__name__=\"up\"} 666\n"), 0, ""},
		"a name in quotes":      {says("# TYPE slice_memory_bytes gauge\nslice_memory_bytes{\"a b\"=\"c\"} 666\n"), 0, ""},
		"a label twice":         {says("slice_memory_bytes{a=\"b\",a=\"c\"} 666\n"), 0, ""},
		"no number":             {says("slice_memory_bytes 666x\n"), 0, ""},
		"half a line":           {says("slice_memory_bytes 66"), 0, ""},
		"a page":                {says("<html>slice_memory_bytes 666</html>"), 0, ""},
		"no UTF-8":              {says("# HELP slice_memory_bytes \xff\n# TYPE slice_memory_bytes gauge\nslice_memory_bytes{x=\"\xff\"} 666\n"), 0, ""},
		"help that is no UTF-8": {says("# HELP slice_z \xff\n# TYPE slice_z gauge\nslice_z 7\n"), 1, "# HELP slice_z \uFFFD"},
		"help of two lines":     {says("# HELP slice_z a\\nslice_y 666\n# TYPE slice_z gauge\nslice_z 7\n"), 1, `# HELP slice_z a\nslice_y `},
		"nothing":               {says(""), 0, ""},
		"401": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			io.WriteString(w, "slice_memory_bytes 666\n")
		}, 0, ""},
		"another place": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, 0, ""},
		"a shorter one": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			io.WriteString(w, "slice_memory_bytes 666\n")
		}, 0, ""},
		"a huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			io.WriteString(w, "slice_memory_bytes 666\n")
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.add(t, platform.SliceAssigned, tc.handle)
			w.add(t, platform.SliceAssigned, good(200))
			w.add(t, platform.SliceAssigned, good(300))
			got := w.gather(t)
			for _, want := range []string{
				"# TYPE slice_memory_bytes gauge\n", `slice_memory_bytes{slice="2"} 200`, `slice_memory_bytes{slice="3"} 300`,
				fmt.Sprintf(`slice_up{slice="1"} %d`, tc.up), `slice_up{slice="2"} 1`, tc.has,
			} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			if strings.Contains(strings.ReplaceAll(got, `a\nslice_y 666`, ""), "666") || len(got) > 4000 || strings.Count(got, "# TYPE slice_memory_bytes ") != 1 {
				t.Errorf("got %d bytes\n%.4000s", len(got), got)
			}
		})
	}
}

// transport answers in the place of the network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Slices that do not answer cost a bounded time, in which some others are
// asked; of those that were not there is nothing.
func TestGatherEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for n := range 2000 {
			w.all = append(w.all, platform.Slice{Number: n + 1, State: platform.SliceWarm})
			w.addrs[n+1] = []string{"192.0.2.1:1"}
		}
		g := w.gatherer()
		var under, most, asked atomic.Int32
		g.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer under.Add(-1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		text, err := g.Gather(t.Context())
		if took := time.Since(start); err != nil || took != gatherTimeout {
			t.Errorf("took %s: %v", took, err)
		}
		if up := strings.Count(string(text), "} 0\n"); up == 0 || up != int(asked.Load()) || up > 5*askAtOnce || most.Load() != askAtOnce {
			t.Errorf("%d asked, %d at once, %d told of", asked.Load(), most.Load(), up)
		}
	})
}

// One gathers at a time. Those who leave are waited for by nobody.
func TestGatherTakesTurns(t *testing.T) {
	t.Parallel()
	w := newWorld()
	entered := make(chan bool)
	w.add(t, platform.SliceWarm, func(rw http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
	})
	g := w.gatherer()
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := g.Gather(ctx); first <- err }()
	<-entered
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Gather(gone); !errors.Is(err, context.Canceled) || platform.CodeOf(err) != platform.ErrUnavailable {
		t.Errorf("who leaves while waiting gets %v", err)
	}
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves while the slices are asked gets %v", err)
	}
	w.mu.Lock()
	w.addrs[1] = nil
	w.mu.Unlock()
	if text, err := g.Gather(t.Context()); err != nil || !strings.Contains(string(text), `slice_up{slice="1"} 0`) {
		t.Errorf("the next one gets %s, %v", text, err)
	}
}

func TestGatherReadsAllPages(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for n := range 2*pageSize + 1 {
		w.all = append(w.all, platform.Slice{Number: n + 1, State: platform.SliceAssigned})
	}
	if got := strings.Count(w.gather(t), "slice_up{"); got != 2*pageSize+1 {
		t.Errorf("%d slices", got)
	}
}
