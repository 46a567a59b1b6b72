package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ipnoelp.io/platform/gateway/auth"
)

const (
	gatewayConns  = 32
	gatewayRounds = 25
	gatewayWindow = time.Second            // short: what slows the machine lasts longer, and meets all alike
	gatewayWarmUp = 250 * time.Millisecond // before each window
	gatewayBegin  = 3 * time.Second        // before the first: some compile what they run
)

// gatewayResult leaves out who was not measured.
type gatewayResult struct {
	Ours         float64 `json:"ours_us,omitzero"`
	Nginx        float64 `json:"nginx_us,omitzero"`
	Caddy        float64 `json:"caddy_us,omitzero"`
	ReverseProxy float64 `json:"reverseproxy_us,omitzero"`
	CHP          float64 `json:"chp_us,omitzero"`
	Express      float64 `json:"express_us,omitzero"`
}

// gatewayBench compares what a proxied request costs in processor time: all
// proxies run at once, in front of the same upstream, and are loaded in turns of a
// second: with five turns of four seconds one that met the machine's neighbours more
// often than another was a tenth dearer. only names some of them; none means all.
func gatewayBench(ctx context.Context, only []string, out io.Writer) (any, error) {
	for _, name := range only {
		if !slices.ContainsFunc(peers, func(p peer) bool { return p.name == name }) {
			return nil, fmt.Errorf("there is no proxy %q to compare", name)
		}
	}
	r, err := newRig(ctx, "bench-gateway", os.Stderr)
	if err != nil {
		return nil, err
	}
	defer r.close()
	tokens, err := r.addUsers(ctx, gatewayConns)
	if err != nil {
		return nil, err
	}
	requests := make([][]byte, len(tokens))
	for i, token := range tokens {
		requests[i] = apiRequest(token)
	}
	var all []*measured
	for _, p := range peers {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		m := &measured{peer: p}
		if m.program, m.addr, err = p.start(ctx, r); err != nil {
			return nil, err
		}
		if p.name == "ours" {
			if err := identifies(ctx, m.addr, tokens[0]); err != nil {
				return nil, err
			}
		}
		all = append(all, m)
	}
	if err := waitQuiet(ctx, out); err != nil {
		return nil, err
	}
	for round := range gatewayRounds {
		for _, m := range all {
			warmUp := gatewayWarmUp
			if round == 0 {
				warmUp = gatewayBegin
			}
			if err := m.measure(ctx, requests, warmUp); err != nil {
				return nil, m.program.failed(err)
			}
		}
		slices.Reverse(all) // what one leaves behind meets another one next
	}
	slices.SortFunc(all, func(a, b *measured) int { return slices.IndexFunc(peers, a.is) - slices.IndexFunc(peers, b.is) })
	printGateway(out, all)
	us := make(map[string]float64)
	for _, m := range all {
		us[m.name] = m.cpuMicros()
	}
	for _, m := range all {
		if m.name == "ours" {
			if err := writeProfile(ctx, m.program, r.Dir, out, func() error {
				for range 5 {
					if err := m.measure(ctx, requests, gatewayWarmUp); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	return gatewayResult{us["ours"], us["nginx"], us["caddy"], us["reverseproxy"], us["chp"], us["express"]}, nil
}

// measured is a proxy with its rounds.
type measured struct {
	peer
	program *program
	addr    string
	rounds  []loadResult
}

func (m *measured) is(p peer) bool { return p.name == m.name }

func (m *measured) measure(ctx context.Context, requests [][]byte, warmUp time.Duration) error {
	l, err := newLoader(m.addr, requests)
	if err != nil {
		return err
	}
	defer l.close()
	res, err := l.run(ctx, m.program.cmd.Process.Pid, warmUp, gatewayWindow)
	if err != nil {
		return err
	}
	if err := l.drain(ctx); err != nil {
		return err
	}
	m.rounds = append(m.rounds, res)
	return os.Truncate(m.program.log, 0) // one line per request
}

func (m *measured) cpuMicros() float64 {
	return micros(medianOf(m.rounds, func(r loadResult) time.Duration { return r.cpuPerRequest() }))
}

// apiRequest is what the edge makes of a browser's request.
func apiRequest(token string) []byte {
	return []byte("GET /api/chats?limit=50 HTTP/1.1\r\n" +
		"Host: " + publicHost + "\r\n" +
		"X-Forwarded-For: 203.0.113.7\r\n" +
		"X-Forwarded-Proto: https\r\n" +
		"X-Request-Id: 5f0c2a9be1d84c7399a1e6f0b7d3c254\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: application/json\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: " + auth.CookieName + "=" + token + "\r\n\r\n")
}

// identifies checks that the gateway asks who comes, and proves itself to the
// upstream: what is measured includes both.
func identifies(ctx context.Context, addr, token string) error {
	url := "http://" + addr + "/api/chats"
	if body, err := get(ctx, url, nil); err == nil || !strings.Contains(err.Error(), "401") {
		return fmt.Errorf("without a session: %s, %w", body, err)
	}
	body, err := get(ctx, url, http.Header{"Cookie": {auth.CookieName + "=" + token}})
	if err != nil {
		return err
	}
	if strings.HasPrefix(body, `{"slice":0,`) || len(body) != bodyBytes {
		return errors.New("the gateway named no slice: " + body)
	}
	return nil
}

func printGateway(out io.Writer, all []*measured) {
	us := make(map[string]float64)
	for _, m := range all {
		us[m.name] = m.cpuMicros()
	}
	fmt.Fprintf(out, "\nCPU time per proxied request: 1 KiB JSON, keep-alive, %d connections; median of %d rounds of %s\n\n", gatewayConns, gatewayRounds, gatewayWindow)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "proxy\tµs/request\tlowest\thighest\trequests/s\tp99 ms\tours / it\tother work\t")
	for _, m := range all {
		ratio := "–"
		if us["ours"] > 0 && m.name != "ours" {
			ratio = fmt.Sprintf("%.2f", us["ours"]/us[m.name])
		}
		var rates, others []float64
		for _, r := range m.rounds {
			rates, others = append(rates, r.perSecond()), append(others, r.others)
		}
		slices.Sort(rates)
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.0f\t%.2f\t%s\t%.0f %%\t\n", m.title, us[m.name],
			micros(slices.MinFunc(m.rounds, byCPU).cpuPerRequest()), micros(slices.MaxFunc(m.rounds, byCPU).cpuPerRequest()),
			rates[len(rates)/2], float64(medianOf(m.rounds, func(r loadResult) time.Duration { return r.p99 }))/1e6, ratio, 100*slices.Max(others))
	}
	w.Flush()
	goals := []struct {
		name  string
		ratio float64
	}{{"caddy", 0.6}, {"nginx", 2.0}, {"express", 0.2}}
	fmt.Fprintln(out)
	for _, g := range goals {
		if us["ours"] > 0 && us[g.name] > 0 {
			got := us["ours"] / us[g.name]
			fmt.Fprintf(out, "goal: at most %.1f × %s: %.2f, %s\n", g.ratio, g.name, got, map[bool]string{true: "reached", false: "missed"}[got <= g.ratio])
		}
	}
}

func byCPU(a, b loadResult) int { return int(a.cpuPerRequest() - b.cpuPerRequest()) }

// medianOf what f says of the rounds, by the nearest rank.
func medianOf[T any](rounds []T, f func(T) time.Duration) time.Duration {
	d := make([]time.Duration, len(rounds))
	for i, r := range rounds {
		d[i] = f(r)
	}
	return percentile(d, 50)
}

func micros(d time.Duration) float64 { return math.Round(float64(d)/100) / 10 }
