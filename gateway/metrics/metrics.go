// Package metrics holds what the gateway counts. Labels are classes and codes,
// never a user or a slice: their number has no bound.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of one gateway, in a registry of their own.
type Metrics struct {
	Registry *prometheus.Registry

	InFlight prometheus.Gauge
	answers  *answers

	SignUps      *prometheus.CounterVec
	QueueServed  prometheus.Counter
	HashSeconds  prometheus.Histogram // waiting for a slot included
	SessionCache *prometheus.CounterVec
	Retries      *prometheus.CounterVec
	ListenerUp   prometheus.Gauge
	Mails        *prometheus.CounterVec
	LogIns       *prometheus.CounterVec
}

// New returns metrics; sockets says how many are open now.
func New(sockets func() int) *Metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_sockets_open", Help: "WebSockets that are open now.",
	}, func() float64 { return float64(sockets()) })
	// From zero on: who counts by increase() would miss the first of each.
	counted := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	return &Metrics{
		Registry: reg,
		answers:  newAnswers(f),
		InFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_http_requests_in_flight", Help: "Requests being served, upgraded connections included.",
		}),
		SignUps: counted("gateway_sign_ups_total", "Sign-ups, by whether a warm slice was there.", "result", "hit", "queued"),
		QueueServed: f.NewCounter(prometheus.CounterOpts{
			Name: "gateway_queue_served_total", Help: "Waiting users given a slice by this gateway.",
		}),
		HashSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "gateway_password_hash_seconds", Help: "Time to hash a password, waiting for a slot included.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		SessionCache: counted("gateway_session_cache_total", "Session look-ups, by whether the cache had it (hit, miss), and sessions in use that were read ahead of time (renewed).", "result", "hit", "miss", "renewed"),
		Retries:      counted("gateway_slice_retries_total", "Requests sent again to another address of their slice, by reason.", "reason", "dial", "misdirected"),
		Mails:        counted("gateway_mails_total", "Attempts to send a mail, by what became of them.", "result", "sent", "retried", "given_up", "refused", "dropped"),
		LogIns:       counted("gateway_log_ins_total", "Attempts to log in, by result.", "result", "ok", "wrong", "throttled"),
		ListenerUp: f.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_notifications_up", Help: "1 while database notifications arrive and the session cache is in use.",
		}),
	}
}
