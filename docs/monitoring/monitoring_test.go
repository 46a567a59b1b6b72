package monitoring_test

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/docs/monitoring"
	"ipnoelp.io/platform/gateway"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/provisioner"
	"ipnoelp.io/platform/slice/httpapi"

	"github.com/hashicorp/consul/api"
)

// existing returns the label names of each metric that the programs have.
func existing(t *testing.T) map[string]map[string]bool {
	t.Helper()
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	public, _ := url.Parse("https://app.example.com")
	g, err := gateway.New(gateway.Options{
		PublicURL: public, PlatformKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler),
		Collectors: []prometheus.Collector{consul.NewResolver(client, slog.New(slog.DiscardHandler)), postgres.NewPoolCollector("gateway", nil), postgres.NewPoolCollector("provisioner", nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	ofProvisioner := prometheus.NewRegistry()
	provisioner.New(provisioner.Options{Registerer: ofProvisioner})
	names := map[string]map[string]bool{"up": {}, "slice_up": {"slice": true}, "process_resident_memory_bytes": {}}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		g.Describe(descriptions)
		ofProvisioner.Describe(descriptions)
		httpapi.DescribeMetrics(descriptions)
	}()
	for _, name := range monitoring.NomadMetrics() {
		names[name] = map[string]bool{"namespace": true}
	}
	parts := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for d := range descriptions {
		part := parts.FindStringSubmatch(d.String())
		labels := map[string]bool{"le": true}
		for _, l := range strings.Split(part[2], ",") {
			labels[strings.TrimSpace(l)] = true
		}
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			names[part[1]+suffix] = labels
		}
	}
	return names
}

var (
	selectors  = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	labelNames = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)`)

	// firesOnLess are alerts on too little of something: where nothing at all is
	// scraped there is not even a zero.
	firesOnLess = regexp.MustCompile(`(<|!=)\s*[0-9.]+\s*$`)

	inQuotes   = regexp.MustCompile(`"[^"]*"`)
	inBraces   = regexp.MustCompile(`\{[^}]*\}`)
	inBrackets = regexp.MustCompile(`\[[^\]]*\]`)
	grouping   = regexp.MustCompile(`\b(by|without|on|ignoring)\s*\([^)]*\)`)
	word       = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\b\s*\(?`)
)

// metricsOf returns the names in an expression that are not functions.
func metricsOf(expr string) []string {
	for _, part := range []*regexp.Regexp{inQuotes, inBraces, inBrackets, grouping} {
		expr = part.ReplaceAllString(expr, "")
	}
	var names []string
	for _, w := range word.FindAllString(expr, -1) {
		if !strings.HasSuffix(w, "(") {
			if w = strings.TrimSpace(w); w != "sum" && w != "max" && w != "min" && w != "and" && w != "or" {
				names = append(names, w)
			}
		}
	}
	return names
}

func check(t *testing.T, names map[string]map[string]bool, where, expr string) {
	t.Helper()
	found := metricsOf(expr)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	for _, name := range found {
		if names[name] == nil {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
	for _, selector := range selectors.FindAllStringSubmatch(expr, -1) {
		for _, label := range labelNames.FindAllStringSubmatch(selector[2], -1) {
			// The first two come with the scrape, slice from what gathers for it.
			if l := label[1]; l != "job" && l != "instance" && l != "slice" && !names[selector[1]][l] {
				t.Errorf("%s: %s has no label %s", where, selector[1], l)
			}
		}
	}
	if strings.Count(expr, "(") != strings.Count(expr, ")") {
		t.Errorf("%s: brackets do not match in %q", where, expr)
	}
}

func TestAlerts(t *testing.T) {
	names := existing(t)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(monitoring.Alerts, &file); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			check(t, names, r.Alert, r.Expr)
			if firesOnLess.MatchString(r.Expr) && !strings.Contains(r.Expr, "or vector(0)") {
				t.Errorf("%s: says nothing when nothing is left to scrape: %s", r.Alert, r.Expr)
			}
			if seen[r.Alert] || r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
				t.Errorf("%s: twice, or without a summary or severity", r.Alert)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
}

func TestDashboard(t *testing.T) {
	names := existing(t)
	var file struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(monitoring.Dashboard, &file); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			check(t, names, p.Title, target.Expr)
		}
	}
	if len(file.Panels) < 10 {
		t.Errorf("%d panels", len(file.Panels))
	}
}

func TestMetricsOf(t *testing.T) {
	got := metricsOf(`sum by (route) (rate(a_total{code=~"5..",x="b"}[5m])) / max(c_seconds) > 0.02`)
	if strings.Join(got, " ") != "a_total c_seconds" {
		t.Errorf("%q", got)
	}
}
