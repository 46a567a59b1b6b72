package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// PoolCollector tells how a program uses its connections. Its metrics begin
// with the program's name.
type PoolCollector struct {
	pool                           *pgxpool.Pool
	connections, limit, waits, sum *prometheus.Desc
}

// NewPoolCollector returns the collector of a pool.
func NewPoolCollector(program string, pool *pgxpool.Pool) *PoolCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(program+"_database_"+name, help, labels, nil)
	}
	return &PoolCollector{
		pool:        pool,
		connections: desc("connections", "Connections to the database, by what they do: used, idle.", "state"),
		limit:       desc("connections_limit", "Connections that there may be."),
		waits:       desc("waits_total", "How often all connections were in use when one was wanted."),
		sum:         desc("acquire_seconds_total", "Time spent to get a connection."),
	}
}

// Describe implements prometheus.Collector.
func (c *PoolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.connections, c.limit, c.waits, c.sum} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *PoolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.pool.Stat()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.connections, float64(s.AcquiredConns()), "used")
	gauge(c.connections, float64(s.IdleConns()), "idle")
	gauge(c.limit, float64(s.MaxConns()))
	ch <- prometheus.MustNewConstMetric(c.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	ch <- prometheus.MustNewConstMetric(c.sum, prometheus.CounterValue, s.AcquireDuration().Seconds())
}
