package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/upstream"
)

func TestEachUserReachesOnlyTheirSlice(t *testing.T) {
	seven, nine := newFakeSlice(t, 7, nil), newFakeSlice(t, 9, nil)
	b := setup(t, seven, nine)
	tricks := []http.Header{
		{},
		{"X-Slice-Number": {"9"}, "X-Slice-Token": {platform.SliceToken(testKey, 9, 1)}, "X-User-Id": {"ben"}, "X-User-Email": {"ben@example.com"}},
		{"x-slice-number": {"9"}, "X_Slice_Number": {"9"}, "X_user_id": {"ben"}},
		{"Connection": {"X-Slice-Number, X-Slice-Token, X-User-Id, X-User-Email, X-Request-Id"}},
		{"X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-User": {"ben"}},
		{"X-Request-Id": {"made-up"}, "X-User-Role": {"admin"}},
	}
	for i, h := range tricks {
		res, body := b.do(t, "ana", "GET", "/api/chats?slice=9", nil, h)
		if res.StatusCode != 200 || body != "secret of slice 7" {
			t.Fatalf("trick %d: %d %q", i, res.StatusCode, body)
		}
		r, _ := seven.last(t)
		want := map[string]string{
			"X-Slice-Number": "7", "X-User-Id": "ana", "X-User-Email": "ana@example.com", "X-Request-Id": "request-1",
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com",
			"X-Real-Ip": "", "Forwarded": "", "X-User-Role": "", "X-Forwarded-User": "",
			"Cookie": "theme=dark; lang=en",
		}
		for name, v := range want {
			if got := strings.Join(r.Header.Values(name), ","); got != v {
				t.Errorf("trick %d: %s is %q, want %q", i, name, got, v)
			}
		}
		for name := range r.Header {
			if strings.Contains(name, "_") {
				t.Errorf("trick %d: %s went through", i, name)
			}
		}
		if r.Host != "app.example.com" {
			t.Errorf("trick %d: Host is %q", i, r.Host)
		}
	}
	if served, strays := nine.counts(); served != 0 || strays != 0 {
		t.Errorf("slice 9 got %d requests and %d strays", served, strays)
	}
	for _, user := range []string{"", "nobody"} {
		res, body := b.do(t, user, "GET", "/api/chats", nil, nil)
		wantProblem(t, res, body, 401)
	}
}

// Slice 7's old address now belongs to slice 9.
func TestReusedPort(t *testing.T) {
	for _, c := range []struct {
		name, method, body string
		chunked            bool
		status             int
	}{
		{"no body", "GET", "", false, 200},
		{"small body", "POST", `{"text":"hi"}`, false, 200},
		{"streamed body", "POST", strings.Repeat("x", 300<<10), true, 502}, // sent once, not again
	} {
		t.Run(c.name, func(t *testing.T) {
			seven, nine := newFakeSlice(t, 7, nil), newFakeSlice(t, 9, nil)
			b := setup(t, seven, nine)
			b.resolver.table[7] = nine.addr()
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			if c.chunked {
				body = io.MultiReader(body) // of unknown length
			}
			res, got := b.do(t, "ana", c.method, "/api/chats", body, nil)
			if res.StatusCode != c.status || strings.Contains(got, "slice 9") {
				t.Fatalf("answer %d %q, want %d", res.StatusCode, got, c.status)
			}
			if served, strays := nine.counts(); served != 0 || strays != 1 {
				t.Errorf("slice 9 read %d requests and refused %d, want 0 and 1", served, strays)
			}
			if c.status == 200 {
				if _, sent := seven.last(t); sent != c.body {
					t.Errorf("slice 7 got %q", sent)
				}
				return
			}
			wantProblem(t, res, got, c.status)
			// The wrong address is forgotten all the same.
			if res, got := b.do(t, "ana", "GET", "/api/chats", nil, nil); res.StatusCode != 200 || got != "secret of slice 7" {
				t.Errorf("next request: %d %q", res.StatusCode, got)
			}
		})
	}
}

func TestDialErrorResolvesAgain(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	b.resolver.table[7] = dead.Addr().String()
	big := strings.Repeat("x", 300<<10)
	res, _ := b.do(t, "ana", "POST", "/api/chats", io.MultiReader(strings.NewReader(big)), nil)
	if _, sent := seven.last(t); res.StatusCode != 200 || sent != big {
		t.Fatalf("answer %d, slice got %d bytes", res.StatusCode, len(sent))
	}
	// Nobody at the only address there is.
	b.resolver.truth[9] = dead.Addr().String()
	res, body := b.do(t, "ben", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 502)
	// Nowhere at all.
	delete(b.resolver.truth, 9)
	b.resolver.Invalidate(9, dead.Addr().String())
	res, body = b.do(t, "ben", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// A slice that fails may have moved: the next request looks where it is.
func TestFailedAnswerResolvesAgain(t *testing.T) {
	before := newFakeSlice(t, 7, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	after := newFakeSlice(t, 7, nil)
	b := setup(t, after)
	b.resolver.table[7] = before.addr()
	res, body := b.do(t, "ana", "POST", "/api/chats", strings.NewReader("x"), nil)
	wantProblem(t, res, body, 502)
	if served, _ := after.counts(); served != 0 {
		t.Error("what the slice may have done was repeated")
	}
	if res, body := b.do(t, "ana", "POST", "/api/chats", strings.NewReader("x"), nil); res.StatusCode != 200 {
		t.Errorf("then answered %d %s", res.StatusCode, body)
	}
}

func TestSliceRefusesTheToken(t *testing.T) {
	b := setup(t, newFakeSlice(t, 7, nil))
	b.auth.users["ana"].SliceToken = platform.SliceToken(testKey, 7, 2)
	res, body := b.do(t, "ana", "GET", "/api/chats", nil, nil)
	wantProblem(t, res, body, 503) // not 401: the client's own session is fine
	if len(b.auth.invalidated) != 1 || b.auth.invalidated[0] != "ana" {
		t.Errorf("invalidated %v", b.auth.invalidated)
	}
}

func TestStatesWithoutASlice(t *testing.T) {
	b := setup(t)
	b.auth.users["queued"] = identity("queued", 0, "")
	for _, st := range []platform.SliceState{platform.SliceHeld, platform.SliceSuspended, platform.SliceRetiring} {
		b.auth.users[string(st)] = identity(string(st), 3, st)
	}
	admin := identity("admin", 0, "")
	admin.User.Role = platform.RoleAdmin
	b.auth.users["admin"] = admin
	for user, status := range map[string]int{"queued": 503, "held": 503, "suspended": 503, "retiring": 503, "admin": 403} {
		res, body := b.do(t, user, "GET", "/api/chats", nil, nil)
		wantProblem(t, res, body, status)
		if status != 503 {
			continue
		}
		if res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", user)
		}
		res, body = b.do(t, user, "GET", "/api/chats", nil, http.Header{"Accept": {"text/html,*/*"}})
		if res.StatusCode != 503 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "<h1>") {
			t.Errorf("%s: no page: %d %s", user, res.StatusCode, body)
		}
	}
	if b.resolver.asked != 0 {
		t.Error("a slice was looked up")
	}
}

func TestAnswersOfASlice(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "crm=1; Path=/")
		h.Add("Set-Cookie", auth.CookieName+"=stolen; Path=/; Secure")
		h.Add("Set-Cookie", "  __host-session =stolen; Path=/; Secure")
		h.Add("Set-Cookie", "=__Host-session=stolen; Path=/; Secure")
		h.Set("X-Request-Id", "the slice's")
		h.Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.URL.RawQuery)
		h.Set("X-Sum", "42")
	})
	b := setup(t, seven)
	const query = "a=1;b=2&c=%zz&d"
	res, body := b.do(t, "ana", "GET", "/api/a%2Fb/../c?"+query, nil, nil)
	if res.StatusCode != http.StatusTeapot || body != query {
		t.Errorf("answer %d %q", res.StatusCode, body)
	}
	if got := res.Header.Values("Set-Cookie"); len(got) != 1 || got[0] != "crm=1; Path=/" {
		t.Errorf("Set-Cookie %q", got)
	}
	if got := res.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != "request-1" {
		t.Errorf("X-Request-Id %q", got)
	}
	if res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("trailer %v", res.Trailer)
	}
	if r, _ := seven.last(t); r.URL.EscapedPath() != "/api/a%2Fb/../c" {
		t.Errorf("path %q", r.URL.EscapedPath())
	}
}

func TestRefusedRequests(t *testing.T) {
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	cases := []struct {
		name, method string
		header       http.Header
		body         io.Reader
		status       int
	}{
		{"another site", "POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, nil, 403},
		{"another site, old browser", "DELETE", http.Header{"Origin": {"https://evil.example"}}, nil, 403},
		{"sibling site", "POST", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://x.example.com"}}, nil, 403},
		{"trace", "TRACE", nil, nil, 405},
		{"too large, announced", "POST", nil, bytes.NewReader(make([]byte, maxBody+1)), 413},
		{"too large, streamed", "POST", nil, io.MultiReader(bytes.NewReader(make([]byte, maxBody+1))), 413},
		{"websocket from another site", "GET", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://evil.example"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x3JJHMbDL1EzLkh9GBhXDw=="},
		}, nil, 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, body := b.do(t, "ana", c.method, "/api/chats", c.body, c.header)
			wantProblem(t, res, body, c.status)
		})
	}
	own := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://app.example.com"}}
	if res, _ := b.do(t, "ana", "POST", "/api/chats", nil, own); res.StatusCode != 200 {
		t.Errorf("the app's own request: %d", res.StatusCode)
	}
}

// Only WebSocket is switched to; another protocol is not offered to the slice.
func TestOtherUpgradesAreNotRelayed(t *testing.T) {
	seven := newFakeSlice(t, 7, nil)
	b := setup(t, seven)
	b.do(t, "ana", "GET", "/api/chats", nil, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAoAAAAAIAAAAA"}})
	if r, _ := seven.last(t); r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
		t.Errorf("headers %v", r.Header)
	}
}

func TestTruncatedAnswerStaysTruncated(t *testing.T) {
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	b := setup(t, seven)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/x", nil)
	req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half an answer ended as a whole one")
	}
}

// Either transport: the larger body is not for the quick one.
func TestSliceThatDoesNotAnswerInTime(t *testing.T) {
	for _, size := range []int{10, 2 * replayBytes} {
		done := make(chan struct{})
		seven := newFakeSlice(t, 7, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-done
		})
		b := setup(t, seven)
		b.proxy.slices.transports = newTransports(50 * time.Millisecond)
		res, body := b.do(t, "ana", "POST", "/api/x", bytes.NewReader(make([]byte, size)), nil)
		wantProblem(t, res, body, 504)
		if strings.Contains(body, "127.0.0.1") {
			t.Errorf("the answer tells an address: %s", body)
		}
		close(done)
	}
}

// Half an answer and then nothing: the client's connection breaks off, whatever
// transport carried the request.
func TestSliceThatStopsHalfWay(t *testing.T) {
	half := make([]byte, 1<<20) // more than is held back on the way
	for _, size := range []int{10, 2 * replayBytes} {
		done := make(chan struct{})
		seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
			w.Write(half)
			http.NewResponseController(w).Flush()
			<-done
		})
		b := setup(t, seven)
		tr := newTransports(10 * time.Second)
		tr.quick = upstream.New(upstream.Options{DialTimeout: dialTimeout, HeaderTimeout: 10 * time.Second, BodyTimeout: 100 * time.Millisecond,
			IdlePerServer: 1, IdleTotal: 1, MaxHeaderBytes: maxHeaderBytes, MaxBody: replayBytes})
		tr.piece = 100 * time.Millisecond
		b.proxy.slices.transports = tr
		req, _ := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/x", bytes.NewReader(make([]byte, size)))
		req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			var n int64
			if n, err = io.Copy(io.Discard, res.Body); n == 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes sent: %d came, %v", size, n, err)
			}
			res.Body.Close()
		} else {
			t.Errorf("%d bytes sent: %v", size, err)
		}
		close(done)
	}
}

func TestClientThatLeaves(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	seven := newFakeSlice(t, 7, func(w http.ResponseWriter, r *http.Request) { close(entered); <-leave })
	defer close(leave)
	b := setup(t, seven)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", b.url+"/api/x", nil)
	req.AddCookie(&http.Cookie{Name: auth.CookieName, Value: "ana"})
	go func() { <-entered; cancel() }()
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	select {
	case info := <-b.infos:
		if !info.ClientGone {
			t.Error("not noticed as gone")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request did not end")
	}
}

func BenchmarkHeaders(b *testing.B) {
	in := http.Header{
		"Accept": {"*/*"}, "User-Agent": {"x"}, "X-User-Id": {"ben"},
		"Cookie": {"theme=dark; " + auth.CookieName + "=" + platform.NewSessionToken() + "; lang=en"},
	}
	b.ReportAllocs()
	for b.Loop() {
		h := maps.Clone(in)
		cleanRequest(h, &auth.Identity{})
	}
}
