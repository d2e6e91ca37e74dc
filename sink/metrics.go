package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

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
}

func newMetrics(reg prometheus.Registerer) *metrics {
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

// lag knows how far the partitions that we own go and how far we are. It
// belongs to the loop.
type lag struct {
	gauge      *prometheus.GaugeVec
	topics     []string
	partitions map[partition]*reach
}

type reach struct{ end, next int64 }

func newLag(gauge *prometheus.GaugeVec, topics ...string) lag {
	l := lag{gauge: gauge, topics: topics, partitions: make(map[partition]*reach)}
	l.publish()
	return l
}

// fetched takes the ends of the log that came with the records.
func (l lag) fetched(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		at := partition{p.Topic, p.Partition}
		r := l.partitions[at]
		if r == nil {
			r = &reach{next: p.Records[0].Offset}
			l.partitions[at] = r
		}
		r.end = max(r.end, p.HighWatermark)
	})
	l.publish()
}

func (l lag) committed(last []*kgo.Record) {
	for _, r := range last {
		if at := l.partitions[partition{r.Topic, r.Partition}]; at != nil {
			at.next = r.Offset + 1
		}
	}
	l.publish()
}

func (l lag) drop(lost []partition) {
	if len(lost) == 0 {
		return
	}
	for _, p := range lost {
		delete(l.partitions, p)
	}
	l.publish()
}

func (l lag) publish() {
	for _, topic := range l.topics {
		var n int64
		for p, r := range l.partitions {
			if p.topic == topic {
				n += max(r.end-r.next, 0)
			}
		}
		l.gauge.WithLabelValues(topic).Set(float64(n))
	}
}
