package table

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CatchUp returns nil once every record is applied that was acknowledged before
// the call. It reads the end of the topic, which costs a short request, and waits
// until everything is applied up to there; on a log that lags by nothing it takes
// well under a millisecond on a local broker.
//
// It fails with ctx's error, with ErrStopped, or with Kafka's, and then promises
// nothing: the caller must not judge by the table.
func (l *Log) CatchUp(ctx context.Context) error {
	end, err := l.barrier.ask(ctx, l.done)
	if err == nil {
		err = l.wait(ctx, end)
	}
	if err != nil {
		return fmt.Errorf("catch up with %s: %w", l.topic, err)
	}
	return nil
}

// Reach returns nil once the record at offset, which was acknowledged, is
// applied. It asks Kafka nothing, and fails as CatchUp does.
func (l *Log) Reach(ctx context.Context, offset int64) error {
	if err := l.wait(ctx, offset+1); err != nil {
		return fmt.Errorf("read %s back: %w", l.topic, err)
	}
	return nil
}

// wait returns once everything is applied up to end.
func (l *Log) wait(ctx context.Context, end int64) error {
	// Records that exist arrive within milliseconds. When nothing moved for
	// this long, perhaps nothing ever will: see probe. Each look that finds
	// nothing out makes the next one wait for twice as long, since a look costs a
	// fetch: on a busy machine it is one in the way of those that are awaited.
	patience := 200 * time.Millisecond
	const most = 2 * time.Second
	var quiet *time.Timer
	for {
		at, moved := l.position()
		if at >= end {
			return nil
		}
		if quiet == nil {
			quiet = time.NewTimer(patience)
			defer quiet.Stop()
		}
		select {
		case <-moved:
			quiet.Reset(patience)
		case <-quiet.C:
			patience = min(2*patience, most)
			quiet.Reset(patience) // to look again, should it find nothing
			if err := l.probe(ctx, at); err != nil && ctx.Err() == nil {
				l.log.Debug("cannot look for the end of a table's topic, trying on", "err", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-l.done:
			return ErrStopped
		}
	}
}

// position is the offset from which on nothing is applied yet. moved is closed
// when that may have changed.
func (l *Log) position() (at int64, moved <-chan struct{}) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return max(l.applied, l.empty), l.moved
}

// barrier lets callers that come at the same time share one question, and
// never an old answer: who calls while a question is on its way joins the next
// one, since the one on its way may have been answered before the call.
type barrier struct {
	mu   *sync.Mutex
	next *question // not asked yet; nil when nobody waits
	kick chan struct{}
}

type question struct {
	answered chan struct{}
	end      int64
	err      error
}

func newBarrier() barrier {
	return barrier{mu: new(sync.Mutex), kick: make(chan struct{}, 1)}
}

// ask returns an end offset that was read after the call began.
func (b *barrier) ask(ctx context.Context, done <-chan struct{}) (int64, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &question{answered: make(chan struct{})}
	}
	q := b.next
	b.mu.Unlock()
	select {
	case b.kick <- struct{}{}:
	default: // the next turn is announced already
	}
	select {
	case <-q.answered:
		return q.end, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-done:
		return 0, ErrStopped
	}
}

// take hands out the open question; whoever comes later opens another.
func (b *barrier) take() *question {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.next
	b.next = nil
	return q
}

// answer asks Kafka on behalf of those who wait, one question at a time.
func (l *Log) answer(ctx context.Context) error {
	// Beyond it the broker hangs; the callers' own deadlines are shorter, and
	// the next question deserves a new attempt.
	const limit = 5 * time.Second
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.barrier.kick:
		}
		q := l.barrier.take()
		if q == nil {
			continue
		}
		before := l.reached()
		qctx, cancel := context.WithTimeout(ctx, limit)
		q.end, q.err = l.end(qctx)
		cancel()
		less := q.err == nil && q.end < before
		if less {
			q.err = l.rewound(ctx, fmt.Sprintf("it ends at %d, read up to %d", q.end, before))
		}
		if q.err != nil && ctx.Err() != nil {
			return nil // Run ends, and who waits is told of that
		}
		close(q.answered)
		if less {
			return q.err
		}
	}
}

// end reads, now, the offset after the last record. It asks the leader and
// nobody else: the topic has one partition, and kgo looks for another leader
// where this one is none any more. What else goes away by itself is asked again
// until ctx ends.
func (l *Log) end(ctx context.Context) (int64, error) {
	const pause = 50 * time.Millisecond
	for {
		end, err := l.endOnce(ctx)
		var code *kerr.Error
		if err == nil || !errors.As(err, &code) || !code.Retriable || code == kerr.UnknownTopicOrPartition {
			return end, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(pause):
		}
	}
}

func (l *Log) endOnce(ctx context.Context) (int64, error) {
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = -1 // the end
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = l.topic
	topic.Partitions = append(topic.Partitions, part)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return 0, fmt.Errorf("end of topic %s: %w", l.topic, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("end of topic %s: %w", l.topic, kerr.UnknownTopicOrPartition)
	}
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return 0, fmt.Errorf("end of topic %s: %w", l.topic, err)
	}
	return p.Offset, nil
}
