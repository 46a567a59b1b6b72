package monitoring_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/docs/monitoring"
	"ipnoelp.io/platform/gateway/slicemetrics"
	"ipnoelp.io/platform/jobs"
	"ipnoelp.io/platform/slice/httpapi"
	"ipnoelp.io/platform/slice/whatsapp"
)

// relabel is one step by which Prometheus changes a target's labels.
type relabel struct {
	SourceLabels []string `yaml:"source_labels"`
	Regex        string   `yaml:"regex"`
	Action       string   `yaml:"action"`
	TargetLabel  string   `yaml:"target_label"`
	Replacement  string   `yaml:"replacement"`
}

type scrape struct {
	JobName     string              `yaml:"job_name"`
	Interval    string              `yaml:"scrape_interval"`
	Timeout     string              `yaml:"scrape_timeout"`
	Path        string              `yaml:"metrics_path"`
	Params      map[string][]string `yaml:"params"`
	Credentials credentials         `yaml:"authorization"`
	Consul      []struct {
		Server      string      `yaml:"server"`
		Credentials credentials `yaml:"authorization"`
		Services    []string    `yaml:"services"`
		Tags        []string    `yaml:"tags"`
	} `yaml:"consul_sd_configs"`
	Relabel []relabel `yaml:"relabel_configs"`
	Metrics []relabel `yaml:"metric_relabel_configs"`
}

type credentials struct {
	File string `yaml:"credentials_file"`
}

func scrapes(t *testing.T) map[string]scrape {
	t.Helper()
	var file struct {
		Global        map[string]string `yaml:"global"`
		RuleFiles     []string          `yaml:"rule_files"`
		ScrapeConfigs []scrape          `yaml:"scrape_configs"`
	}
	if err := yaml.UnmarshalWithOptions(monitoring.Scrapes, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(file.RuleFiles, []string{"alerts.yaml"}) {
		t.Errorf("rule files %v", file.RuleFiles)
	}
	all := make(map[string]scrape)
	for _, s := range file.ScrapeConfigs {
		all[s.JobName] = s
	}
	return all
}

// applied changes labels as Prometheus does. It knows the actions that the file
// uses.
func applied(t *testing.T, steps []relabel, labels map[string]string) {
	t.Helper()
	for _, s := range steps {
		values := make([]string, len(s.SourceLabels))
		for i, name := range s.SourceLabels {
			values[i] = labels[name]
		}
		value := strings.Join(values, ";")
		expr := s.Regex
		if expr == "" {
			expr = "(.*)"
		}
		re := regexp.MustCompile("^(?s:" + expr + ")$") // as Prometheus reads it
		match := re.FindStringSubmatchIndex(value)
		switch {
		case s.Action == "labeldrop":
			for name := range labels {
				if re.MatchString(name) {
					delete(labels, name)
				}
			}
		case s.Action == "" && s.TargetLabel != "":
			if match != nil {
				replacement := s.Replacement
				if replacement == "" {
					replacement = "$1"
				}
				labels[s.TargetLabel] = string(re.ExpandString(nil, replacement, value, match))
			}
		default:
			t.Fatalf("a step that this test does not know: %+v", s)
		}
	}
}

// registered are the services of a job file that have a port "http".
func registered(t *testing.T, job string) []string {
	t.Helper()
	source, err := jobs.Source(job)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(source, `port "http" {`) {
		t.Errorf("job %s has no port http", job)
	}
	var names []string
	for _, m := range regexp.MustCompile(`service \{\s+name\s+=\s+"([^"]+)"\s+port\s+=\s+"http"\s+provider\s+=\s+"consul"`).FindAllStringSubmatch(source, -1) {
		names = append(names, strings.ReplaceAll(m[1], "${var.number}", "42"))
	}
	return names
}

func TestScrapesFindWhatTheJobsRegister(t *testing.T) {
	all := scrapes(t)
	if len(all) != 5 {
		t.Errorf("%d scrapes", len(all))
	}
	for job, file := range map[string]string{"gateway": "gateway", "provisioner": "provisioner", "slices": "gateway"} {
		s, ok := all[job]
		if !ok || len(s.Consul) != 1 {
			t.Errorf("no scrape of %s, or not one place to look", job)
			continue
		}
		services := registered(t, file)
		if len(services) != 1 {
			t.Errorf("job %s registers %v", file, services)
			continue
		}
		if asked := s.Consul[0].Services; !slices.Equal(asked, services) {
			t.Errorf("%s asks for %v, and the job registers %s", job, asked, services[0])
		}
		if len(s.Consul[0].Tags) > 0 {
			t.Errorf("%s asks for tags, and the job has none", job)
		}
		if path := map[string]string{"slices": "/metrics/slices"}[job]; s.Path != path {
			t.Errorf("%s is scraped at %s", job, s.Path)
		}
	}
	labels := map[string]string{"__meta_consul_address": "10.0.0.1", "__meta_consul_node": "n1"}
	applied(t, all["consul"].Relabel, labels)
	if labels["__address__"] != "10.0.0.1:8500" {
		t.Errorf("Consul is asked at %s", labels["__address__"])
	}
}

// stats is a session that has nothing but its counts.
type stats struct{ httpapi.Session }

func (stats) Stats() whatsapp.Stats {
	return whatsapp.Stats{State: whatsapp.StateReady, Restarts: map[string]uint64{"memory": 1}, Reloads: map[string]uint64{"memory": 1}}
}

// place is where the one slice is, and that it is.
type place string

func (p place) Resolve(context.Context, int) (string, error) { return string(p), nil }
func (place) Invalidate(int, string)                         {}
func (place) ListSlices(_ context.Context, state platform.SliceState, _, _ int) ([]platform.Slice, map[string]string, error) {
	return []platform.Slice{{Number: 42, State: state, Generation: 1}}, nil, nil
}

// All that a real slice counts of its own comes through the gateway, from
// whichever one, as the same series.
func TestASlicesMetricsArrive(t *testing.T) {
	key := make([]byte, 32)
	srv := httptest.NewServer(httpapi.New(httpapi.Config{
		Number: 42, Token: platform.SliceToken(key, 42, 1), Session: stats{}, Hub: new(httpapi.Hub), Logger: slog.New(slog.DiscardHandler),
		Healthy: func() bool { return false }, Migrated: func() bool { return false }, // scraped all the same
	}))
	t.Cleanup(srv.Close)
	at := place(srv.Listener.Addr().String())
	text, err := slicemetrics.NewGatherer(at, slicemetrics.NewClient(at, key), slog.New(slog.DiscardHandler)).Gather(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`slice_up{slice="42"} 1`, `slice_whatsapp_state{slice="42",state="ready"} 1`, `process_resident_memory_bytes{slice="42"} `, `go_goroutines{slice="42"} `, `process_cpu_seconds_total{slice="42"} `} {
		if !strings.Contains(string(text), "\n"+want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	descriptions := make(chan *prometheus.Desc)
	go func() { defer close(descriptions); httpapi.DescribeMetrics(descriptions) }()
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		if !strings.Contains(string(text), "\n# TYPE "+name+" ") {
			t.Errorf("%s does not arrive", name)
		}
	}
	s := scrapes(t)["slices"]
	labels := map[string]string{"__name__": "slice_up", "job": "slices", "instance": "10.0.0.1:8080", "slice": "42"}
	applied(t, s.Metrics, labels)
	if want := map[string]string{"__name__": "slice_up", "job": "slices", "slice": "42"}; !maps.Equal(labels, want) {
		t.Errorf("a series has the labels %v", labels)
	}
	if s.Interval != "30s" || s.Timeout != "10s" { // the gateway's bound is 8 s
		t.Errorf("scraped every %s for %s", s.Interval, s.Timeout)
	}
}

// Alerts and dashboard name no job that is not scraped, and somebody is told when
// one of them has no targets.
func TestJobsInExpressionsAreScraped(t *testing.T) {
	all := scrapes(t)
	for _, m := range regexp.MustCompile(`job=~?\\?"([^"\\]+)`).FindAllStringSubmatch(string(monitoring.Alerts)+string(monitoring.Dashboard), -1) {
		for name := range strings.SplitSeq(m[1], "|") {
			if _, ok := all[name]; !ok {
				t.Errorf("there is no scrape %s", name)
			}
		}
	}
	for name := range all {
		if !strings.Contains(string(monitoring.Alerts), fmt.Sprintf("absent(up{job=%q})", name)) {
			t.Errorf("nobody is told that %s has no targets", name)
		}
	}
}

// The token of Prometheus shows it what it looks for in Consul, and each scrape
// uses it.
func TestScrapesHaveTheRights(t *testing.T) {
	policy, err := consul.Policy("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for job, s := range scrapes(t) {
		for _, d := range s.Consul {
			if d.Credentials.File != "consul.token" || d.Server == "" {
				t.Errorf("%s looks into Consul without the token", job)
			}
			for _, name := range d.Services {
				if !strings.Contains(policy, fmt.Sprintf("service %q {", name)) {
					t.Errorf("%s may not see the service %s", job, name)
				}
			}
		}
		if (s.Credentials.File != "") != (job == "consul") {
			t.Errorf("%s: credentials %q; only Consul asks for any, and nobody else may get them", job, s.Credentials.File)
		}
	}
	if regexp.MustCompile(`"(write|list)"|(?m)^(key|session|acl|operator)`).MatchString(policy) || strings.Contains(policy, "service_prefix") {
		t.Errorf("policy\n%s", policy)
	}
}
