package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// maxPoll bounds a batch: 2,000 events are 1 MB of records and 10 ms of
	// work, far inside the group's patience, and enough to make the barrier's
	// two requests and the commit cheap per event.
	maxPoll = 2000

	// commitTimeout bounds one commit. A commit that is not answered is not
	// waited for: the next one covers it, and a repeat folds.
	commitTimeout = 5 * time.Second

	// The wait between two tries of a step, doubling from the first to the
	// last. Kafka is away in the meantime, and the clients have backoffs of
	// their own.
	firstRetry, lastRetry = 100 * time.Millisecond, 5 * time.Second
)

// Config is what the processor is told.
type Config struct {
	Input   string         // the events topic
	Output  schemas.Topics // Activities, Skipped and Dead are written to
	Weights Weights
	Grace   time.Duration    // how long a batch in hand may take to settle after Run's context is done; 0: 5 s
	Now     func() time.Time // for metrics only; nil: time.Now
	Member  *kafka.Member    // of the consumer, for Ready; nil: taken to be in its group
}

// ErrClosed says that the consumer was closed under Run.
var ErrClosed = errors.New("the processor's Kafka client was closed")

// Processor is the loop around [Join].
type Processor struct {
	input      string
	consumer   *kgo.Client
	producer   *kgo.Client
	mappings   Mappings
	member     *kafka.Member
	grace      time.Duration
	now        func() time.Time
	log        *slog.Logger
	metrics    *metrics
	witness    *metric.Witness
	batch      *batch
	gaps       kafka.Gaps
	refused    int // commits that failed since the last that did not
	complaints kafka.Complaints
	held       atomic.Pointer[string] // what holds up the batch in hand; nil: nothing
}

// New returns a processor. consumer is a member of the processor's group that
// reads cfg.Input and nothing else, made by kafka.NewConsumer; it belongs to
// the processor from now on: the end of Run closes it. producer is made by
// kafka.NewProducer and stays the caller's. The error wraps [ErrWeights].
func New(cfg Config, consumer, producer *kgo.Client, mappings Mappings, log *slog.Logger, reg prometheus.Registerer) (*Processor, error) {
	if err := cfg.Weights.Validate(); err != nil {
		return nil, fmt.Errorf("processor: %w", err)
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Processor{
		input:    cfg.Input,
		consumer: consumer,
		producer: producer,
		mappings: mappings,
		member:   cfg.Member,
		grace:    cfg.Grace,
		now:      cfg.Now,
		log:      log,
		metrics:  newMetrics(reg, mappings, cfg.Input),
		witness:  metric.NewWitness(log),
		batch:    newBatch(cfg.Output, mappings, cfg.Weights),
	}, nil
}

// Ready is nil while the processor is in its group and no batch is held up:
// the mappings catch up, and outcomes are acknowledged. A commit that fails holds
// up nothing here; another member may have covered it. A processor that is not
// ready loses nothing: events wait in Kafka.
func (p *Processor) Ready() error {
	if p.member != nil {
		if err := p.member.Ready(); err != nil {
			return err
		}
	}
	if why := p.held.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// Run processes until ctx is done, and then returns nil; it may be called once.
// A batch in hand is settled first, for as long as Config.Grace, or dropped
// whole. Kafka being away is no failure: Run waits. It fails with [ErrClosed].
func (p *Processor) Run(ctx context.Context) error {
	// Whatever the way out: partitions must not wait for our session to time
	// out before another member gets them.
	defer kafka.Leave(p.consumer)

	// The batch in hand outlives ctx, but not for ever.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.grace, abandon) })()

	var lag sync.WaitGroup
	lctx, stop := context.WithCancel(ctx)
	lag.Go(func() { kafka.WatchLag(lctx, p.consumer, p.metrics.lag, p.input) })
	defer lag.Wait()
	defer stop()

	var events []*kgo.Record
	for {
		fetches := p.consumer.PollRecords(ctx, maxPoll) // 1
		switch {
		case fetches.IsClientClosed():
			return ErrClosed
		case ctx.Err() != nil:
			return nil // what this poll may have brought is not committed
		}
		p.complaints.About(ctx, fetches, p.log)
		events = events[:0]
		for r := range fetches.RecordsAll() {
			events = append(events, r)
		}
		p.metrics.took(events, p.missing(fetches))
		if len(events) > 0 && !p.settle(work, events) {
			return nil
		}
		clear(events)
		p.consumer.AllowRebalance() // 6
		p.cool(ctx)
	}
}

// settle does steps 2 to 5 for a batch. It returns false when ctx ended first:
// then nothing is committed.
func (p *Processor) settle(ctx context.Context, events []*kgo.Record) bool {
	began := p.now()
	if !p.retry(ctx, barrier, "the table of mappings cannot catch up with Kafka, so nothing is judged", func() error {
		return p.mappings.CatchUp(ctx) // 2
	}) {
		return false
	}
	p.metrics.barrier.Observe(p.now().Sub(began).Seconds())

	if !p.retry(ctx, produce, "outcomes are not acknowledged", func() error {
		p.batch.judge(events)                  // 3
		if err := p.produce(ctx); err != nil { // 4
			p.batch.forget()
			return err
		}
		return nil
	}) {
		return false
	}
	p.metrics.settled(p.batch, p.now(), p.witness)
	p.commit(ctx) // 5
	p.metrics.done(events)
	return true
}

// produce returns nil once all records of the batch are acknowledged. On an
// error some may be, and the client may still hold some when ctx is done:
// what was sent stays with it until its fate is known.
func (p *Processor) produce(ctx context.Context) error {
	var (
		open  atomic.Int64
		first error // promises are called one after the other, before done is closed
		done  = make(chan struct{})
	)
	open.Store(int64(len(p.batch.records)))
	settled := func(_ *kgo.Record, err error) {
		if err != nil && first == nil {
			first = err
		}
		if open.Add(-1) == 0 {
			close(done)
		}
	}
	for i := range p.batch.records {
		p.producer.Produce(ctx, &p.batch.records[i], settled)
	}
	select {
	case <-done:
		return first
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Processor) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := p.consumer.CommitUncommittedOffsets(ctx); err != nil {
		p.refused++
		p.metrics.failures[commit].Inc()
		p.log.Warn("a batch is done but not committed; it will be repeated, or covered by the next commit", "topic", p.input, "err", err)
		return
	}
	p.refused = 0
}

// cool waits after a commit that failed. Whoever is refused may be given the
// same batch again, and where Kafka refuses for long it would be repeated as
// fast as it can be produced. Partitions may go in the meantime.
func (p *Processor) cool(ctx context.Context) {
	if p.refused == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(firstRetry<<min(p.refused-1, 10), lastRetry)):
	}
}

// retry calls try until it succeeds. It returns false when ctx ended first.
func (p *Processor) retry(ctx context.Context, at step, trouble string, try func() error) bool {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := try()
		if err == nil {
			p.held.Store(nil)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.metrics.failures[at].Inc()
		why := fmt.Sprintf("%s: %v", trouble, err)
		p.held.Store(&why)
		p.log.Warn(trouble+", trying again", "wait", wait, "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// missing is how many events Kafka no longer had before those of fetches.
func (p *Processor) missing(fetches kgo.Fetches) int64 {
	n := p.gaps.Missing(p.consumer, fetches)
	if n > 0 {
		p.log.Error("events were deleted from Kafka before they were read: they are lost", "topic", p.input, "events", n)
	}
	return n
}
