package monitoring_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/docs/monitoring"
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

// applied is what becomes of a target's labels; false where it is dropped. It
// knows the two actions that the file uses.
func applied(t *testing.T, steps []relabel, labels map[string]string) bool {
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
		case s.Action == "keep" && match == nil:
			return false
		case s.Action == "keep":
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
	return true
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
	for job, file := range map[string]string{"gateway": "gateway", "provisioner": "provisioner", "slices": "slice"} {
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
		if asked := s.Consul[0].Services; asked != nil && !slices.Contains(asked, services[0]) {
			t.Errorf("%s asks for %v, and the job registers %s", job, asked, services[0])
		}
		if len(s.Consul[0].Tags) > 0 {
			t.Errorf("%s asks for tags, and the job has none", job)
		}
		if labels := map[string]string{"__meta_consul_service": services[0]}; !applied(t, s.Relabel, labels) {
			t.Errorf("%s drops %s", job, services[0])
		}
		if s.Path != "" && s.Path != "/metrics" {
			t.Errorf("%s is scraped at %s", job, s.Path)
		}
	}
	for _, other := range []string{"gateway", "nomad", "slice-", "slice-x", "slice-42-old", "my-slice-42"} {
		if applied(t, all["slices"].Relabel, map[string]string{"__meta_consul_service": other}) {
			t.Errorf("%s is taken for a slice", other)
		}
	}
	labels := map[string]string{"__meta_consul_address": "10.0.0.1", "__meta_consul_node": "n1"}
	if applied(t, all["consul"].Relabel, labels); labels["__address__"] != "10.0.0.1:8500" {
		t.Errorf("Consul is asked at %s", labels["__address__"])
	}
}

// stats is a session that has nothing but its counts.
type stats struct{ httpapi.Session }

func (stats) Stats() whatsapp.Stats { return whatsapp.Stats{State: whatsapp.StateReady} }

// A real slice answers the scrape as the file makes it, and another slice that
// has its address does not.
func TestASliceAnswersItsScrape(t *testing.T) {
	s := scrapes(t)["slices"]
	labels := map[string]string{"__meta_consul_service": platform.SliceName(42), "__meta_consul_node": "n1"}
	if !applied(t, s.Relabel, labels) || labels["slice"] != "42" || labels["node"] != "n1" {
		t.Fatalf("labels %v", labels)
	}
	target := "/metrics?slice=" + labels["__param_slice"]
	for number, want := range map[int]int{42: 200, 43: 421} {
		slice := httpapi.New(httpapi.Config{
			Number: number, Token: strings.Repeat("t", 43), Session: stats{}, Hub: new(httpapi.Hub), Logger: slog.New(slog.DiscardHandler),
			Healthy: func() bool { return false }, Migrated: func() bool { return false }, // scraped all the same
		})
		w := httptest.NewRecorder()
		slice.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		if w.Code != want || (want == 200) != strings.Contains(w.Body.String(), `slice_whatsapp_state{state="ready"} 1`) {
			t.Errorf("slice %d answers %d, want %d", number, w.Code, want)
		}
	}
	for name := range existing(t) {
		ours := strings.HasPrefix(name, "slice_")
		if kept := applied(t, s.Metrics, map[string]string{"__name__": name}); ours && !kept {
			t.Errorf("%s is dropped", name)
		}
	}
}

// Alerts and dashboard name no job that is not scraped.
func TestJobsInExpressionsAreScraped(t *testing.T) {
	all := scrapes(t)
	for _, m := range regexp.MustCompile(`job=~?\\?"([^"\\]+)`).FindAllStringSubmatch(string(monitoring.Alerts)+string(monitoring.Dashboard), -1) {
		for name := range strings.SplitSeq(m[1], "|") {
			if _, ok := all[name]; !ok {
				t.Errorf("there is no scrape %s", name)
			}
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
	if regexp.MustCompile(`"(write|list)"|(?m)^(key|session|acl|operator)`).MatchString(policy) || !strings.Contains(policy, `service_prefix "slice-" {`) {
		t.Errorf("policy\n%s", policy)
	}
}
