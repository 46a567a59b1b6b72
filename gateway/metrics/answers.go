package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// answers counts the requests that were answered. It keeps the series it has
// looked up: to find one by its labels takes longer than to count in it.
type answers struct {
	requests *prometheus.CounterVec   // route, code
	seconds  *prometheus.HistogramVec // route; without upgraded connections

	mu     sync.RWMutex
	series map[answer]series // guarded by mu; as many as the vectors have
}

type answer struct {
	route  string
	status int
}

type series struct {
	count   prometheus.Counter
	seconds prometheus.Observer
}

func newAnswers(f promauto.Factory) *answers {
	return &answers{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_http_requests_total", Help: "Requests answered, by class of route and status code.",
		}, []string{"route", "code"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gateway_http_request_duration_seconds", Help: "Time to the end of the answer, without upgraded connections.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
		series: make(map[answer]series),
	}
}

// Answered counts a request of a class of routes that ended with status. An
// upgraded connection is counted, but not how long it took.
func (m *Metrics) Answered(route string, status int, took time.Duration, upgraded bool) {
	s := m.answers.of(answer{route, status})
	s.count.Inc()
	if !upgraded {
		s.seconds.Observe(took.Seconds())
	}
}

func (a *answers) of(key answer) series {
	a.mu.RLock()
	s, ok := a.series[key]
	a.mu.RUnlock()
	if ok {
		return s
	}
	s = series{count: a.requests.WithLabelValues(key.route, strconv.Itoa(key.status)), seconds: a.seconds.WithLabelValues(key.route)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.series[key] = s
	return s
}
