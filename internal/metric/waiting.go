package metric

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Waiting is the consumer lag in seconds: how long the oldest record that a
// stage has in hand has been waiting in Kafka. Consumers read a partition in
// order, so the oldest in hand is the oldest that is not settled. It is worked
// out when it is scraped: a stage that is stuck in a batch does nothing, and
// that is when the figure has to grow.
type Waiting struct {
	desc *prometheus.Desc

	mu    sync.Mutex
	since map[string]time.Time // by topic; zero: nothing in hand
}

var _ prometheus.Collector = (*Waiting)(nil)

// NewWaiting returns the clock for the topics that the stage reads.
func NewWaiting(reg prometheus.Registerer, topics ...string) *Waiting {
	w := Register(reg, &Waiting{
		desc: prometheus.NewDesc("halo_consumer_lag_seconds",
			"Age of the oldest record that this process has in hand and has not committed; 0 where it has none. "+
				"Also 0 where Kafka cannot be read or the process owns no partition: then see halo_consumer_lag_records. "+
				"Take the maximum over processes.",
			[]string{"topic"}, nil),
		since: make(map[string]time.Time),
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range topics {
		if _, ok := w.since[topic]; !ok {
			w.since[topic] = time.Time{}
		}
	}
	return w
}

// Hold says that the oldest record in hand of topic was written at since; a
// zero since, that none is in hand.
func (w *Waiting) Hold(topic string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since[topic] = since
}

// Describe is for the registry.
func (w *Waiting) Describe(ch chan<- *prometheus.Desc) { ch <- w.desc }

// Collect is for the registry.
func (w *Waiting) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, since := range w.since {
		age := 0.0
		if !since.IsZero() {
			// The writer's clock may be ahead of ours.
			age = max(0, time.Since(since).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, age, topic)
	}
}
