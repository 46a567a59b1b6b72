//go:build integration

package main

import (
	"bufio"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// metrics reads all series of a gateway, by name with labels.
func (p *gatewayProgram) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	res, body := p.call(t, "GET", "/metrics", "", "")
	if res.StatusCode != 200 {
		t.Fatalf("metrics: %d", res.StatusCode)
	}
	all := make(map[string]float64)
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); {
		if i := strings.LastIndexByte(s.Text(), ' '); i > 0 && s.Text()[0] != '#' {
			v, err := strconv.ParseFloat(s.Text()[i+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			all[s.Text()[:i]] = v
		}
	}
	return all
}

// The metrics count what happened, and name nobody.
func TestMetricsCountWhatHappened(t *testing.T) {
	b := setup(t)
	b.addSlice(t)
	p := b.start(t)
	before := p.metrics(t)
	ana, _ := p.signUp(t, "ana@example.com")
	p.signUp(t, "ben@example.com") // no slice is left
	logIn := func(password string, want int) {
		t.Helper()
		if res, body := p.call(t, "POST", "/auth/login", "", `{"email":"ana@example.com","password":"`+password+`"}`); res.StatusCode != want {
			t.Fatalf("log-in: %d %s", res.StatusCode, body)
		}
	}
	logIn("correct horse", 200)
	logIn("wrong horse", 401)
	for range 3 {
		if res, body := p.call(t, "GET", "/api/whoami", ana, ""); res.StatusCode != 200 {
			t.Fatalf("whoami: %d %s", res.StatusCode, body)
		}
	}
	p.call(t, "GET", "/api/whoami", "", "")
	socket := p.dial(t, "/socket.io/?transport=websocket", ana)
	defer socket.Close()
	after := p.metrics(t)
	for series, want := range map[string]float64{
		`gateway_sign_ups_total{result="hit"}`:                                 1,
		`gateway_sign_ups_total{result="queued"}`:                              1,
		`gateway_log_ins_total{result="ok"}`:                                   1,
		`gateway_log_ins_total{result="wrong"}`:                                1,
		`gateway_http_requests_total{code="200",route="tenant_api"}`:           3,
		`gateway_http_requests_total{code="401",route="tenant_api"}`:           1,
		`gateway_http_requests_total{code="201",route="auth"}`:                 2,
		`gateway_http_requests_total{code="401",route="auth"}`:                 1,
		`gateway_http_request_duration_seconds_count{route="tenant_api"}`:      4,
		`gateway_http_request_duration_seconds_count{route="auth"}`:            4,
		`gateway_http_request_duration_seconds_bucket{route="auth",le="+Inf"}`: 4,
		`gateway_password_hash_seconds_count`:                                  4,
		`gateway_sockets_open`:                                                 1,
		`gateway_catalog_lookups_total{result="found"}`:                        1,
		`gateway_database_connections_limit`:                                   0, // as it was
	} {
		if got := after[series] - before[series]; got != want {
			t.Errorf("%s: %v more, want %v", series, got, want)
		}
	}
	if after["gateway_notifications_up"] != 1 || after["gateway_database_connections_limit"] < 1 ||
		after[`gateway_database_connections{state="idle"}`]+after[`gateway_database_connections{state="used"}`] < 1 || after["go_goroutines"] < 1 {
		t.Error("notifications, the database's connections or Go's own are not told")
	}
	labels := regexp.MustCompile(`([a-z_]+)="`)
	for series := range after {
		for _, l := range labels.FindAllStringSubmatch(series, -1) {
			switch l[1] {
			case "code", "route", "result", "reason", "state", "le", "quantile", "version":
			default:
				if strings.HasPrefix(series, "gateway_") {
					t.Errorf("%s: label %s", series, l[1])
				}
			}
		}
	}
}
