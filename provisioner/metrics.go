package provisioner

import (
	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
)

// Steps take milliseconds to seconds, a slice up to its timeout of minutes.
var (
	stepBuckets      = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	provisionBuckets = []float64{.5, .75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120}
)

type metrics struct {
	leader           prometheus.Gauge
	slices           *prometheus.GaugeVec
	queued, target   prometheus.Gauge
	unexplained      prometheus.Gauge
	rounds           *prometheus.CounterVec
	roundSeconds     prometheus.Histogram
	provisionSeconds prometheus.Histogram
	failures         prometheus.Counter
	stepSeconds      *prometheus.HistogramVec
	stepFailures     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const ns = "provisioner"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	m := &metrics{
		leader:      gauge("leader", "1 on the instance that acts, 0 on standby."),
		queued:      gauge("queue_users", "Users who wait for a slice, as seen by the leader."),
		target:      gauge("warm_target", "Slices that are kept warm beside those for the queue."),
		unexplained: gauge("unexplained_slices", "Slices that need an operator: parts without a record, or a user without data."),
		slices: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: "slices",
			Help: "Slices by state, as seen by the leader."}, []string{"state"}),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "rounds_total",
			Help: "Rounds of reading, planning and applying."}, []string{"result"}),
		roundSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: "round_seconds",
			Help: "Duration of a round.", Buckets: stepBuckets}),
		provisionSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: "provision_seconds",
			Help: "From requested to warm.", Buckets: provisionBuckets}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "slice_failures_total",
			Help: "Slices that did not become warm."}),
		stepSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Name: "step_seconds",
			Help: "Duration of the steps that make or remove a slice.", Buckets: stepBuckets}, []string{"step"}),
		stepFailures: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "step_failures_total",
			Help: "Steps that failed; they are tried again."}, []string{"step"}),
	}
	if reg != nil {
		reg.MustRegister(m.leader, m.queued, m.target, m.unexplained, m.slices, m.rounds, m.roundSeconds,
			m.provisionSeconds, m.failures, m.stepSeconds, m.stepFailures)
	}
	return m
}

func (m *metrics) observe(s Snapshot, actions []Action) {
	byState := make(map[platform.SliceState]int)
	for _, sl := range s.Slices {
		byState[sl.State]++
	}
	for _, state := range platform.SliceStates() {
		if state != platform.SliceGone { // records of those are not all read
			m.slices.WithLabelValues(string(state)).Set(float64(byState[state]))
		}
	}
	m.queued.Set(float64(s.Queued))
	m.target.Set(float64(s.warmTarget()))
	unexplained := 0
	for _, a := range actions {
		if a.Kind == Report {
			unexplained++
		}
	}
	m.unexplained.Set(float64(unexplained))
}

// standby takes back what only a leader can know.
func (m *metrics) standby() {
	m.leader.Set(0)
	m.slices.Reset()
	m.queued.Set(0)
	m.unexplained.Set(0)
}
