package httpapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ipnoelp.io/platform/slice/whatsapp"
)

const metricsPath = "/metrics"

var (
	stateDesc = prometheus.NewDesc("slice_whatsapp_state",
		"1 for the state that the WhatsApp session is in, 0 for all others.", []string{"state"}, nil)
	transitionsDesc = prometheus.NewDesc("slice_whatsapp_transitions_total",
		"How often a state was entered.", []string{"state"}, nil)
	restartsDesc = prometheus.NewDesc("slice_browser_restarts_total",
		"Browsers that were replaced, by cause: browser_lost, page_crashed, page_hangs, not_ready, memory.", []string{"cause"}, nil)
	reloadsDesc = prometheus.NewDesc("slice_page_reloads_total",
		"Pages that were loaded anew, by cause: memory, conflict.", []string{"cause"}, nil)
	memoryDesc = prometheus.NewDesc("slice_memory_bytes",
		"Memory of the program and its browser that nothing else shares; 0 before the first reading.", nil, nil)
	limitDesc = prometheus.NewDesc("slice_memory_limit_bytes",
		"What they may use; 0 is no limit.", nil, nil)
)

// metrics serves what the session counts, and the program's own figures.
func metrics(s Session) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(sessionCollector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// sessionCollector reads the counts when they are asked for.
type sessionCollector struct{ session Session }

func (sessionCollector) Describe(ch chan<- *prometheus.Desc) { DescribeMetrics(ch) }

// DescribeMetrics sends what a slice counts of its own.
func DescribeMetrics(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stateDesc, transitionsDesc, restartsDesc, reloadsDesc, memoryDesc, limitDesc} {
		ch <- d
	}
}

func (c sessionCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.session.Stats()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for _, state := range whatsapp.States {
		now := 0.0
		if state == s.State {
			now = 1
		}
		send(stateDesc, prometheus.GaugeValue, now, string(state))
		send(transitionsDesc, prometheus.CounterValue, float64(s.Entered[state]), string(state))
	}
	for cause, n := range s.Restarts {
		send(restartsDesc, prometheus.CounterValue, float64(n), cause)
	}
	for cause, n := range s.Reloads {
		send(reloadsDesc, prometheus.CounterValue, float64(n), cause)
	}
	send(memoryDesc, prometheus.GaugeValue, float64(s.Memory.Used))
	send(limitDesc, prometheus.GaugeValue, float64(s.Memory.Limit))
}
