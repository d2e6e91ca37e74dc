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
	// maxPoll bounds a batch: 4,000 events are 2 MB of records and 5 ms of work,
	// far inside the group's patience, and enough to make the barrier's requests
	// and the commit cheap per event.
	maxPoll = 4000

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
	Grace   time.Duration    // how long what is in hand may take to settle after Run's context is done; 0: 5 s
	Now     func() time.Time // for metrics only; nil: time.Now
}

// Clients are the processor's ways to Kafka. Consumer was made with the Opts of
// Member, reads Config.Input and nothing else, and is closed at the end of Run;
// the producer stays the caller's.
type Clients struct {
	Consumer *kgo.Client
	Member   *kafka.Member
	Producer *kgo.Client
}

// ErrClosed says that the consumer was closed under Run.
var ErrClosed = errors.New("the processor's Kafka client was closed")

// Processor is the loop around [Join].
type Processor struct {
	input      string
	consumer   *kgo.Client
	producer   *kgo.Client
	member     *kafka.Member
	grace      time.Duration
	now        func() time.Time
	log        *slog.Logger
	metrics    *metrics
	witness    *metric.Witness
	judge      *judge
	gaps       kafka.Gaps
	complaints kafka.Complaints
	held       atomic.Pointer[string] // what holds up the batch in hand; nil: nothing

	// One batch is judged while the other is being produced.
	judged, produced *batch
	sent             time.Time // when records were last handed to the producer
}

// New returns a processor. The error wraps [ErrWeights].
func New(cfg Config, clients Clients, mappings Mappings, erasures Erasures, log *slog.Logger, reg prometheus.Registerer) (*Processor, error) {
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
		consumer: clients.Consumer,
		producer: clients.Producer,
		member:   clients.Member,
		grace:    cfg.Grace,
		now:      cfg.Now,
		log:      log,
		metrics:  newMetrics(reg, mappings, cfg.Input),
		witness:  metric.NewWitness(log),
		judge:    newJudge(cfg.Output, mappings, erasures, cfg.Weights),
		judged:   newBatch(),
		produced: newBatch(),
	}, nil
}

// Ready is nil while the processor is in its group and no batch is held up:
// the tables catch up, and outcomes are acknowledged. A commit that fails holds
// up nothing here; another member may have covered it. A processor that is not
// ready loses nothing: events wait in Kafka.
func (p *Processor) Ready() error {
	if err := p.member.Ready(); err != nil {
		return err
	}
	if why := p.held.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

// Run processes until ctx is done, and then returns nil; it may be called once.
// What is in hand is settled first, for as long as Config.Grace, or dropped
// whole. Kafka being away is no failure: Run waits. It fails with [ErrClosed].
func (p *Processor) Run(ctx context.Context) error {
	// Whatever the way out: partitions must not wait for our session to time
	// out before another member gets them.
	defer kafka.Leave(p.consumer)

	// What is in hand outlives ctx, but not for ever.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.grace, abandon) })()

	var lag sync.WaitGroup
	lctx, stop := context.WithCancel(ctx)
	lag.Go(func() { kafka.WatchLag(lctx, p.consumer, p.member, p.metrics.lag, p.metrics.waiting, p.input) })
	defer lag.Wait()
	defer stop()

	var under *kafka.Batch // the records of p.produced on their way; nil: none are
	for {
		closed := p.poll(ctx, under) // 1
		if closed {
			return ErrClosed
		}
		if ctx.Err() != nil && under == nil {
			return nil // what this poll may have brought is not committed
		}
		next := len(p.judged.events) > 0 && ctx.Err() == nil
		if next && !p.decide(work) { // 2, 3
			return nil
		}
		if under != nil {
			if !p.settle(work, under) { // 4, 5
				return nil
			}
			under = nil
		}
		if next {
			p.judged, p.produced = p.produced, p.judged
			under = p.send(work, p.produced.records)
			if p.member.Rebalance().Err() == nil {
				continue
			}
			if !p.settle(work, under) {
				return nil
			}
			under = nil
		}
		p.again(work)
		p.member.Allow(p.consumer) // 6
		if d := p.member.Rest(); d > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		}
	}
}

// poll takes events in hand. With nothing under way it waits for them as long as
// it takes, or until a commit that failed is to be tried again; else until the
// outcomes that are under way are acknowledged.
func (p *Processor) poll(ctx context.Context, under *kafka.Batch) (closed bool) {
	if under != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		polled := make(chan struct{})
		var waiter sync.WaitGroup
		waiter.Go(func() {
			select {
			case <-under.Done():
			case <-p.member.Rebalance().Done():
			case <-time.After(unanswered): // settle says so
			case <-polled:
			}
			cancel()
		})
		defer waiter.Wait()
		defer close(polled)
	} else if at, owed := p.member.Again(); owed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	fetches := p.consumer.PollRecords(ctx, maxPoll)
	if fetches.IsClientClosed() {
		return true
	}
	p.complaints.About(ctx, fetches, p.log)
	b := p.judged
	for r := range fetches.RecordsAll() {
		b.take(r)
	}
	if n := p.gaps.Missing(p.consumer, fetches); n > 0 {
		p.metrics.breaches[metric.Kept].Add(float64(n))
		p.log.Error("events were deleted from Kafka before they were read: they are lost", "topic", p.input, "events", n)
	}
	p.hold()
	return false
}

// hold notes the age of what is in hand.
func (p *Processor) hold() {
	oldest := p.judged.oldest
	if t := p.produced.oldest; oldest.IsZero() || !t.IsZero() && t.Before(oldest) {
		oldest = t
	}
	p.metrics.waiting.Hold(p.input, oldest)
}

// decide does steps 2 and 3 for the batch that was polled. It returns false when
// ctx ended first: then nothing of it is committed.
func (p *Processor) decide(ctx context.Context) bool {
	began := p.now()
	if !p.retry(ctx, barrier, "the tables cannot catch up with Kafka, so nothing is judged", func() error {
		if err := p.judge.mappings.CatchUp(ctx); err != nil {
			return err
		}
		return p.judge.erasures.CatchUp(ctx)
	}) {
		return false
	}
	p.metrics.barrier.Observe(p.now().Sub(began).Seconds())
	p.judge.judge(p.judged)
	return true
}

// settle does steps 4 and 5 for the batch whose records are under way. It
// returns false when ctx ended first: then nothing of it is committed.
func (p *Processor) settle(ctx context.Context, under *kafka.Batch) bool {
	b := p.produced
	if !p.retry(ctx, produce, "outcomes are not acknowledged", func() (err error) {
		if under == nil { // a repeat
			under = p.send(ctx, b.records)
		}
		err = p.acknowledged(ctx, b, under)
		under = nil
		return err
	}) {
		return false
	}
	p.metrics.settled(b, p.now(), p.witness)
	for i, r := range b.events {
		// A partition's events come together and in order.
		if i+1 == len(b.events) || b.events[i+1].Partition != r.Partition {
			p.member.Settled(r)
		}
	}
	b.reset()
	p.hold()
	p.commit(ctx)
	return true
}

func (p *Processor) commit(ctx context.Context) {
	if err := p.member.Commit(ctx, p.consumer); err != nil {
		p.metrics.failures[commit].Inc()
		p.log.Warn("a batch is done but not committed, trying again", "topic", p.input, "err", err)
	}
}

// again tries a commit that is owed, when its time has come. A poll returned, so
// that rebalances are blocked.
func (p *Processor) again(ctx context.Context) {
	if at, owed := p.member.Again(); owed && !time.Now().Before(at) {
		p.commit(ctx)
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
		p.holdUp(fmt.Sprintf("%s: %v", trouble, err))
		p.log.Warn(trouble+", trying again", "wait", wait, "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// holdUp says, for Ready, what holds up the batch in hand.
func (p *Processor) holdUp(why string) { p.held.Store(&why) }
