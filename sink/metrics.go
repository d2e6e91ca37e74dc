package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
)

// stage is the sink's name in the labels that all stages share.
const stage = "sink"

type metrics struct {
	rows      prometheus.Counter
	append    prometheus.Histogram
	failures  *prometheus.CounterVec
	freshness prometheus.Observer
	dead      prometheus.Counter
	lag       *prometheus.GaugeVec
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
		failures: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_sink_failures_total",
			Help: "Attempts that failed and are repeated, by step: append to ClickHouse, quarantine to the dead-letter topic. Nothing is lost by one; a rate above zero means that rows wait.",
		}, []string{"step"})),
		freshness: metric.Freshness(reg).WithLabelValues(stage),
		dead:      metric.Dead(reg).WithLabelValues(stage),
		lag:       metric.Lag(reg),
		waiting:   metric.NewWaiting(reg, topics...),
		balance:   metric.NewBalance(reg, stage),
		breaches:  metric.Breaches(reg, stage, metric.Kept, metric.Repeatable, metric.Apart),
		repeats:   make(map[verdict]prometheus.Counter),
		topics:    topics,
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
	for _, step := range []string{"append", "quarantine"} {
		m.failures.WithLabelValues(step) // there before the first failure, so that a rate over it sees that one
	}
	return m
}

// appended counts rows that are in the store now, refused ones less.
func (m *metrics) appended(rows []Outcome, refused int, now time.Time) {
	m.rows.Add(float64(len(rows) - refused))
	for i := range rows {
		m.freshness.Observe(now.Sub(rows[i].ReceivedAt).Seconds())
	}
}

// hold notes, of each topic, since when its oldest record in hand has been
// waiting.
func (m *metrics) hold(b *batch) {
	for _, topic := range m.topics {
		m.waiting.Hold(topic, b.oldest[topic])
	}
}

// done counts a batch that will not be read again: what was taken in, by
// partition, and what became of it.
func (m *metrics) done(b *batch) {
	for _, n := range b.taken {
		m.balance.In.Add(float64(n))
	}
	buried := make(map[*kgo.Record]bool, len(b.dead))
	for _, l := range b.dead {
		buried[l.record] = true
	}
	var out, skipped int
	for i := range b.rows {
		switch {
		case buried[b.sources[i]]: // refused by the store
		case b.rows[i].Reason != "":
			skipped++
		default:
			out++
		}
	}
	m.balance.Out.Add(float64(out))
	m.balance.Skipped.Add(float64(skipped))
	m.balance.Dead.Add(float64(len(buried)))
	for _, topic := range m.topics {
		m.waiting.Hold(topic, time.Time{})
	}
}

// watch counts the broken promises that rows show, and lets the witness say
// where.
func (m *metrics) watch(b *batch, seen *memory, witness *metric.Witness) {
	for i := range b.rows {
		o, r := &b.rows[i], b.sources[i]
		at := metric.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
		if string(r.Key) != string(o.Tenant) {
			m.breaches[metric.Apart].Inc()
			witness.Saw(metric.Apart, at, "tenant", o.Tenant, "key", kafka.KeyTenant(r))
		}
		v := seen.judge(o)
		if v == unseen {
			continue
		}
		m.repeats[v].Inc()
		if v == changed || v == moved {
			m.breaches[metric.Repeatable].Inc()
			witness.Saw(metric.Repeatable, at, "tenant", o.Tenant, "verdict", v)
		}
	}
}
