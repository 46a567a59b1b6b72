// Package monitoring holds the alert rules for Prometheus and the dashboard for
// Grafana.
package monitoring

import _ "embed"

// Alerts are Prometheus' alerting rules, in YAML.
//
//go:embed alerts.yaml
var Alerts []byte

// Dashboard is a Grafana dashboard, in JSON.
//
//go:embed dashboard.json
var Dashboard []byte
