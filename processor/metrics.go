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
)

type metrics struct {
	activity  prometheus.Counter
	dead      prometheus.Counter
	deadStage prometheus.Counter
	skips     map[schemas.Reason]prometheus.Counter
	barrier   prometheus.Histogram
	freshness prometheus.Observer
	lag       prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, mappings Mappings, topic string) *metrics {
	events := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_processor_events_total",
		Help: "Events judged and committed, by what became of them: activity, dead, or the reason of the skip. Repeats count.",
	}, []string{"outcome"}))
	metric.Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_processor_mappings",
		Help: "Agents that were ever mapped, of all tenants, whether or not they are mapped now. Grows from 0 after a start.",
	}, func() float64 { return float64(mappings.Len()) }))
	m := &metrics{
		activity:  events.WithLabelValues(outcomeActivity),
		dead:      events.WithLabelValues(outcomeDead),
		deadStage: metric.Dead(reg).WithLabelValues("processor"),
		skips:     make(map[schemas.Reason]prometheus.Counter),
		barrier: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_processor_barrier_seconds",
			"Seconds for which a batch waited until the table of mappings was as new as the batch. Includes failed tries, so an outage of Kafka shows as one long wait.",
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}))),
		freshness: metric.Freshness(reg).WithLabelValues("processor"),
		lag:       metric.Lag(reg).WithLabelValues(topic),
	}
	for _, r := range schemas.Reasons() {
		m.skips[r] = events.WithLabelValues(string(r))
	}
	return m
}

// settled counts a batch whose outcomes are acknowledged.
func (m *metrics) settled(b *batch, now time.Time) {
	m.activity.Add(float64(b.activities))
	m.dead.Add(float64(b.dead))
	m.deadStage.Add(float64(b.dead))
	for reason, n := range b.skips {
		m.skips[reason].Add(float64(n))
	}
	for _, arrived := range b.arrivals {
		m.freshness.Observe(now.Sub(arrived).Seconds())
	}
}
