package sink

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/tracing"
	"github.com/worksights/halo-connector/schemas"
)

// DefaultDrain is three times what a full batch takes. A program gives each of
// its parts ten seconds to stop (daemon.DefaultDrain), and where Kafka hangs,
// giving up a commit and leaving the group take up to six more.
const DefaultDrain = 3 * time.Second

// Config is what a sink needs to know.
type Config struct {
	Topics    schemas.Topics
	BatchRows int           // append at the latest when so many rows are in hand
	BatchWait time.Duration // least time from the start of one insert to that of the next, unless the batch is full
	Drain     time.Duration // how long Run goes on appending what it has in hand after its context is done; 0: DefaultDrain
	Tracer    trace.Tracer  // of the rows that are being followed; nil: none is
	// Copies asks on how many replicas the table is; nil: nobody wants to know.
	Copies func(context.Context) (clickhouse.Copies, error)
}

// Clients are the sink's ways to Kafka. Consumer was made with the Opts of
// Member, reads the topics of activities and skips and nothing else, and is
// closed at the end of Run; the producer stays the caller's.
type Clients struct {
	Consumer *kgo.Client
	Member   *kafka.Member
	Producer *kgo.Client
}

// Erasures is the erasures topic of the sink's own prefix in memory.
type Erasures interface {
	// Get returns the erasure under a key of [schemas.ErasureKey].
	Get(key string) (schemas.Erasure, bool)
	// CatchUp returns nil once Get answers from every record that Kafka had
	// acknowledged before the call.
	CatchUp(ctx context.Context) error
	// Len is the number of erasures.
	Len() int
}

// Sink is one member of the group that appends outcomes.
type Sink struct {
	cfg      Config
	consumer *kgo.Client
	producer *kgo.Client
	member   *kafka.Member
	erasures Erasures
	store    Store
	log      *slog.Logger

	metrics    *metrics
	witness    *metric.Witness
	gaps       kafka.Gaps
	complaints kafka.Complaints
	repeats    repeats
	parser     *schemas.Parser
	ready      readiness

	// One batch is collected while the other is being appended.
	collected, appended *batch
	began               time.Time // when the last insert was handed to the store
	retention           retention
}

// New returns a sink that appends to store.
func New(cfg Config, clients Clients, erasures Erasures, store Store, log *slog.Logger, reg prometheus.Registerer) *Sink {
	if cfg.Drain == 0 {
		cfg.Drain = DefaultDrain
	}
	if cfg.Tracer == nil {
		cfg.Tracer = tracing.Nothing()
	}
	return &Sink{
		cfg: cfg, consumer: clients.Consumer, producer: clients.Producer, member: clients.Member, erasures: erasures, store: store, log: log,
		metrics: newMetrics(reg, cfg.Topics.Activities, cfg.Topics.Skipped),
		witness: metric.NewWitness(log), parser: schemas.NewParser(), collected: new(batch), appended: new(batch),
	}
}

// Run consumes until ctx is done, then appends and commits what it has in
// hand, for at most Config.Drain, leaves the group and returns nil. Run is
// called once.
func (s *Sink) Run(ctx context.Context) error {
	defer kafka.Leave(s.consumer)
	work, end := outlive(ctx, s.cfg.Drain)
	defer end()
	var beside sync.WaitGroup
	lctx, stop := context.WithCancel(work)
	beside.Go(func() {
		kafka.WatchLag(lctx, s.consumer, s.member, s.metrics.lag, s.metrics.waiting, s.cfg.Topics.Activities, s.cfg.Topics.Skipped)
	})
	if s.cfg.Copies != nil {
		beside.Go(func() { s.watchCopies(lctx) })
	}
	defer beside.Wait()
	defer stop()

	var under *insert // nil: none is under way
	for ctx.Err() == nil || s.collected.records > 0 || under != nil {
		s.collect(ctx, under)
		switch {
		case under != nil:
			err := s.settle(work, under, s.appended)
			under = nil
			if err != nil {
				// Only the end of work stops it. What is in hand is not committed
				// and will be read again.
				s.log.WarnContext(work, "ended with rows in hand, which will be read again", "rows", s.appended.rows.Len()+s.collected.rows.Len(), "err", err)
				return nil
			}
			s.appended.reset()
			s.hold()
		case s.collected.records > 0:
			s.collected, s.appended = s.appended, s.collected
			under = s.begin(work, s.appended)
		default:
			if at, owed := s.member.Again(); owed && !time.Now().Before(at) {
				s.block(work)
				s.commit(work)
			}
			s.member.Allow(s.consumer)
		}
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

// collect polls until the batch is due: full, in the way of a rebalance, or
// BatchWait after the last insert began, so that a row which comes alone does
// not wait. While an insert is under way it goes on until that is answered.
// With nothing in hand it returns after each poll, and waits in it as long as it
// takes, or until a commit that failed is to be tried again.
func (s *Sink) collect(ctx context.Context, under *insert) {
	b := s.collected
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.member.Rebalance(), cancel)()
	if under != nil {
		defer context.AfterFunc(under.answered, cancel)()
	}
	for ctx.Err() == nil && b.records < s.cfg.BatchRows {
		until, bounded := time.Time{}, false
		switch {
		case under != nil:
		case b.records > 0:
			until, bounded = s.began.Add(s.cfg.BatchWait), true
		default:
			until, bounded = s.member.Again()
		}
		if bounded && !time.Now().Before(until) {
			return
		}
		pctx, done := ctx, context.CancelFunc(func() {})
		if bounded {
			pctx, done = context.WithDeadline(ctx, until)
		}
		s.poll(pctx)
		done()
		if b.records == 0 && under == nil {
			return
		}
	}
}

// poll takes in hand what one poll returns.
func (s *Sink) poll(ctx context.Context) {
	b := s.collected
	fetches := s.consumer.PollRecords(ctx, s.cfg.BatchRows-b.records)
	s.complaints.About(ctx, fetches, s.log)
	// Whatever was taken away before these records came, nothing of it is in
	// hand: rebalances are allowed only then, or in a pause, which sees to it.
	s.member.TakeLost()
	if n := s.gaps.Missing(s.consumer, fetches); n > 0 {
		s.metrics.breaches[metric.Kept].Add(float64(n))
		s.log.ErrorContext(ctx, "outcomes were deleted from Kafka before they were read: they are lost until a replay", "records", n)
	}
	for r := range fetches.RecordsAll() {
		if !b.add(s.parser, r) {
			s.metrics.breaches[metric.Apart].Inc()
			s.witness.Saw(metric.Apart, metric.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
				"tenant", b.rows.tenant[b.rows.Len()-1], "key", kafka.KeyTenant(r))
		}
	}
	s.hold()
}

// hold notes the age of what is in hand.
func (s *Sink) hold() {
	for _, topic := range s.metrics.topics {
		oldest := s.collected.oldest(topic)
		if t := s.appended.oldest(topic); oldest.IsZero() || !t.IsZero() && t.Before(oldest) {
			oldest = t
		}
		s.metrics.waiting.Hold(topic, oldest)
	}
}

// block blocks rebalances, after the one that is under way, and returns what
// was taken away. A poll whose context is done returns no record. But it returns
// something, and so blocks them.
func (s *Sink) block(ctx context.Context) []kafka.Partition {
	done, cancel := context.WithCancel(ctx)
	cancel()
	s.consumer.PollRecords(done, 1)
	return s.member.TakeLost()
}

// pause waits for d while rebalances may happen, then blocks them again and
// puts out of hand what they took away.
func (s *Sink) pause(ctx context.Context, d time.Duration) {
	s.member.Allow(s.consumer)
	sleep(ctx, d)
	lost := s.block(ctx)
	s.collected.drop(lost)
	s.appended.drop(lost)
	s.hold()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
