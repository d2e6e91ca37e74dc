package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrFull says that a producer holds as many records as it may, because Kafka is
// slow or away: nothing was handed over, and a later try may succeed.
var ErrFull = errors.New("the producer's buffer is full")

// Batch is records that were handed to a producer together; see [Send].
type Batch struct {
	settled func(*Batch)
	open    atomic.Int64
	acked   int   // acked, err and failed are written by promises, which kgo
	err     error // calls one after the other, before done is closed
	failed  []Failure
	done    chan struct{}
}

// Failure is a record that was not acknowledged, and why.
type Failure struct {
	Record *kgo.Record
	Err    error
}

// Send hands the records to the producer, in order, and returns at once. They
// have a life of their own from here on: no caller's context ends it, only an
// acknowledgement, a refusal that no repeat mends, or an hour.
//
// With a caller's context it would be otherwise. When the context of a batch's
// first record ends, the client fails all records that it holds for that
// partition: one caller who hangs up while a broker asks for patience takes
// down everybody who waits beside him. So ctx lends the records its values, for
// tracing, and nothing else. Whoever waits bounds his own wait, see [Batch.Done]
// and [ProduceAll], and has to expect that a record for which he no longer
// waits arrives all the same.
//
// Send never waits for room: where the producer has none for all of the records
// it takes none of them, and the batch has failed with [ErrFull].
//
// settled, which may be nil, is called once the fate of all records is known,
// before Done is closed. It is called by the client's one goroutine for
// promises and must not wait.
func Send(ctx context.Context, cl *kgo.Client, records []kgo.Record, settled func(*Batch)) *Batch {
	b := &Batch{settled: settled, done: make(chan struct{})}
	b.open.Store(int64(len(records)))
	switch {
	case len(records) == 0:
		b.end()
		return b
	case cl.BufferedProduceRecords()+int64(len(records)) > maxBufferedRecords:
		b.err = ErrFull
		b.end()
		return b
	}
	ctx = context.WithoutCancel(ctx)
	promise := b.promise // once, and not for each record
	for i := range records {
		// Others may have taken the room since: then a part of the batch is on
		// its way and the rest fails, like any batch that is half refused.
		cl.TryProduce(ctx, &records[i], promise)
	}
	return b
}

func (b *Batch) promise(r *kgo.Record, err error) {
	switch {
	case err == nil:
		b.acked++
	case errors.Is(err, kgo.ErrMaxBuffered):
		err = ErrFull
		fallthrough
	default:
		b.failed = append(b.failed, Failure{r, err})
		if b.err == nil {
			b.err = err
		}
	}
	if b.open.Add(-1) == 0 {
		b.end()
	}
}

func (b *Batch) end() {
	if b.settled != nil {
		b.settled(b)
	}
	close(b.done)
}

// Done is closed once the fate of all records is known.
func (b *Batch) Done() <-chan struct{} { return b.done }

// Err is nil where all records were acknowledged, else the first failure. It may
// be asked once Done is closed, and within settled.
func (b *Batch) Err() error { return b.err }

// Failed are the records that were handed over and not acknowledged, in no
// order. It may be asked when Err may.
func (b *Batch) Failed() []Failure { return b.failed }

// Acked is how many of the records are on every in-sync replica. It may be asked
// when Err may.
func (b *Batch) Acked() int { return b.acked }

// ProduceAll sends the records and waits until all of them are acknowledged, for
// as long as ctx: the wait is bounded, the records are not; see [Send]. The error
// wraps ctx's where the wait ended first.
func ProduceAll(ctx context.Context, cl *kgo.Client, records []kgo.Record) error {
	b := Send(ctx, cl, records, nil)
	select {
	case <-b.Done():
		return b.Err()
	case <-ctx.Done():
		return fmt.Errorf("records are not acknowledged yet: %w", ctx.Err())
	}
}

// flushTimeout is how long a producer that is being closed may go on sending: half of
// what a component has for its end.
const flushTimeout = 5 * time.Second

// Finish closes a producer. What it still holds is sent first, for five seconds;
// how many records were left then, and are dropped, is said in the log.
func Finish(cl *kgo.Client, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	err := cl.Flush(ctx)
	if left := cl.BufferedProduceRecords(); err != nil && left > 0 {
		log.Warn("records that Kafka did not acknowledge are dropped at the end; nobody was told that they are kept",
			"records", left, "waited", flushTimeout)
	}
	cl.Close()
}
