package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// tenancyRequests is how many requests are made up.
const tenancyRequests = 100_000

var tenancySeed = flag.Uint64("tenancy-seed", 0, "what TestTenantsAreApart makes its requests from; 0 is another one each time")

// Whatever ana sends, nothing of ben's comes back, and nothing reaches his
// slice. Ben works at the same time: his session, his slice's address and open
// connections to it are all there.
func TestTenantsAreApart(t *testing.T) {
	x := setupTenants(t)
	tokens := [2]string{x.createToken(t, x.anaCookie, platform.ScopeFull), x.createToken(t, x.anaCookie, platform.ScopeRead)}
	seed := *tenancySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-tenancy-seed=%d", seed)
	stop := make(chan struct{})
	var ben sync.WaitGroup
	var bens atomic.Int64
	ben.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			res, body := x.call(t, "GET", "/api/chats", x.benCookie, "", nil)
			if res.StatusCode != 200 || body != x.ben.secret {
				t.Errorf("ben: %d %q", res.StatusCode, body)
			}
			bens.Add(1)
		}
	})
	const attackers = 4
	var wg sync.WaitGroup
	all := make([]*attacker, attackers)
	for i := range all {
		a := &attacker{tenants: x, tokens: tokens, random: rand.New(rand.NewPCG(seed, uint64(i))), statuses: make(map[int]int)}
		all[i] = a
		wg.Go(func() {
			defer a.close()
			for range tenancyRequests / attackers {
				a.attack(t)
			}
		})
	}
	wg.Wait()
	close(stop)
	ben.Wait()
	statuses := make(map[int]int)
	var served [credentials]int
	for _, a := range all {
		for status, n := range a.statuses {
			statuses[status] += n
		}
		for c, n := range a.served {
			served[c] += n
		}
	}
	anasServed, _, faults := x.ana.seen()
	bensServed, _, bensFaults := x.ben.seen()
	t.Logf("answers by status: %v; ana's slice served %d, by credentials %v; ben asked %d times", statuses, anasServed, served, bens.Load())
	if len(faults)+len(bensFaults) > 0 {
		t.Errorf("faults %.500q, %.500q", faults, bensFaults)
	}
	if int64(bensServed) != bens.Load() {
		t.Errorf("ben's slice served %d requests, ben made %d", bensServed, bens.Load())
	}
	// A test whose requests all fail at the door would show nothing.
	if anasServed < tenancyRequests/10 || statuses[401] == 0 || statuses[101] == 0 {
		t.Errorf("too few requests came through: %v", statuses)
	}
	for _, c := range []int{byCookie, byToken, byBoth} {
		if served[c] < tenancyRequests/200 {
			t.Errorf("too few requests came through by credentials: %v", served)
		}
	}
	if served[byTokenTwice] > 0 {
		t.Errorf("%d requests with two tokens were served", served[byTokenTwice])
	}
}

// createToken makes an API token that is good for longer than the test.
func (x *tenants) createToken(t *testing.T, cookie string, scope platform.Scope) string {
	t.Helper()
	body := fmt.Sprintf(`{"name":"n8n","scope":%q,"expires_at":%q}`, scope, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	res, got := x.call(t, "POST", "/auth/tokens", cookie, body, nil)
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(got), &made); err != nil || res.StatusCode != 201 {
		t.Fatalf("create a token: %d %s", res.StatusCode, got)
	}
	return made.Token
}

// By what a request is ana's.
const (
	byCookie = iota
	byToken
	byTokenTwice
	byBoth
	byOddToken
	credentials // how many there are
)

// attacker sends as ana, over one connection as long as it lasts.
type attacker struct {
	*tenants
	tokens   [2]string // ana's, full and read
	served   [credentials]int
	random   *rand.Rand
	statuses map[int]int // 0: no answer
	conn     net.Conn
	br       *bufio.Reader
	got      bytes.Buffer // every byte that came back on conn
}

func (a *attacker) close() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

func (a *attacker) attack(t *testing.T) {
	if a.conn == nil {
		conn, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Error(err)
			return
		}
		a.conn, a.br = conn, bufio.NewReader(io.TeeReader(conn, &a.got))
	}
	a.got.Reset()
	method, raw, by := a.request()
	a.conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(a.conn, raw) // fails if the answer came before the end
	status, keep := a.answer(method)
	if !keep {
		a.finish(t, raw)
	}
	a.statuses[status]++
	if bytes.Contains(a.got.Bytes(), []byte(a.ben.secret)) {
		t.Errorf("ben's secret came back for\n%s\n%s", raw, a.got.Bytes())
	}
	if bytes.Contains(a.got.Bytes(), []byte(a.ana.secret)) {
		a.served[by]++
	}
}

// answer reads an answer to its end; keep says that the connection can go on.
func (a *attacker) answer(method string) (status int, keep bool) {
	for {
		res, err := http.ReadResponse(a.br, &http.Request{Method: method})
		if err != nil {
			return 0, false
		}
		switch {
		case res.StatusCode == http.StatusSwitchingProtocols:
			return res.StatusCode, false
		case res.StatusCode < 200: // the answer is still to come
			continue
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err == nil && !res.Close
	}
}

// finish reads what comes after the answer, to the end of the connection.
func (a *attacker) finish(t *testing.T, raw string) {
	a.conn.(*net.TCPConn).CloseWrite()
	var netErr net.Error
	if _, err := io.Copy(io.Discard, a.br); errors.As(err, &netErr) && netErr.Timeout() {
		t.Errorf("the connection did not end after\n%s\n%s", raw, a.got.Bytes())
	}
	a.close()
}

func (a *attacker) one(of ...string) string { return of[a.random.IntN(len(of))] }

// request makes up a request: a mix of everything that could lead elsewhere.
func (a *attacker) request() (method, raw string, by int) {
	method = a.one("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND")
	var h []string
	add := func(format string, args ...any) { h = append(h, fmt.Sprintf(format, args...)) }
	add("Host: %s", a.one("app.example.com", "app.example.com", "slice-2", "slice-2.service.consul", a.sliceAddrs[2], "127.0.0.1", "localhost:80", "x@slice-2", "ben.example.com"))
	by, own := a.credentials()
	h = append(h, own...)
	for range a.random.IntN(5) {
		name := a.one("X-Slice-Number", "X-Slice-Token", "X-User-Id", "X-User-Email", "X-Slice", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server",
			"X-Original-URL", "X-Rewrite-URL", "X-Host", "Forwarded", "X-Real-IP", "X-Request-Id", "X-HTTP-Method-Override", "Via", "Origin", "Referer",
			"Sec-Fetch-Site", "Authorization", "Proxy-Authorization", "X_Slice_Number", "x-slice-number", "X-Slice-Number ", "X_User_Id", "Accept", "Accept-Encoding")
		add("%s: %s", name, a.one("2", "slice-2", "02", "2, 1", "+2", "ben@example.com", "2;1", "1\t2", platform.SliceToken(make([]byte, 32), 2, 1), "Bearer 2",
			"http://slice-2/", "host=slice-2", "cross-site", "same-origin", "https://app.example.com", "127.0.0.1", "text/html", "/api/chats"))
	}
	switch a.random.IntN(12) {
	case 0:
		add("Connection: %s", a.one("X-Slice-Number, X-Slice-Token", "X-User-Id", "close", "keep-alive, X-User-Email", "Cookie", "Authorization, Cookie", "upgrade", "X-Forwarded-For, Host"))
	case 1:
		add("Connection: %s", a.one("Upgrade", "upgrade, X-Slice-Number", "Upgrade, X-Slice-Token, X-User-Email"))
		add("Upgrade: %s", a.one("websocket", "WebSocket", "h2c", "websocket, h2c", "tls/1.0"))
		add("Sec-WebSocket-Version: 13")
		add("Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==")
	case 2:
		add("Te: trailers")
		add("Trailer: X-Slice-Number")
	case 3:
		add("Expect: %s", a.one("100-continue", "200-ok"))
	}
	body := ""
	switch a.random.IntN(8) {
	case 0:
		body = a.one("{}", "GET /api/chats HTTP/1.1\r\nHost: slice-2\r\nX-Slice-Number: 2\r\n\r\n", strings.Repeat("x", 2000))
		add("Content-Length: %d", len(body))
	case 1:
		inner := "POST /api/chats HTTP/1.1\r\nHost: slice-2\r\nX-Slice-Number: 2\r\nContent-Length: 0\r\n\r\n"
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n", len(inner), inner, a.one("", "X-Slice-Number: 2\r\n"))
		add("Transfer-Encoding: chunked")
		if a.random.IntN(3) == 0 {
			add("Content-Length: %d", a.random.IntN(2*len(body)))
		}
	}
	a.random.Shuffle(len(h), func(i, j int) { h[i], h[j] = h[j], h[i] })
	return method, method + " " + a.target() + " HTTP/1.1\r\n" + strings.Join(h, "\r\n") + "\r\n\r\n" + body, by
}

func (a *attacker) target() string {
	base := a.one("/api/chats", "/api/chats", "/api/chats/1/messages", "/socket.io/?EIO=4&transport=websocket", "/socket.io/?EIO=4&transport=polling", "/api/", "/api",
		"/api/../api/chats", "/api/%2e%2e/admin/slices", "/api/..%2fadmin", "//slice-2/api/chats", "/api//chats", "/api/%2F%2Fslice-2/", "/api/\\slice-2", "/socket.io/../api/chats",
		"/api/;@slice-2/chats", "/api/chats%00", "/api/chats%0d%0aX-Slice-Number:%202", "/API/chats", "/auth/../api/chats", "/admin/../api/chats", "/api/%5c..%5c", "/api/chats/.",
		"http://slice-2/api/chats", "http://"+a.sliceAddrs[2]+"/api/chats", "https://app.example.com/api/chats", "//"+a.sliceAddrs[2]+"/", "*", "slice-2:80", "/api/ünïcode", "/api/chats#slice-2")
	if a.random.IntN(3) == 0 {
		base = a.encoded(base)
	}
	if a.random.IntN(2) == 0 {
		sep := "?"
		if strings.Contains(base, "?") {
			sep = "&"
		}
		base += sep + a.one("slice=2", "X-Slice-Number=2", "user=ben@example.com", "a=1;b=2&c=%zz", "url=http://"+a.sliceAddrs[2]+"/", "_method=GET", "session=2", "%00", "a=%0d%0aX-Slice-Number:+2")
	}
	return base
}

// encoded has some of a target's bytes percent-encoded, once, twice or more.
func (a *attacker) encoded(target string) string {
	from := 0
	if a.random.IntN(2) == 0 { // so that it is still led to a slice
		for _, prefix := range []string{"/api/", "/socket.io/"} {
			if strings.HasPrefix(target, prefix) {
				from = len(prefix)
			}
		}
	}
	most := 1 + a.random.IntN(8) // of eight bytes
	var b strings.Builder
	b.WriteString(target[:from])
	for i := from; i < len(target); i++ {
		if a.random.IntN(8) >= most {
			b.WriteByte(target[i])
			continue
		}
		b.WriteByte('%')
		for a.random.IntN(3) == 0 {
			b.WriteString("25")
		}
		fmt.Fprintf(&b, a.one("%02x", "%02X"), target[i])
	}
	return b.String()
}

// credentials are ana's: her session, an API token of hers, or both.
func (a *attacker) credentials() (by int, headers []string) {
	token := a.one(a.tokens[:]...)
	bearer := "Authorization: Bearer " + token
	cookies := func() {
		for _, c := range a.cookies() {
			headers = append(headers, "Cookie: "+c)
		}
	}
	switch a.random.IntN(10) {
	case 0:
		return byToken, []string{bearer}
	case 1:
		return byTokenTwice, []string{bearer, "Authorization: Bearer " + a.one(a.tokens[:]...)}
	case 2:
		cookies()
		return byBoth, append(headers, bearer)
	case 3:
		spoiled := []byte(token)
		spoiled[a.random.IntN(len(spoiled))] = byte('A' + a.random.IntN(26))
		if a.random.IntN(2) == 0 {
			cookies()
		}
		return byOddToken, append(headers, a.one("authorization: bearer "+token, "Authorization:Bearer  "+token, "Authorization: Bearer\t"+token, "Authorization : Bearer "+token,
			"Authorization: Bearer "+token+", Bearer "+token, "Authorization: Bearer "+token+" 2", "Authorization: Bearer "+string(spoiled),
			"Authorization: Bearer "+token[:a.random.IntN(len(token))], "Authorization: Bearer "+a.anaCookie, "Authorization: "+token,
			"Authorization: Basic "+token, "Proxy-Authorization: Bearer "+token, "X-Authorization: Bearer "+token, "Cookie: "+auth.CookieName+"="+token,
			"Authorization: Bearer\r\n "+token, "X-Folded: a\r\n Authorization: Bearer "+token))
	}
	cookies()
	return byCookie, headers
}

// cookies has ana's session in most requests, whole or spoiled.
func (a *attacker) cookies() []string {
	own := auth.CookieName + "=" + a.anaCookie
	switch a.random.IntN(14) {
	case 0:
		return nil
	case 1:
		return []string{auth.CookieName + "=" + strings.Repeat("A", 43)}
	case 2:
		return []string{auth.CookieName + "=2; " + own}
	case 3:
		return []string{own + "; " + auth.CookieName + "=2"}
	case 4:
		return []string{own, "X-User-Id=ben; slice=2; user=ben@example.com"}
	case 5:
		b := []byte(a.anaCookie)
		b[a.random.IntN(len(b))] = byte('A' + a.random.IntN(26))
		return []string{auth.CookieName + "=" + string(b)}
	case 6:
		return []string{auth.CookieName + "=\"" + a.anaCookie + "\""}
	case 7:
		return []string{auth.CookieName + "=" + a.anaCookie[:a.random.IntN(len(a.anaCookie))]}
	case 8:
		return []string{"a=b;;; " + own + ";=;" + a.one("c", "__host-session=2", "__Host-session =2")}
	}
	return []string{own}
}
