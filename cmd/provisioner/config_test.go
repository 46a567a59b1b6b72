package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/jobs"
)

// good sets the least configuration.
func good(t *testing.T) map[string]string {
	return map[string]string{
		"DATABASE_URL":        "postgres://provisioner:db-secret@db/platform",
		"NOMAD_TOKEN":         "nomad-secret",
		"CONSUL_HTTP_TOKEN":   "consul-secret",
		"PLATFORM_KEY":        base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")),
		"SLICE_IMAGE":         "slice:1",
		"SLICE_DATABASE_HOST": "db:5432",
		"SECCOMP_PROFILE":     "/etc/seccomp.json",
	}
}

func parse(t *testing.T, values map[string]string) (Config, error) {
	t.Helper()
	for k, v := range values {
		t.Setenv(k, v)
	}
	return ParseConfig()
}

func TestConfigDefaults(t *testing.T) {
	cfg, err := parse(t, good(t))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.WarmTarget != 1 || cfg.Concurrency != 4 || cfg.ProvisionTimeout != 2*time.Minute || cfg.InstanceID == "" {
		t.Errorf("defaults: %+v", cfg)
	}
	t.Setenv("NOMAD_ALLOC_ID", "alloc")
	if cfg, err = ParseConfig(); err != nil || cfg.InstanceID != "alloc" {
		t.Errorf("instance %q (%v), want the allocation", cfg.InstanceID, err)
	}
}

func TestConfigNamesTheBadKey(t *testing.T) {
	cases := []struct{ key, value string }{
		{"LISTEN_ADDR", "8081"},
		{"DATABASE_URL", ""},
		{"DATABASE_URL", "postgres://provisioner:db-secret@db:port/platform"},
		{"NOMAD_ADDR", "127.0.0.1:4646"},
		{"PLATFORM_KEY", "short-secret"},
		{"PLATFORM_KEY", base64.StdEncoding.EncodeToString([]byte("short-secret"))},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector"},
		{"SLICE_OTLP_ENDPOINT", "collector:4318"},
		{"WARM_TARGET", "0"},
		{"WARM_TARGET", "many"},
		{"CONCURRENCY", "0"},
		{"MAX_STARTING", "-1"},
		{"PROVISION_TIMEOUT", "10ms"},
		{"SLICE_IMAGE", ""},
		{"SLICE_IMAGE", "registry:5000/slice"},
		{"SLICE_IMAGE", "slice:latest"},
		{"SLICE_DATABASE_HOST", "db"},
		{"SLICE_DATABASE_SSLMODE", "maybe"},
		{"SLICE_CPU", "0"},
		{"SLICE_MEMORY", "0"},
		{"SLICE_MEMORY_MAX", "1"},
		{"WHATSAPP_URL", "web.whatsapp.com"},
		{"APP_URL", "app"},
		{"SECCOMP_PROFILE", ""},
		{"LEADER_KEY", "elsewhere"},
		{"FAULT_POINT", "sometime"},
		{"LOG_LEVEL", "loud"},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s=%s", c.key, c.value), func(t *testing.T) {
			values := good(t)
			values[c.key] = c.value
			_, err := parse(t, values)
			if err == nil {
				t.Fatal("accepted")
			}
			if field := strings.ReplaceAll(c.key, "_", ""); !strings.Contains(err.Error(), c.key) && !strings.Contains(strings.ToUpper(err.Error()), field) {
				t.Errorf("%v does not name %s", err, c.key)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
}

func TestSlicesTraces(t *testing.T) {
	values := good(t)
	values["SLICE_OTLP_ENDPOINT"], values["SLICE_TRACE_RATIO"] = "http://10.0.0.5:4318", "0.1"
	cfg, err := parse(t, values)
	if err != nil {
		t.Fatal(err)
	}
	if v := cfg.jobVariables(); v["otlp_endpoint"] != "http://10.0.0.5:4318" || v["trace_ratio"] != "0.1" {
		t.Errorf("the job gets %v", v)
	}
	values["SLICE_TRACE_RATIO"] = "10%"
	if _, err := parse(t, values); err == nil || !strings.Contains(err.Error(), "SLICE_TRACE_RATIO") {
		t.Errorf("%v does not name SLICE_TRACE_RATIO", err)
	}
}

// What the provisioner says of slices is what their job takes.
func TestJobVariablesAreTheJobs(t *testing.T) {
	source, err := jobs.Source(jobs.Slice)
	if err != nil {
		t.Fatal(err)
	}
	for name := range new(Config).jobVariables() {
		if !strings.Contains(source, fmt.Sprintf("variable %q {", name)) || !strings.Contains(source, "var."+name) {
			t.Errorf("the job has no variable %s, or does not use it", name)
		}
	}
}

func TestConfigAcceptsImages(t *testing.T) {
	for _, image := range []string{"slice:1", "registry:5000/team/slice:v1.2", "slice@sha256:0123"} {
		values := good(t)
		values["SLICE_IMAGE"] = image
		if _, err := parse(t, values); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}
