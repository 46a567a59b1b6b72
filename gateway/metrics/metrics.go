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

	SignUps      *prometheus.CounterVec // result: hit, queued
	QueueServed  prometheus.Counter
	HashSeconds  prometheus.Histogram   // waiting for a slot included
	SessionCache *prometheus.CounterVec // result: hit, miss
	Retries      *prometheus.CounterVec // reason: dial, misdirected
	ListenerUp   prometheus.Gauge
	Mails        *prometheus.CounterVec // result: sent, retried, given_up, dropped
	LogIns       *prometheus.CounterVec // result: ok, wrong, throttled
}

// New returns metrics; sockets says how many are open now.
func New(sockets func() int) *Metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_sockets_open", Help: "WebSockets that are open now.",
	}, func() float64 { return float64(sockets()) })
	return &Metrics{
		Registry: reg,
		answers:  newAnswers(f),
		InFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_http_requests_in_flight", Help: "Requests being served, upgraded connections included.",
		}),
		SignUps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_sign_ups_total", Help: "Sign-ups, by whether a warm slice was there.",
		}, []string{"result"}),
		QueueServed: f.NewCounter(prometheus.CounterOpts{
			Name: "gateway_queue_served_total", Help: "Waiting users given a slice by this gateway.",
		}),
		HashSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "gateway_password_hash_seconds", Help: "Time to hash a password, waiting for a slot included.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		SessionCache: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_session_cache_total", Help: "Session look-ups, by whether the cache had it.",
		}, []string{"result"}),
		Retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_slice_retries_total", Help: "Requests sent again to another address of their slice, by reason.",
		}, []string{"reason"}),
		Mails: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_mails_total", Help: "Attempts to send a mail, by what became of them.",
		}, []string{"result"}),
		LogIns: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_log_ins_total", Help: "Attempts to log in, by result.",
		}, []string{"result"}),
		ListenerUp: f.NewGauge(prometheus.GaugeOpts{
			Name: "gateway_notifications_up", Help: "1 while database notifications arrive and the session cache is in use.",
		}),
	}
}
