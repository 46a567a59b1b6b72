//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/jackc/pgx/v5"

	nomad "github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
)

// Two users, each with a secret in a conversation: neither sees the other's by
// anything a client can put into a request.
func TestTenantsAreApart(t *testing.T) {
	b := setup(t)
	ana, ben := b.signUp(t), b.signUp(t)
	if ana.number == ben.number {
		t.Fatalf("both have slice %d", ana.number)
	}
	secret := map[*user]string{ana: "ana-secret-" + newPhone(), ben: "ben-secret-" + newPhone()}
	for u, text := range secret {
		phone, customer := newPhone(), newPhone()
		b.link(t, u, phone, "Shop "+phone)
		if _, err := b.sim.CustomerWrites(t.Context(), phone, customer, "Customer", text); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, func() error {
			if a := u.do("GET", "/api/chats", nil); !strings.Contains(string(a.body), text) {
				return fmt.Errorf("the message has not arrived: %s", a.body)
			}
			return nil
		})
	}

	benNumber, benToken := strconv.Itoa(ben.number), b.sliceToken(t, ben.number)
	headers := [][]string{
		{platform.HeaderSliceNumber, benNumber},
		{platform.HeaderSliceNumber, benNumber, platform.HeaderSliceToken, benToken},
		{platform.HeaderSliceNumber, benNumber, platform.HeaderSliceToken, benToken, platform.HeaderUserID, ben.me.User.ID},
		{platform.HeaderUserID, ben.me.User.ID, platform.HeaderUserEmail, ben.me.User.Email},
		{"Connection", platform.HeaderSliceNumber + ", " + platform.HeaderSliceToken + ", " + platform.HeaderUserID},
		{"Connection", "close, " + platform.HeaderSliceToken},
		{"Host", platform.SliceName(ben.number)},
		{"X-Forwarded-Host", platform.SliceName(ben.number)},
		{"Forwarded", "for=127.0.0.1;host=" + platform.SliceName(ben.number)},
		{"X-Original-URL", "/slices/" + benNumber + "/api/chats"},
		{"X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1"},
		{"Cookie", "__Host-session=" + benToken},
		{"Authorization", "Bearer " + benToken},
	}
	paths := []string{
		"/api/chats", "/api/chats?limit=50", "/api//chats", "/api/./chats", "/api/../api/chats", "/api/%2e%2e/api/chats",
		"/api/chats?slice=" + benNumber, "/api/chats?user_id=" + ben.me.User.ID,
		"/api/..%2f..%2fslice-" + benNumber + "/chats", "/api/" + platform.SliceName(ben.number) + "/chats",
		"/" + platform.SliceName(ben.number) + "/api/chats", "/api/chats/%2e%2e/%2e%2e/" + benNumber,
		"/socket.io/?EIO=4&transport=polling&slice=" + benNumber, "/api/whatsapp",
	}
	for _, path := range paths {
		for _, h := range append(headers, nil) {
			a := ana.do("GET", path, nil, h...)
			if strings.Contains(string(a.body), secret[ben]) || strings.Contains(string(a.body), ben.me.User.Email) {
				t.Fatalf("%s with %v shows the other's data: %s", path, h, a.body)
			}
		}
	}
	// After all of it the own data is still there, and only it.
	if a := ana.want(http.StatusOK, "GET", "/api/chats", nil); !strings.Contains(string(a.body), secret[ana]) || strings.Contains(string(a.body), secret[ben]) {
		t.Errorf("own chats: %s", a.body)
	}

	t.Run("without a session", func(t *testing.T) {
		stranger := b.client(t)
		for _, h := range append(headers, nil) {
			stranger.wantProblem(http.StatusUnauthorized, "GET", "/api/chats", nil, h...)
		}
		if conn, res, err := stranger.dialSocketIO(nil); err == nil {
			conn.Close()
			t.Error("a stranger may connect to Socket.IO")
		} else if res == nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("socket.io: %v, %v; want 401", res, err)
		}
	})

	t.Run("from another origin", func(t *testing.T) {
		conn, res, err := ana.dialSocketIO(http.Header{"Origin": {"https://evil.example"}})
		if err == nil {
			conn.Close()
			t.Fatal("a page of another origin may connect")
		}
		if res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("%v, %v; want 403", res, err)
		}
		ana.wantProblem(http.StatusForbidden, "POST", "/auth/logout", nil, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		ana.want(http.StatusOK, "GET", "/auth/me", nil)
	})

	t.Run("a slice's own port", func(t *testing.T) {
		addr := b.sliceAddr(t, ben.number)
		direct := func(number int, token string) int {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/api/chats", nil)
			if number != 0 {
				req.Header.Set(platform.HeaderSliceNumber, strconv.Itoa(number))
			}
			if token != "" {
				req.Header.Set(platform.HeaderSliceToken, token)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		anaToken := b.sliceToken(t, ana.number)
		for _, c := range []struct {
			name   string
			number int
			token  string
			want   int
		}{
			{"another's number and token", ana.number, anaToken, http.StatusMisdirectedRequest},
			{"another's number, its own token", ana.number, benToken, http.StatusMisdirectedRequest},
			{"its number, another's token", ben.number, anaToken, http.StatusUnauthorized},
			{"its number, no token", ben.number, "", http.StatusUnauthorized},
			{"nothing", 0, "", http.StatusUnauthorized},
			{"its own", ben.number, benToken, http.StatusOK},
		} {
			if got := direct(c.number, c.token); got != c.want {
				t.Errorf("%s: %d, want %d", c.name, got, c.want)
			}
		}
	})

	t.Run("the database", func(t *testing.T) {
		own := b.sliceDatabaseURL(t, ana.number)
		for _, database := range []string{platform.SliceDatabase(ben.number), "platform", "postgres", "template1"} {
			u, err := url.Parse(own)
			if err != nil {
				t.Fatal(err)
			}
			u.Path = "/" + database
			if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
				conn.Close(t.Context())
				t.Errorf("the role of slice %d may connect to %s", ana.number, database)
			}
		}
		conn, err := pgx.Connect(t.Context(), own)
		if err != nil {
			t.Fatalf("its own database: %v", err)
		}
		conn.Close(t.Context())
	})

	t.Run("a reused port", func(t *testing.T) { testReusedPort(t, b, ana, ben, secret[ana], secret[ben]) })
}

// Consul says for a while that ana's slice is where ben's is now. The gateway
// must notice by the slice's 421 and come to the right one, or fail; never
// show the other's data.
func testReusedPort(t *testing.T, b *bundle, ana, ben *user, anaSecret, benSecret string) {
	host, port, err := net.SplitHostPort(b.sliceAddr(t, ben.number))
	if err != nil {
		t.Fatal(err)
	}
	p, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	stale := &consul.AgentServiceRegistration{ID: "stale-" + platform.SliceName(ana.number), Name: platform.SliceName(ana.number), Address: host, Port: p}
	if err := b.Consul().Agent().ServiceRegister(stale); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Consul().Agent().ServiceDeregister(stale.ID); err != nil {
			t.Error(err)
		}
	}()
	before := b.misdirected(t)
	right := 0
	// Long enough for every gateway to have looked the address up again.
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		a := ana.do("GET", "/api/chats", nil)
		if strings.Contains(string(a.body), benSecret) {
			t.Fatalf("the other tenant's data: %s", a.body)
		}
		if a.status == http.StatusOK && strings.Contains(string(a.body), anaSecret) {
			right++
		} else if a.status < 500 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		if right > 50 && b.misdirected(t) > before {
			return
		}
	}
	t.Errorf("%d right answers, %d requests turned away by the wrong slice; want both", right, b.misdirected(t)-before)
}

// misdirected is how often the gateways were told 421, by their metrics.
func (b *bundle) misdirected(t testing.TB) int {
	t.Helper()
	return int(b.gatewayMetric(t, `gateway_slice_retries_total{reason="misdirected"}`))
}

// gatewayMetric adds up a metric, named with its labels, over all gateways.
func (b *bundle) gatewayMetric(t testing.TB, name string) float64 {
	t.Helper()
	entries, _, err := b.Consul().Health().Service("gateway", "", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, e := range entries {
		res, err := http.Get(fmt.Sprintf("http://%s:%d/metrics", e.Service.Address, e.Service.Port))
		if err != nil {
			t.Fatal(err)
		}
		sum += metric(t, res, name)
	}
	return sum
}

// sliceAddr is where Consul says that the slice is.
func (b *bundle) sliceAddr(t testing.TB, number int) string {
	t.Helper()
	entries, _, err := b.Consul().Health().Service(platform.SliceName(number), "", true, nil)
	if err != nil || len(entries) == 0 {
		t.Fatalf("slice %d is not in Consul (%v)", number, err)
	}
	s := entries[0].Service
	return net.JoinHostPort(s.Address, strconv.Itoa(s.Port))
}

// sliceSecret reads an item of the slice's Nomad Variable, as only an operator
// with the management token can.
func (b *bundle) sliceSecret(t testing.TB, number int, item string) string {
	t.Helper()
	v, _, err := b.Nomad().Variables().Read("nomad/jobs/"+platform.SliceName(number), &nomad.QueryOptions{Namespace: platform.SliceNamespace})
	if err != nil {
		t.Fatalf("variable of slice %d: %v", number, err)
	}
	return v.Items[item]
}

func (b *bundle) sliceToken(t testing.TB, number int) string {
	return b.sliceSecret(t, number, "token")
}

func (b *bundle) sliceDatabaseURL(t testing.TB, number int) string {
	return b.sliceSecret(t, number, "database_url")
}

// Nothing secret is where operators, other tenants or the catalog can see it.
func TestSecretsStayInVariables(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	secrets := []string{b.sliceToken(t, u.number), b.sliceSecret(t, u.number, "snapshot_key")}
	if d, err := url.Parse(b.sliceDatabaseURL(t, u.number)); err != nil {
		t.Fatal(err)
	} else if pw, ok := d.User.Password(); ok {
		secrets = append(secrets, pw)
	}
	look := map[string]any{}
	job, _, err := b.Nomad().Jobs().Info(platform.SliceName(u.number), &nomad.QueryOptions{Namespace: platform.SliceNamespace})
	if err != nil {
		t.Fatal(err)
	}
	look["job"] = job
	allocs, _, err := b.Nomad().Jobs().Allocations(platform.SliceName(u.number), true, &nomad.QueryOptions{Namespace: platform.SliceNamespace})
	if err != nil {
		t.Fatal(err)
	}
	look["allocations"] = allocs
	services, _, err := b.Consul().Catalog().Service(platform.SliceName(u.number), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	look["catalog"] = services
	for where, v := range look {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if s == "" || strings.Contains(string(text), s) {
				t.Errorf("a secret of the slice is in its %s (or empty)", where)
			}
		}
	}
}
