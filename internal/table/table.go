// Package table follows a compacted topic into memory, so that a key can be
// looked up in nanoseconds, and promises that a lookup can be made current:
// after [Table.CatchUp] the table holds every record that Kafka had
// acknowledged before the call.
//
// What keeps it true:
//
//   - Records are applied in the order of their partition, from the first one,
//     and the table notes the offset up to which it has applied each partition.
//   - CatchUp reads the end offsets after it was called, never before, and
//     waits until every partition is applied up to its end.
//   - A topic that goes backwards (truncated, recreated) ends Run with
//     [ErrRewound]: a table that has applied what the topic no longer holds is
//     no copy of it, and only a new table is.
//
// Until the first catch-up the table is a part of the topic, in which a key
// that exists may look absent: see [Table.Ready].
package table

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/metric"
)

var (
	// ErrRewound says that the topic lost records that the table has applied.
	// The one remedy is a new table.
	ErrRewound = errors.New("topic holds less than was read from it")
	// ErrStopped says that Run has ended: nothing will be applied any more.
	ErrStopped = errors.New("table is no longer followed")
	// ErrNotReady says that the first catch-up is not done.
	ErrNotReady = errors.New("table is being read for the first time")
)

// Options are what a table can do without.
type Options[V any] struct {
	// OnBad is told of a record that does not parse. The table keeps the
	// previous value of its key, so a bad write never unmaps anyone. A table
	// that is built again meets the record again: whoever writes dead letters
	// here writes it once per start. Called by Run, before later records are
	// applied; it must not wait for the table.
	OnBad func(r *kgo.Record, err error)
	// OnChange is told of every record applied, after it can be looked up and
	// before CatchUp returns for it; present is false for a tombstone. Called by
	// Run; it must not block.
	OnChange func(key string, v V, present bool)
}

// Table is a topic in memory: for each key the value of its last record.
// Everything but Run may be called by any goroutine at any time.
type Table[V any] struct {
	cl    *kgo.Client
	topic string
	parse func(*kgo.Record) (V, error)
	log   *slog.Logger
	opts  Options[V]

	bad     prometheus.Counter
	badKeys prometheus.Gauge
	entries prometheus.Gauge
	// spoilt are the keys whose last record did not parse: their values are older
	// than the topic's. Only the goroutine that applies uses it.
	spoilt map[string]struct{}

	mu      sync.RWMutex
	rows    map[string]V
	applied map[int32]int64 // partition -> offset after the last record applied
	barren  map[int32]int64 // partition -> offset below which no record is left, found by probing
	moved   chan struct{}   // closed, and replaced, when applied or barren changes

	barrier barrier
	ready   atomic.Bool
	problem atomic.Pointer[string] // why the first catch-up takes long, for Ready
	done    chan struct{}          // closed when Run ends
}

// New returns a table of topic, empty until Run. cl comes from
// kafka.NewReader(topic) and belongs to the table from now on: the end of Run
// closes it. parse is given each record that is not a tombstone and must not
// keep it.
func New[V any](cl *kgo.Client, topic string, parse func(*kgo.Record) (V, error), log *slog.Logger, reg prometheus.Registerer, opts Options[V]) *Table[V] {
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
	return &Table[V]{
		cl: cl, topic: topic, parse: parse, log: log.With("topic", topic), opts: opts,
		bad:     bad.WithLabelValues(topic),
		badKeys: badKeys.WithLabelValues(topic),
		entries: entries.WithLabelValues(topic),
		spoilt:  make(map[string]struct{}),
		rows:    make(map[string]V),
		applied: make(map[int32]int64),
		barren:  make(map[int32]int64),
		moved:   make(chan struct{}),
		barrier: newBarrier(),
		done:    make(chan struct{}),
	}
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

// Ready is nil once the table has caught up for the first time, for as long as
// Run runs; else it wraps ErrNotReady or ErrStopped and says what it waits for.
// A table that Kafka has left behind stays ready: its users wait in CatchUp.
func (t *Table[V]) Ready() error {
	select {
	case <-t.done:
		return fmt.Errorf("%s: %w", t.topic, ErrStopped)
	default:
	}
	if t.ready.Load() {
		return nil
	}
	if why := t.problem.Load(); why != nil {
		return fmt.Errorf("%s: %w: %s", t.topic, ErrNotReady, *why)
	}
	return fmt.Errorf("%s: %w", t.topic, ErrNotReady)
}

// Run follows the topic until ctx is done, and then returns nil; it may be
// called once. It fails with ErrRewound, and when the client is closed under
// it. Kafka being away is no failure: it waits.
func (t *Table[V]) Run(ctx context.Context) error {
	// done first: whoever waits in CatchUp is told before the client goes.
	defer t.cl.Close()
	defer close(t.done)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.follow(gctx) })
	g.Go(func() error { return t.answer(gctx) })
	g.Go(func() error { t.becomeReady(gctx); return nil })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("table %s: %w", t.topic, err)
	}
	return nil
}

// becomeReady catches up until it worked once.
func (t *Table[V]) becomeReady(ctx context.Context) {
	// Long enough for a large table on a slow link; it only bounds one attempt,
	// and what was applied during a failed one stays.
	const attempt, pause = time.Minute, 250 * time.Millisecond
	for ctx.Err() == nil {
		actx, cancel := context.WithTimeout(ctx, attempt)
		err := t.CatchUp(actx)
		cancel()
		if err == nil {
			t.ready.Store(true)
			t.log.Info("table is complete", "keys", t.Len())
			return
		}
		why := err.Error()
		t.problem.Store(&why)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow applies what the topic brings.
func (t *Table[V]) follow(ctx context.Context) error {
	// A bound, so that a long topic becomes visible piece by piece.
	const batch = 10_000
	var last string // the last error logged: a broker that is away repeats itself
	for {
		fetches := t.cl.PollRecords(ctx, batch)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			var loss *kgo.ErrDataLoss
			switch {
			case errors.As(e.Err, &loss), errors.Is(e.Err, kerr.OffsetOutOfRange):
				return fmt.Errorf("%w: partition %d: %w", ErrRewound, e.Partition, e.Err)
			case errors.Is(e.Err, kgo.ErrClientClosed):
				return e.Err
			case e.Err.Error() != last:
				last = e.Err.Error()
				t.log.Warn("cannot read the table's topic, trying on", "partition", e.Partition, "err", e.Err)
			}
		}
		if err := t.apply(fetches); err != nil {
			return err
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
func (t *Table[V]) apply(fetches kgo.Fetches) error {
	n := fetches.NumRecords()
	if n == 0 {
		return nil
	}
	changes := make([]change[V], 0, n)
	next := make(map[int32]int64)
	for r := range fetches.RecordsAll() {
		at, seen := next[r.Partition]
		if !seen {
			at = t.applied[r.Partition] // only this goroutine writes it
		}
		if r.Offset < at {
			return fmt.Errorf("%w: partition %d: offset %d after %d", ErrRewound, r.Partition, r.Offset, at-1)
		}
		next[r.Partition] = r.Offset + 1
		if r.Attrs.IsControl() {
			continue
		}
		c := change[V]{key: string(r.Key), present: r.Value != nil}
		if c.present {
			v, err := t.parse(r)
			if err != nil {
				t.reject(r, err)
				continue
			}
			c.v = v
		}
		delete(t.spoilt, c.key)
		changes = append(changes, c)
	}
	t.badKeys.Set(float64(len(t.spoilt)))

	t.mu.Lock()
	for _, c := range changes {
		if c.present {
			t.rows[c.key] = c.v
		} else {
			delete(t.rows, c.key)
		}
	}
	t.entries.Set(float64(len(t.rows)))
	t.mu.Unlock()

	if t.opts.OnChange != nil {
		for _, c := range changes {
			t.opts.OnChange(c.key, c.v, c.present)
		}
	}

	t.mu.Lock()
	for p, at := range next {
		t.applied[p] = at
	}
	t.announce()
	t.mu.Unlock()
	return nil
}

func (t *Table[V]) reject(r *kgo.Record, err error) {
	t.bad.Inc()
	t.spoilt[string(r.Key)] = struct{}{}
	t.log.Error("record of a table does not parse, its key keeps the previous value", "partition", r.Partition, "offset", r.Offset, "err", err)
	if t.opts.OnBad != nil {
		t.opts.OnBad(r, err)
	}
}

// announce wakes those who wait for the table to move; t.mu is held.
func (t *Table[V]) announce() {
	close(t.moved)
	t.moved = make(chan struct{})
}
