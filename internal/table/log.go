package table

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/kafka"
)

var (
	// ErrRewound says that the topic lost records that were read from it. The one
	// remedy is to begin anew, as it is where the topic is another one:
	// kafka.ErrReplaced.
	ErrRewound = errors.New("topic holds less than was read from it")
	// ErrPartitions says that the topic has other than one partition: there is no
	// order of its records then, and nothing that could fence a writer.
	ErrPartitions = errors.New("a table's topic must have exactly one partition")
	// ErrStopped says that Run has ended: nothing will be applied any more.
	ErrStopped = errors.New("table is no longer followed")
	// ErrNotReady says that the first catch-up is not done.
	ErrNotReady = errors.New("table is being read for the first time")
)

// Log is a table's topic as it is read: every record in its order, and with each
// whether it counts. Everything but Run may be called by any goroutine at any
// time.
type Log struct {
	cl    *kgo.Client
	topic string
	log   *slog.Logger
	apply func(records []Record, epoch uint64)

	mu      sync.RWMutex
	applied int64         // offset after the last record applied
	empty   int64         // offset below which no record is left, found by probing
	epoch   uint64        // the greatest that was met
	since   int64         // offset of the first record that had it
	moved   chan struct{} // closed, and replaced, when applied or empty changes

	barrier barrier
	id      atomic.Pointer[kadm.TopicID] // of the topic that is followed
	ready   atomic.Bool
	problem atomic.Pointer[string] // why the first catch-up takes long, for Ready
	done    chan struct{}          // closed when Run ends
}

// NewLog returns the log of topic. cl comes from kafka.NewReader(topic) and
// belongs to the log from now on: the end of Run closes it. apply is given the
// records that are no markers, before CatchUp returns for them, and the greatest
// epoch that was met by their end; it is called by Run and must not wait for the
// log.
func NewLog(cl *kgo.Client, topic string, log *slog.Logger, apply func(records []Record, epoch uint64)) *Log {
	return &Log{
		cl: cl, topic: topic, log: log.With("topic", topic), apply: apply,
		moved:   make(chan struct{}),
		barrier: newBarrier(),
		done:    make(chan struct{}),
	}
}

// Epoch is the greatest epoch that was met so far, and the offset of the first
// record that had it: what is behind it with a smaller one does not count.
func (l *Log) Epoch() (epoch uint64, since int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epoch, l.since
}

// Ready is nil once the log has caught up for the first time, for as long as Run
// runs; else it wraps ErrNotReady or ErrStopped and says what it waits for. A log
// that Kafka has left behind stays ready: its users wait in CatchUp.
func (l *Log) Ready() error {
	select {
	case <-l.done:
		return fmt.Errorf("%s: %w", l.topic, ErrStopped)
	default:
	}
	if l.ready.Load() {
		return nil
	}
	if why := l.problem.Load(); why != nil {
		return fmt.Errorf("%s: %w: %s", l.topic, ErrNotReady, *why)
	}
	return fmt.Errorf("%s: %w", l.topic, ErrNotReady)
}

// Run follows the topic until ctx is done, and then returns nil; it may be
// called once. It fails with ErrRewound or kafka.ErrReplaced, with ErrPartitions,
// and when the client is closed under it. Kafka being away is no failure: it waits.
func (l *Log) Run(ctx context.Context) error {
	// done first: whoever waits in CatchUp is told before the client goes.
	defer l.cl.Close()
	defer close(l.done)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.follow(gctx) })
	g.Go(func() error { return l.answer(gctx) })
	g.Go(func() error { return l.becomeReady(gctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("table %s: %w", l.topic, err)
	}
	return nil
}

// becomeReady catches up until it worked once.
func (l *Log) becomeReady(ctx context.Context) error {
	// Long enough for a large table on a slow link; it only bounds one attempt,
	// and what was applied during a failed one stays.
	const attempt, pause = time.Minute, 250 * time.Millisecond
	for ctx.Err() == nil {
		actx, cancel := context.WithTimeout(ctx, attempt)
		err := l.onePartition(actx)
		if err == nil {
			err = l.CatchUp(actx)
		}
		cancel()
		switch {
		case err == nil:
			l.ready.Store(true)
			l.log.Info("table is complete", "end", l.reached())
			return nil
		case errors.Is(err, ErrPartitions):
			return err
		}
		why := err.Error()
		l.problem.Store(&why)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// onePartition refuses a topic that has more. Later ones are found by reading
// them, see apply.
func (l *Log) onePartition(ctx context.Context) error {
	meta, err := kadm.NewClient(l.cl).Metadata(ctx, l.topic)
	if err != nil {
		return err
	}
	topic := meta.Topics[l.topic]
	if topic.Err != nil {
		return fmt.Errorf("partitions of topic %s: %w", l.topic, topic.Err)
	}
	if n := len(topic.Partitions); n != 1 {
		return fmt.Errorf("%w: %s has %d", ErrPartitions, l.topic, n)
	}
	l.id.CompareAndSwap(nil, &topic.ID)
	return nil
}

// rewound says why the topic holds less than was read from it. Where it was
// deleted and made again, who looks here may be the first to find out: the end
// of the new one is asked for with every batch, its id every two seconds. An
// operator must be told the same by either.
func (l *Log) rewound(ctx context.Context, less string) error {
	const within = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest() // not through kadm, which may know it from before
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &l.topic}}
	resp, err := req.RequestWith(ctx, l.cl)
	if first := l.id.Load(); err == nil && first != nil && len(resp.Topics) == 1 {
		if now := resp.Topics[0]; now.ErrorCode == 0 && now.TopicID != *first {
			return fmt.Errorf("topic %s %w: %s", l.topic, kafka.ErrReplaced, less)
		}
	}
	return fmt.Errorf("%w: %s", ErrRewound, less)
}

// follow applies what the topic brings.
func (l *Log) follow(ctx context.Context) error {
	// A bound, so that a long topic becomes visible piece by piece.
	const batch = 10_000
	var complaints kafka.Complaints
	for {
		fetches := l.cl.PollRecords(ctx, batch)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			var loss *kgo.ErrDataLoss
			switch {
			case errors.As(e.Err, &loss), errors.Is(e.Err, kerr.OffsetOutOfRange):
				return l.rewound(ctx, e.Err.Error())
			case errors.Is(e.Err, kgo.ErrClientClosed):
				return e.Err
			}
		}
		complaints.About(ctx, fetches, l.log)
		if err := l.take(ctx, fetches); err != nil {
			return err
		}
	}
}

// take judges what was fetched and has it applied.
func (l *Log) take(ctx context.Context, fetches kgo.Fetches) error {
	n := fetches.NumRecords()
	if n == 0 {
		return nil
	}
	records := make([]Record, 0, n)
	at, epoch, since := l.applied, l.epoch, l.since // only this goroutine writes them
	for r := range fetches.RecordsAll() {
		if r.Partition != 0 {
			return fmt.Errorf("%w: %s has one of number %d", ErrPartitions, l.topic, r.Partition)
		}
		if r.Offset < at {
			return l.rewound(ctx, fmt.Sprintf("offset %d after %d", r.Offset, at-1))
		}
		at = r.Offset + 1
		if r.Attrs.IsControl() {
			continue
		}
		own := EpochOf(r)
		if own > epoch {
			epoch, since = own, r.Offset
		}
		if !marks(r) {
			records = append(records, Record{r, own < epoch})
		}
	}
	l.apply(records, epoch)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied, l.epoch, l.since = at, epoch, since
	l.announce()
	return nil
}

// reached is the offset after the last record applied.
func (l *Log) reached() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.applied
}

// announce wakes those who wait for the log to move; l.mu is held.
func (l *Log) announce() {
	close(l.moved)
	l.moved = make(chan struct{})
}
