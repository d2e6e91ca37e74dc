package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/tracing"
	"github.com/worksights/halo-connector/schemas"
)

// The defaults of [Config].
const (
	DefaultGroup = "sink"
	// DefaultBatchRows is what ClickHouse likes in one insert (10,000 to
	// 100,000 rows), and some 40 MB of ours.
	DefaultBatchRows = 50_000
	// DefaultBatchWait is how long a lone row waits for company. It is most of
	// the way from delivery to row, and makes two inserts a second, which a
	// table merges without effort.
	DefaultBatchWait = 500 * time.Millisecond
	// DefaultDrain is three times what a full batch takes. A program gives each
	// of its parts ten seconds to stop (daemon.DefaultDrain), and where Kafka
	// hangs, giving up a commit and leaving the group take up to six more.
	DefaultDrain = 3 * time.Second
)

// Config is what a sink needs to know. Zero values of the last five mean the
// defaults.
type Config struct {
	Kafka     kafka.Config
	Topics    schemas.Topics
	Group     string
	BatchRows int           // append at the latest when so many rows are in hand
	BatchWait time.Duration // or when the first of them has waited so long
	Drain     time.Duration // how long Run goes on appending what it has in hand after its context is done
	Tracer    trace.Tracer  // of the rows that are being followed; nil: none is
}

func (c Config) withDefaults() (Config, error) {
	if err := c.Kafka.Validate(); err != nil {
		return c, fmt.Errorf("sink: %w", err)
	}
	if c.Topics.Activities == "" || c.Topics.Skipped == "" || c.Topics.Dead == "" {
		return c, errors.New("sink: a topic without a name")
	}
	if c.BatchRows < 0 || c.BatchWait < 0 || c.Drain < 0 {
		return c, errors.New("sink: a batch or a drain below zero")
	}
	if c.Group == "" {
		c.Group = DefaultGroup
	}
	if c.BatchRows == 0 {
		c.BatchRows = DefaultBatchRows
	}
	if c.BatchWait == 0 {
		c.BatchWait = DefaultBatchWait
	}
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	if c.Tracer == nil {
		c.Tracer = tracing.Nothing()
	}
	return c, nil
}

// Sink is one member of the group that appends outcomes.
type Sink struct {
	cfg        Config
	store      Store
	log        *slog.Logger
	reg        prometheus.Registerer
	opts       []kgo.Opt
	metrics    *metrics
	witness    *metric.Witness
	gaps       kafka.Gaps
	complaints kafka.Complaints
	seen       memory

	consumer, producer *kgo.Client

	member *kafka.Member
	ready  readiness

	// wish rings when the group wants to rebalance and we are in its way.
	wish bell
	// lost are partitions that were taken away since the loop last looked.
	lost struct {
		sync.Mutex
		partitions []partition
	}
}

type partition struct {
	topic  string
	number int32
}

// New returns a sink that appends to store. Nothing is connected yet. Options
// go to its Kafka clients, last.
func New(cfg Config, store Store, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*Sink, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, store: store, log: log, reg: reg, opts: opts, witness: metric.NewWitness(log), member: kafka.NewMember()}
	s.metrics = newMetrics(reg, cfg.Topics.Activities, cfg.Topics.Skipped)
	return s, nil
}

// Run consumes until ctx is done, then appends and commits what it has in
// hand, for at most Config.Drain, leaves the group and returns nil. It returns
// an error only when it cannot begin. Run is called once.
func (s *Sink) Run(ctx context.Context) (err error) {
	topics := []string{s.cfg.Topics.Activities, s.cfg.Topics.Skipped}
	s.producer, err = kafka.NewProducer(s.cfg.Kafka, s.log, s.reg, s.opts...)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer s.producer.Close()
	s.consumer, err = kafka.NewConsumer(s.cfg.Kafka, s.cfg.Group, topics, s.log, s.reg, slices.Concat(s.member.Opts(), []kgo.Opt{
		kgo.OnPartitionsRevoked(s.takenAway),
		kgo.OnPartitionsLost(s.takenAway),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) { s.wish.ring() }),
	}, s.opts)...)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer kafka.Leave(s.consumer)

	work, end := outlive(ctx, s.cfg.Drain)
	defer end()
	var lag sync.WaitGroup
	lctx, stop := context.WithCancel(work)
	lag.Go(func() { kafka.WatchLag(lctx, s.consumer, s.metrics.lag, topics...) })
	defer lag.Wait()
	defer stop()
	for ctx.Err() == nil {
		b := s.collect(ctx)
		if err := s.settle(work, b); err != nil {
			// Only the end of work stops it. What is in hand is not committed
			// and will be read again.
			s.log.WarnContext(work, "ended with rows in hand, which will be read again", "rows", len(b.rows), "err", err)
			return nil
		}
		s.allowRebalance()
	}
	return nil
}

// outlive returns a context that is done when ctx has been for d, or by end,
// which waits for the goroutine that sees to it.
func outlive(ctx context.Context, d time.Duration) (work context.Context, end func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ctx.Done():
			sleep(work, d)
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { cancel(); wg.Wait() }
}

// collect polls one batch: it waits for a first record as long as it takes,
// and then for more until the batch is full, old enough, or in the way of a
// rebalance.
func (s *Sink) collect(ctx context.Context) *batch {
	b := newBatch()
	s.poll(ctx, b)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.BatchWait)
	defer cancel()
	defer s.wish.answer(cancel)()
	for b.records < s.cfg.BatchRows && ctx.Err() == nil {
		s.poll(ctx, b)
	}
	return b
}

// company adds to b what is there to be polled at once. Rebalances are blocked
// before and after.
func (s *Sink) company(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, companyWait)
	defer cancel()
	s.poll(ctx, b)
}

// poll adds what one poll returns to b.
func (s *Sink) poll(ctx context.Context, b *batch) {
	fetches := s.consumer.PollRecords(ctx, s.cfg.BatchRows-b.records)
	s.complaints.About(ctx, fetches, s.log)
	// What was taken away before these records came is not in hand. Forgotten
	// later, it would take along what we were given anew since.
	s.takeLost()
	if n := s.gaps.Missing(s.consumer, fetches); n > 0 {
		s.metrics.breaches[metric.Kept].Add(float64(n))
		s.log.ErrorContext(ctx, "outcomes were deleted from Kafka before they were read: they are lost until a replay", "records", n)
	}
	for r := range fetches.RecordsAll() {
		b.add(r)
	}
	s.metrics.hold(b)
}

// takenAway remembers that partitions are not ours any more. The client calls
// it between polls only, when the loop allows it.
func (s *Sink) takenAway(_ context.Context, _ *kgo.Client, away map[string][]int32) {
	s.lost.Lock()
	defer s.lost.Unlock()
	for topic, numbers := range away {
		for _, n := range numbers {
			s.lost.partitions = append(s.lost.partitions, partition{topic, n})
		}
	}
}

func (s *Sink) takeLost() []partition {
	s.lost.Lock()
	defer s.lost.Unlock()
	lost := s.lost.partitions
	s.lost.partitions = nil
	return lost
}

func (s *Sink) allowRebalance() {
	s.wish.hush()
	s.consumer.AllowRebalance()
}

// pause waits for d while rebalances may happen, then blocks them again and
// puts out of hand what they took away.
func (s *Sink) pause(ctx context.Context, d time.Duration, b *batch) {
	s.allowRebalance()
	sleep(ctx, d)
	// A poll whose context is done returns no record. But it returns something,
	// and so blocks rebalances, after the one that is under way.
	done, cancel := context.WithCancel(ctx)
	cancel()
	s.consumer.PollRecords(done, 1)
	b.drop(s.takeLost())
	s.metrics.hold(b)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// bell passes the group's wish to rebalance on to whatever the loop is doing.
type bell struct {
	mu   sync.Mutex
	rung bool
	act  func()
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = true
	if b.act != nil {
		b.act()
	}
}

// answer calls act, once or more, when the bell rings or if it has; until the
// function that it returns is called.
func (b *bell) answer(act func()) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.act = act
	if b.rung {
		act()
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.act = nil
	}
}

// hush forgets that the bell rang: the wish is being granted. A ring that
// comes late, for a wish that was granted, only makes one batch small.
func (b *bell) hush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = false
}

// batch is what is in hand between a poll and its commit.
type batch struct {
	rows    []Outcome
	sources []*kgo.Record // of the rows, one each
	dead    []letter
	records int                       // polled, of any fate
	last    map[partition]*kgo.Record // the furthest of each partition: what to commit
	taken   map[partition]int         // how many of each
	oldest  map[string]time.Time      // of each topic, when the first in hand was written
}

// letter is a record that is to be a dead letter, and why.
type letter struct {
	record *kgo.Record
	reason string
}

func newBatch() *batch {
	return &batch{last: make(map[partition]*kgo.Record), taken: make(map[partition]int), oldest: make(map[string]time.Time)}
}

func (b *batch) add(r *kgo.Record) {
	b.records++
	at := partition{r.Topic, r.Partition}
	b.last[at] = r // a partition's records come in order
	b.taken[at]++
	if t, ok := b.oldest[r.Topic]; !ok || r.Timestamp.Before(t) {
		b.oldest[r.Topic] = r.Timestamp
	}
	o, dead := parse(r)
	if dead != "" {
		b.dead = append(b.dead, letter{r, dead})
		return
	}
	b.rows, b.sources = append(b.rows, o), append(b.sources, r)
}

// drop puts out of hand what belongs to partitions that were taken away: their
// new owner reads it from the last commit.
func (b *batch) drop(lost []partition) {
	if len(lost) == 0 {
		return
	}
	gone := func(r *kgo.Record) bool {
		return slices.Contains(lost, partition{r.Topic, r.Partition})
	}
	kept := 0
	for i, r := range b.sources {
		if !gone(r) {
			b.rows[kept], b.sources[kept] = b.rows[i], r
			kept++
		}
	}
	clear(b.sources[kept:])
	b.rows, b.sources = b.rows[:kept], b.sources[:kept]
	b.dead = slices.DeleteFunc(b.dead, func(l letter) bool { return gone(l.record) })
	maps.DeleteFunc(b.last, func(_ partition, r *kgo.Record) bool { return gone(r) })
	maps.DeleteFunc(b.taken, func(p partition, _ int) bool { return slices.Contains(lost, p) })
	// What is left may be younger; one figure too old for one batch is better
	// than records kept only to be dated.
	for _, p := range lost {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(b.last)), func(q partition) bool { return q.topic == p.topic }) {
			delete(b.oldest, p.topic)
		}
	}
}
