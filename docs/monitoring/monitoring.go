// Package monitoring holds the configuration of Prometheus with its alert rules,
// and the dashboard for Grafana.
package monitoring

import _ "embed"

// Alerts are Prometheus' alerting rules, in YAML.
//
//go:embed alerts.yaml
var Alerts []byte

// Scrapes is Prometheus' configuration, in YAML.
//
//go:embed prometheus.yml
var Scrapes []byte

// Dashboard is a Grafana dashboard, in JSON.
//
//go:embed dashboard.json
var Dashboard []byte

// NomadMetrics are those of Nomad's own that the files use: what it measures of
// each allocation, in bytes and MHz.
func NomadMetrics() []string {
	return []string{"nomad_client_allocs_memory_usage", "nomad_client_allocs_cpu_total_ticks"}
}
