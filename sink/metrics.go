package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
)

// stage is the sink's name in the labels that all stages share.
const stage = "sink"

type metrics struct {
	rows      prometheus.Counter
	append    prometheus.Histogram
	failures  map[string]prometheus.Counter // by step
	freshness prometheus.Observer
	dead      prometheus.Counter
	lag       *prometheus.GaugeVec
	copies    *prometheus.GaugeVec // by state
	waiting   *metric.Waiting
	balance   metric.Balance
	breaches  map[metric.Promise]prometheus.Counter
	repeats   map[verdict]prometheus.Counter
	topics    []string
}

func newMetrics(reg prometheus.Registerer, topics ...string) *metrics {
	m := &metrics{
		rows: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_sink_rows_total",
			Help: "Rows appended to ClickHouse and answered. Counts repeats, which the views fold: not the number of events.",
		}, []string{"table"})).WithLabelValues("outcomes_log"),
		append: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_sink_append_seconds",
			"Seconds per insert that was answered. Failed and abandoned attempts are not in it; see halo_sink_failures_total.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}))),
		failures:  make(map[string]prometheus.Counter),
		freshness: metric.Freshness(reg).WithLabelValues(stage),
		dead:      metric.Dead(reg).WithLabelValues(stage),
		lag:       metric.Lag(reg),
		copies: metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "halo_sink_replicas",
			Help: "Replicas of the table, all and active, as the server sees them to which the sink is connected; 1 where it is not replicated. " +
				"Not how many have a row when its insert is answered: that is one, or insert_quorum. Absent while the server does not say.",
		}, []string{"state"})),
		waiting:  metric.NewWaiting(reg, topics...),
		balance:  metric.NewBalance(reg, stage),
		breaches: metric.Breaches(reg, stage, metric.Kept, metric.Repeatable, metric.Apart),
		repeats:  make(map[verdict]prometheus.Counter),
		topics:   topics,
	}
	failures := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_sink_failures_total",
		Help: "Attempts that failed and are repeated, by step: append to ClickHouse, quarantine to the dead-letter topic, commit. Nothing is lost by one; a rate above zero of the first two means that rows wait.",
	}, []string{"step"}))
	for _, step := range []string{"append", "quarantine", "commit"} {
		m.failures[step] = failures.WithLabelValues(step)
	}
	repeats := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_sink_repeats_total",
		Help: "Events met again by this process, by verdict: same (a stage repeated itself), resent (Halo delivered again), " +
			"changed (the same arrival, judged otherwise), moved (under another time, so that both rows stay). " +
			"Only among the latest tens of thousands of rows: older repeats are not noticed.",
	}, []string{"verdict"}))
	for _, v := range []verdict{same, resent, changed, moved} {
		m.repeats[v] = repeats.WithLabelValues(string(v))
	}
	return m
}

// appended counts rows that are in the store now.
func (m *metrics) appended(rows *Rows, now time.Time) {
	m.rows.Add(float64(rows.Len()))
	for _, received := range rows.received {
		m.freshness.Observe(now.Sub(time.UnixMilli(received)).Seconds())
	}
}

func (m *metrics) repeated(v verdict) {
	m.repeats[v].Inc()
	if v == changed || v == moved {
		m.breaches[metric.Repeatable].Inc()
	}
}

// settled counts a batch that will not be read again: what was taken in, by
// partition, and what became of it.
func (m *metrics) settled(b *batch) {
	for _, p := range b.parts {
		m.balance.In.Add(float64(p.records))
		m.balance.Erased.Add(float64(p.erased))
		m.balance.Expired.Add(float64(p.expired))
	}
	skipped := 0
	for _, reason := range b.rows.reason {
		if reason != "" {
			skipped++
		}
	}
	m.balance.Out.Add(float64(b.rows.Len() - skipped))
	m.balance.Skipped.Add(float64(skipped))
	m.balance.Dead.Add(float64(len(b.dead)))
}
