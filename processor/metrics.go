package processor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// The outcomes that are no reason of a skip.
const (
	outcomeActivity = "activity"
	outcomeDead     = "dead"
	outcomeErased   = "erased"
)

type metrics struct {
	activity  prometheus.Counter
	dead      prometheus.Counter
	erased    prometheus.Counter
	deadStage prometheus.Counter
	skips     map[schemas.Reason]prometheus.Counter
	barrier   prometheus.Histogram
	failures  map[step]prometheus.Counter
	freshness prometheus.Observer
	lag       *prometheus.GaugeVec
	waiting   *metric.Waiting
	balance   metric.Balance
	breaches  map[metric.Promise]prometheus.Counter
}

// step is one of the steps of a batch that may fail and be tried again.
type step string

const (
	barrier step = "barrier"
	produce step = "produce"
	commit  step = "commit"
)

func newMetrics(reg prometheus.Registerer, mappings Mappings, topic string) *metrics {
	events := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_processor_events_total",
		Help: "Events judged, what became of them acknowledged by Kafka: activity, dead, erased (credited to a person, or of a tenant, who was: it leaves nothing), or the reason of the skip. Repeats count, among them what is read again after a commit that failed.",
	}, []string{"outcome"}))
	metric.Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_processor_mappings",
		Help: "Agents that were ever mapped, of all tenants, whether or not they are mapped now. Grows from 0 after a start.",
	}, func() float64 { return float64(mappings.Len()) }))
	failures := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_processor_failures_total",
		Help: "Attempts that failed, by step: barrier (mappings or erasures cannot catch up), produce (outcomes not acknowledged), commit. " +
			"All are tried again, and events wait meanwhile but for a commit. Nothing is lost by one.",
	}, []string{"step"}))
	m := &metrics{
		activity:  events.WithLabelValues(outcomeActivity),
		dead:      events.WithLabelValues(outcomeDead),
		erased:    events.WithLabelValues(outcomeErased),
		deadStage: metric.Dead(reg).WithLabelValues("processor"),
		skips:     make(map[schemas.Reason]prometheus.Counter),
		barrier: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_processor_barrier_seconds",
			"Seconds for which a batch waited until the table of mappings was as new as the batch. Includes failed tries, so an outage of Kafka shows as one long wait.",
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}))),
		freshness: metric.Freshness(reg).WithLabelValues("processor"),
		failures:  make(map[step]prometheus.Counter),
		lag:       metric.Lag(reg),
		waiting:   metric.NewWaiting(reg, topic),
		balance:   metric.NewBalance(reg, "processor"),
		breaches:  metric.Breaches(reg, "processor", metric.Kept, metric.ContentFree, metric.AsOfArrival, metric.Apart),
	}
	for _, s := range []step{barrier, produce, commit} {
		m.failures[s] = failures.WithLabelValues(string(s))
	}
	for _, r := range schemas.Reasons() {
		m.skips[r] = events.WithLabelValues(string(r))
	}
	return m
}

// settled counts a batch whose outcomes are acknowledged, and lets the witness
// say what promises it broke.
func (m *metrics) settled(b *batch, now time.Time, witness *metric.Witness) {
	m.activity.Add(float64(b.activities))
	m.dead.Add(float64(b.dead))
	m.deadStage.Add(float64(b.dead))
	for reason, n := range b.skips {
		m.skips[reason].Add(float64(n))
		m.balance.Skipped.Add(float64(n))
	}
	m.erased.Add(float64(b.erased))
	m.balance.In.Add(float64(len(b.events)))
	m.balance.Erased.Add(float64(b.erased))
	m.balance.Out.Add(float64(b.activities))
	m.balance.Dead.Add(float64(b.dead))
	for _, f := range b.breaches {
		m.breaches[f.promise].Inc()
		witness.Saw(f.promise, f.at, f.more...)
	}
	for _, arrived := range b.arrivals {
		m.freshness.Observe(now.Sub(arrived).Seconds())
	}
}
