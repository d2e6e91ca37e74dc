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
//
// With nothing in hand it is 0 only where that is known to be all: a stage that is
// not in its group, or is refused its records, has nothing in hand either.
type Waiting struct {
	desc *prometheus.Desc

	mu     sync.Mutex
	topics map[string]*hand
}

// hand is what is known of a topic.
type hand struct {
	since time.Time // when the oldest record in hand was written; zero: none is
	held  bool      // one was in hand since Kafka was last asked
	idle  bool      // when Kafka was last asked, nothing was waiting, or some was being worked off
}

var _ prometheus.Collector = (*Waiting)(nil)

// NewWaiting returns the clock for the topics that the stage reads.
func NewWaiting(reg prometheus.Registerer, topics ...string) *Waiting {
	w := Register(reg, &Waiting{
		desc: prometheus.NewDesc("halo_consumer_lag_seconds",
			"Age of the oldest record that this process has in hand and has not committed; 0 where none waits. "+
				"Absent where nothing is in hand and that is not known to be all: see halo_consumer_lag_records. "+
				"Take the maximum over processes.",
			[]string{"topic"}, nil),
		topics: make(map[string]*hand),
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range topics {
		if w.topics[topic] == nil {
			w.topics[topic] = new(hand)
		}
	}
	return w
}

// Hold says that the oldest record in hand of topic was written at since; a
// zero since, that none is in hand.
func (w *Waiting) Hold(topic string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.topics[topic]
	h.since = since
	h.held = h.held || !since.IsZero()
}

// Behind says that so many records of topic are not committed.
func (w *Waiting) Behind(topic string, records int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.topics[topic]
	h.idle = records == 0 || h.held
	h.held = !h.since.IsZero()
}

// Unknown says that it is not known how many records of topic wait.
func (w *Waiting) Unknown(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[topic].idle = false
}

// Describe is for the registry.
func (w *Waiting) Describe(ch chan<- *prometheus.Desc) { ch <- w.desc }

// Collect is for the registry.
func (w *Waiting) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, h := range w.topics {
		age := 0.0
		switch {
		case !h.since.IsZero():
			// The writer's clock may be ahead of ours.
			age = max(0, time.Since(h.since).Seconds())
		case !h.idle:
			continue
		}
		ch <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, age, topic)
	}
}
