package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// result is how a delivery ended, as halo_ingest_deliveries_total counts it.
type result string

const (
	accepted     result = "accepted"
	malformed    result = "malformed"
	unauthorized result = "unauthorized"
	tooLarge     result = "too_large"
	rateLimited  result = "rate_limited"
	unavailable  result = "unavailable"
)

// refused is the kind under which an event that makes no activity is counted.
const refused = "refused"

type metrics struct {
	deliveries map[result]prometheus.Counter
	kinds      map[schemas.Kind]prometheus.Counter
	refused    prometheus.Counter
	ack        prometheus.Histogram
	body       prometheus.Histogram
	freshness  prometheus.Observer
	balance    metric.Balance
	last       *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	deliveries := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_ingest_deliveries_total",
		Help: "Deliveries answered, by how. Repeats count. Only accepted ones were kept; malformed ones were authenticated " +
			"and their sender has to change; unavailable ones are sent again by an admin or are lost to us.",
	}, []string{"result"}))
	events := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_ingest_events_total",
		Help: "Events of accepted deliveries, by kind; refused are those that make no activity whatever their kind. Repeats count.",
	}, []string{"kind"}))
	m := &metrics{
		deliveries: make(map[result]prometheus.Counter),
		kinds:      make(map[schemas.Kind]prometheus.Counter),
		refused:    events.WithLabelValues(refused),
		ack: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_ingest_ack_seconds",
			"Seconds from the arrival of an accepted delivery's header until Kafka acknowledged its events. "+
				"Includes the sender's upload of the body. Deliveries that were not accepted are not in it.",
			// The objective is 1 ms for half of them and 5 ms for 99 of 100;
			// 1.5 is where the edge gives up.
			[]float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5}))),
		body: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_ingest_body_bytes",
			"Bytes of the bodies read, after gunzip. Those that were refused before reading, or were too large, are not in it.",
			[]float64{512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10, 1 << 20, 2 << 20}))),
		freshness: metric.Freshness(reg).WithLabelValues("ingest"),
		balance:   metric.NewBalance(reg, "ingest"),
		last: metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "halo_ingest_last_delivery_timestamp_seconds",
			Help: "When the tenant's last accepted delivery arrived at this process, in Unix time. Take the maximum over processes and over time: " +
				"a process knows nothing of before its start, and keeps a tenant that has been disconnected.",
		}, []string{"tenant"})),
	}
	for _, r := range []result{accepted, malformed, unauthorized, tooLarge, rateLimited, unavailable} {
		m.deliveries[r] = deliveries.WithLabelValues(string(r)) // at 0 from the start: a rate needs the zero before the first
	}
	for _, k := range schemas.Kinds() {
		m.kinds[k] = events.WithLabelValues(string(k))
	}
	return m
}

// accept counts an acknowledged delivery of tenant and returns what its answer says: how
// many events may make activities, and how many have a refusal.
func (m *metrics) accept(tenant schemas.Tenant, events []schemas.Event, arrived time.Time, took time.Duration) (good, skipped int) {
	for i := range events {
		if events[i].Refusal != "" {
			skipped++
			m.refused.Inc()
			continue
		}
		good++
		m.kinds[events[i].Kind].Inc()
	}
	m.ack.Observe(took.Seconds())
	for range events {
		m.freshness.Observe(took.Seconds())
	}
	m.balance.Out.Add(float64(good))
	m.balance.Skipped.Add(float64(skipped))
	m.last.WithLabelValues(string(tenant)).Set(float64(arrived.UnixMilli()) / 1e3)
	return good, skipped
}

// answered counts what a 200 has promised.
func (m *metrics) answered(events int) {
	m.deliveries[accepted].Inc()
	m.balance.In.Add(float64(events))
}
