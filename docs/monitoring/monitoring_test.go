package monitoring_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

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

// check reads an expression as Prometheus does, and holds it against the metrics
// that there are.
func check(t *testing.T, names map[string]map[string]bool, where, expr string) parser.Expr {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return nil
	}
	found := 0
	known := map[string]bool{"job": true, "instance": true, "slice": true} // of the scrape, and of what gathers for slices
	var groupings []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			found++
			if names[n.Name] == nil {
				t.Errorf("%s: there is no metric %q", where, n.Name)
			}
			maps.Copy(known, names[n.Name])
			for _, m := range n.LabelMatchers {
				if l := m.Name; l != labels.MetricName && l != "job" && l != "instance" && l != "slice" && !names[n.Name][l] {
					t.Errorf("%s: %s has no label %s", where, n.Name, l)
				}
			}
		case *parser.AggregateExpr:
			groupings = append(groupings, n.Grouping...)
		}
		return nil
	})
	for _, l := range groupings {
		if !known[l] {
			t.Errorf("%s: grouped by %s, which no metric in it has", where, l)
		}
	}
	if found == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	return parsed
}

// firesOnLess reports whether an alert is on too little of something: where
// nothing at all is scraped there is not even a zero.
func firesOnLess(e parser.Expr) (found bool) {
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if b, ok := node.(*parser.BinaryExpr); ok && (b.Op == parser.LSS || b.Op == parser.LTE || b.Op == parser.NEQ) {
			found = true
		}
		return nil
	})
	return found
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
			if firesOnLess(check(t, names, r.Alert, r.Expr)) && !strings.Contains(r.Expr, "or vector(0)") {
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
			check(t, names, p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")) // Grafana's word
		}
	}
	if len(file.Panels) < 10 {
		t.Errorf("%d panels", len(file.Panels))
	}
}
