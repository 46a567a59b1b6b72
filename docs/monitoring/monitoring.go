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
