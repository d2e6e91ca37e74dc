// Package table follows a compacted topic into memory, so that a key can be
// looked up in nanoseconds, and promises two things. A lookup can be made
// current: after [Table.CatchUp] the table holds every record that Kafka had
// acknowledged before the call. And all who read a topic hold the same of it,
// whoever wrote to it: see fence.go.
//
// What keeps it true:
//
//   - The topic has one partition, so that its records have one order; any other
//     number ends Run with [ErrPartitions].
//   - Records are applied in that order, from the first one, and the table notes
//     the offset up to which it has applied them.
//   - CatchUp reads the end offset after it was called, never before, and waits
//     until the table is applied up to it.
//   - A topic that goes backwards ends Run with [ErrRewound], or with
//     [kafka.ErrReplaced] where it was made again: a table that has applied what
//     the topic no longer holds is no copy of it, and only a new table is.
//
// Until the first catch-up the table is a part of the topic, in which a key
// that exists may look absent: see [Log.Ready].
package table

import (
	"iter"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/metric"
)

// Table is a topic in memory: for each key the value of its last record that
// counts. Everything but Run may be called by any goroutine at any time.
type Table[V any] struct {
	*Log
	parse func(*kgo.Record) (V, error)

	bad     prometheus.Counter
	badKeys prometheus.Gauge
	entries prometheus.Gauge
	// spoilt are the keys whose last record did not parse: their values are older
	// than the topic's. Only the goroutine that applies uses it.
	spoilt map[string]struct{}

	mu   sync.RWMutex
	rows map[string]V
}

// New returns a table of topic, empty until Run. cl comes from
// kafka.NewReader(topic) and belongs to the table from now on: the end of Run
// closes it. parse is given each record that counts and is no tombstone, and
// must not keep it. Of a record that does not parse the key keeps its previous
// value, so that a bad write never unmaps anyone.
func New[V any](cl *kgo.Client, topic string, parse func(*kgo.Record) (V, error), log *slog.Logger, reg prometheus.Registerer) *Table[V] {
	bad := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_table_bad_records_total",
		Help: "Records of a table's topic that did not parse; the key kept its previous value. " +
			"A table is read from the start with its process, so each restart counts the same records again.",
	}, []string{"topic"}))
	badKeys := metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "halo_table_bad_keys",
		Help: "Keys whose last record did not parse, so that the table answers with an older value of theirs or with none. " +
			"Falls when a key is written again; the counter of bad records does not.",
	}, []string{"topic"}))
	entries := metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "halo_table_entries",
		Help: "Keys that the table holds in this process. Grows from 0 after a start: not the number of keys until the process is ready.",
	}, []string{"topic"}))
	t := &Table[V]{
		parse:   parse,
		bad:     bad.WithLabelValues(topic),
		badKeys: badKeys.WithLabelValues(topic),
		entries: entries.WithLabelValues(topic),
		spoilt:  make(map[string]struct{}),
		rows:    make(map[string]V),
	}
	t.Log = NewLog(cl, topic, log, t.apply)
	return t
}

// Get returns the value of key's last record; ok is false where there is none
// or it was deleted. The answer is as fresh as the last catch-up, and worthless
// before the first.
func (t *Table[V]) Get(key string) (v V, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok = t.rows[key]
	return v, ok
}

// GetBytes is Get for a key built in a buffer; it does not allocate.
func (t *Table[V]) GetBytes(key []byte) (v V, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok = t.rows[string(key)]
	return v, ok
}

// Len is the number of keys.
func (t *Table[V]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.rows)
}

// All yields every key with its value, in no order. The table stands still
// meanwhile: the loop's body must be short and must not call the table.
func (t *Table[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		t.mu.RLock()
		defer t.mu.RUnlock()
		for k, v := range t.rows {
			if !yield(k, v) {
				return
			}
		}
	}
}

// change is what one record does to the table.
type change[V any] struct {
	key     string
	v       V
	present bool
}

// apply parses the records first and then changes the table in one step, so
// that readers wait for map writes only.
func (t *Table[V]) apply(records []Record, _ uint64) {
	changes := make([]change[V], 0, len(records))
	for _, r := range records {
		if r.Late {
			continue
		}
		c := change[V]{key: string(r.Key), present: r.Value != nil}
		if c.present {
			v, err := t.parse(r.Record)
			if err != nil {
				t.bad.Inc()
				t.spoilt[c.key] = struct{}{}
				t.log.Error("record of a table does not parse, its key keeps the previous value", "offset", r.Offset, "err", err)
				continue
			}
			c.v = v
		}
		delete(t.spoilt, c.key)
		changes = append(changes, c)
	}
	t.badKeys.Set(float64(len(t.spoilt)))

	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		if c.present {
			t.rows[c.key] = c.v
		} else {
			delete(t.rows, c.key)
		}
	}
	t.entries.Set(float64(len(t.rows)))
}
