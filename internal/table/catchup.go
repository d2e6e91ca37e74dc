package table

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/worksights/halo-connector/internal/kafka"
)

// CatchUp returns nil once the table holds every record that was acknowledged
// before the call. It reads the end offsets of the topic, which costs two short
// requests, and waits until all partitions are applied up to there; on a table
// that lags by nothing it takes well under a millisecond on a local broker.
//
// It fails with ctx's error, with ErrStopped, or with Kafka's, and then promises
// nothing: the caller must not judge by the table.
func (t *Table[V]) CatchUp(ctx context.Context) error {
	ends, err := t.barrier.ask(ctx, t.done)
	if err == nil {
		err = t.wait(ctx, ends)
	}
	if err != nil {
		return fmt.Errorf("catch up with %s: %w", t.topic, err)
	}
	return nil
}

// wait returns once all partitions are applied up to ends.
func (t *Table[V]) wait(ctx context.Context, ends map[int32]int64) error {
	// Records that exist arrive within milliseconds. When nothing moved for
	// this long, perhaps nothing ever will: see probe.
	const patience = 200 * time.Millisecond
	var quiet *time.Timer
	for {
		behind, stranger, moved := t.behind(ends)
		if len(behind) == 0 {
			return nil
		}
		if quiet == nil {
			if stranger {
				// A partition of which nothing was read yet may be new; the
				// client would look for it only once a minute.
				t.cl.ForceMetadataRefresh()
			}
			quiet = time.NewTimer(patience)
			defer quiet.Stop()
		}
		select {
		case <-moved:
			quiet.Reset(patience)
		case <-quiet.C:
			quiet.Reset(patience) // to look again, should it find nothing
			if err := t.probe(ctx, behind); err != nil && ctx.Err() == nil {
				t.log.Warn("cannot look for the end of a table's topic, trying on", "err", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-t.done:
			return ErrStopped
		}
	}
}

// behind returns the partitions that are not applied up to ends, with the
// offset at which each stands, and whether nothing was read yet of one of them.
// moved is closed when the answer may have changed.
func (t *Table[V]) behind(ends map[int32]int64) (at map[int32]int64, stranger bool, moved <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p, end := range ends {
		applied, known := t.applied[p]
		if pos := max(applied, t.barren[p]); pos < end {
			if at == nil {
				at = make(map[int32]int64)
			}
			at[p] = pos
			stranger = stranger || !known
		}
	}
	return at, stranger, t.moved
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
	ends     map[int32]int64
	err      error
}

func newBarrier() barrier {
	return barrier{mu: new(sync.Mutex), kick: make(chan struct{}, 1)}
}

// ask returns end offsets that were read after the call began.
func (b *barrier) ask(ctx context.Context, done <-chan struct{}) (map[int32]int64, error) {
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
		return q.ends, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-done:
		return nil, ErrStopped
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
func (t *Table[V]) answer(ctx context.Context) error {
	// Beyond it the broker hangs; the callers' own deadlines are shorter, and
	// the next question deserves a new attempt.
	const limit = 5 * time.Second
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.barrier.kick:
		}
		q := t.barrier.take()
		if q == nil {
			continue
		}
		t.mu.RLock()
		before := maps.Clone(t.applied)
		t.mu.RUnlock()

		qctx, cancel := context.WithTimeout(ctx, limit)
		q.ends, q.err = kafka.EndOffsets(qctx, t.cl, t.topic)
		cancel()
		if q.err == nil {
			q.err = rewound(before, q.ends)
		}
		close(q.answered)
		if errors.Is(q.err, ErrRewound) {
			return q.err
		}
	}
}

// rewound says whether a partition ends before what was applied of it before
// the ends were read.
func rewound(applied, ends map[int32]int64) error {
	for p, at := range applied {
		if end, ok := ends[p]; ok && end < at {
			return fmt.Errorf("%w: partition %d ends at %d, read up to %d", ErrRewound, p, end, at)
		}
	}
	return nil
}
