package consul

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lookupMetrics counts what is asked of Consul, not what the table answers.
type lookupMetrics struct {
	results *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newLookupMetrics() *lookupMetrics {
	m := &lookupMetrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_catalog_lookups_total", Help: "Slices looked up in Consul, by result: found, none, error.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gateway_catalog_lookup_seconds", Help: "Time that Consul took to answer a look-up.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 2},
		}),
	}
	for _, result := range []string{"found", "none", "error"} {
		m.results.WithLabelValues(result)
	}
	return m
}

func (m *lookupMetrics) observe(found int, err error, took time.Duration) {
	result := "found"
	switch {
	case err != nil:
		result = "error"
	case found == 0:
		result = "none"
	}
	m.results.WithLabelValues(result).Inc()
	m.seconds.Observe(took.Seconds())
}

// Describe and Collect make the resolver's figures a prometheus.Collector.
func (r *Resolver) Describe(ch chan<- *prometheus.Desc) {
	r.lookups.results.Describe(ch)
	r.lookups.seconds.Describe(ch)
}

// Collect is the other half.
func (r *Resolver) Collect(ch chan<- prometheus.Metric) {
	r.lookups.results.Collect(ch)
	r.lookups.seconds.Collect(ch)
}
