package ingest

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// result is how a delivery ended, as halo_ingest_deliveries_total counts it. Those
// of refused deliveries are the words of [schemas.Refusal].
type result string

const (
	accepted     result = "accepted"
	test         result = "test"
	malformed           = result(schemas.RefusedMalformed)
	unauthorized        = result(schemas.RefusedUnauthorized)
	tooLarge            = result(schemas.RefusedTooLarge)
	rateLimited         = result(schemas.RefusedRateLimited)
	unavailable         = result(schemas.RefusedUnavailable)
	notFound     result = "not_found"
)

// refused is the kind under which an event that makes no activity is counted.
const refused = "refused"

type metrics struct {
	deliveries  map[result]prometheus.Counter
	kinds       map[schemas.Kind]prometheus.Counter
	refusedKind prometheus.Counter
	ack         prometheus.Histogram
	body        prometheus.Histogram
	freshness   prometheus.Observer
	balance     metric.Balance
	last        *prometheus.GaugeVec
	lastTest    *prometheus.GaugeVec
	throttled   *throttled
}

func newMetrics(reg prometheus.Registerer, now func() time.Time) *metrics {
	deliveries := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_ingest_deliveries_total",
		Help: "Deliveries answered, by how. Repeats count. Only accepted ones were kept; malformed ones were authenticated " +
			"and their sender has to change; unavailable ones may have been kept all the same. A test is a delivery without content of Halo's, " +
			"and no event. not_found is anything below /v1/webhooks/ that is no delivery: a wrong path or method.",
	}, []string{"result"}))
	events := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_ingest_events_total",
		Help: "Events of accepted deliveries, by kind; refused are those that make no activity whatever their kind. Repeats count.",
	}, []string{"kind"}))
	m := &metrics{
		deliveries:  make(map[result]prometheus.Counter),
		kinds:       make(map[schemas.Kind]prometheus.Counter),
		refusedKind: events.WithLabelValues(refused),
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
		lastTest: metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "halo_ingest_last_test_timestamp_seconds",
			Help: "When the tenant's last test delivery arrived at this process, in Unix time: Halo reached us, with the right secret and nothing to tell. " +
				"It is no delivery of an event.",
		}, []string{"tenant"})),
		throttled: metric.Register(reg, newThrottled(now)),
	}
	for _, r := range []result{accepted, test, malformed, unauthorized, tooLarge, rateLimited, unavailable, notFound} {
		m.deliveries[r] = deliveries.WithLabelValues(string(r)) // at 0 from the start: a rate needs the zero before the first
	}
	for _, k := range schemas.Kinds() {
		m.kinds[k] = events.WithLabelValues(string(k))
	}
	return m
}

// kept counts acknowledged events, and returns how many may make activities and how
// many have a refusal.
func (m *metrics) kept(events []schemas.Event, took time.Duration) (good, skipped int) {
	for i := range events {
		if events[i].Refusal != "" {
			skipped++
			m.refusedKind.Inc()
		} else {
			m.kinds[events[i].Kind].Inc()
		}
		m.freshness.Observe(took.Seconds())
	}
	good = len(events) - skipped
	m.ack.Observe(took.Seconds())
	m.balance.Out.Add(float64(good))
	m.balance.Skipped.Add(float64(skipped))
	return good, skipped
}

// answered counts what a 200 has promised.
func (m *metrics) answered(d *delivery) {
	at := float64(d.arrived.UnixMilli()) / 1e3
	if d.test() {
		m.deliveries[test].Inc()
		m.lastTest.WithLabelValues(string(d.connection.Tenant)).Set(at)
		return
	}
	m.deliveries[accepted].Inc()
	m.balance.In.Add(float64(d.good + d.skipped))
	d.sender.seen(m.last, d.connection.Tenant).Set(at)
}

// refused counts a delivery that got another answer.
func (m *metrics) refused(d *delivery) {
	if d.refusal.result == "" {
		return
	}
	m.deliveries[d.refusal.result].Inc()
	if d.refusal.result == rateLimited {
		m.throttled.add(d.connection.Tenant)
	}
}

// throttled counts the deliveries that were answered 429, by tenant. It shows those
// who met one in the last hour and forgets the others: who floods is a question of
// now, and a series for each of thousands of tenants would answer it badly.
type throttled struct {
	desc *prometheus.Desc
	now  func() time.Time

	mu      sync.Mutex
	tenants map[schemas.Tenant]*throttledTenant
}

type throttledTenant struct {
	deliveries float64
	last       time.Time
}

func newThrottled(now func() time.Time) *throttled {
	return &throttled{
		desc: prometheus.NewDesc("halo_ingest_throttled_total",
			"Deliveries of the tenant that were answered 429, for too many items or too many that were open at once. "+
				"Only tenants to whom it happened within the last hour; who comes back begins at 1.", []string{"tenant"}, nil),
		now:     now,
		tenants: make(map[schemas.Tenant]*throttledTenant),
	}
}

func (t *throttled) add(tenant schemas.Tenant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.tenants[tenant]
	if of == nil {
		of = &throttledTenant{}
		t.tenants[tenant] = of
	}
	of.deliveries++
	of.last = t.now()
}

// Describe is for the registry.
func (t *throttled) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect is for the registry.
func (t *throttled) Collect(ch chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tenant, of := range t.tenants {
		if t.now().Sub(of.last) > time.Hour {
			delete(t.tenants, tenant)
			continue
		}
		ch <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, of.deliveries, string(tenant))
	}
}
