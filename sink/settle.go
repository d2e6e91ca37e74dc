package sink

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// answerTimeout bounds one attempt. A full batch takes a second; a store that
	// takes a minute is not going to answer.
	answerTimeout = time.Minute

	// letGo is how long an attempt may keep a rebalance waiting. The group
	// waits for 8 s (kafka.NewConsumer) before it puts a member out.
	letGo = 4 * time.Second

	// firstPause doubles up to lastPause: a store that restarts is found again
	// within a second, one that is down for the night is not hammered. The
	// longest is what recovery may wait for.
	firstPause, lastPause = 250 * time.Millisecond, 15 * time.Second

	// retentionAge is how old the sink's knowledge of the retention may be. It is
	// changed by hand, and removes rows within days.
	retentionAge = 10 * time.Minute
)

// insert is an append that is under way.
type insert struct {
	began    time.Time
	answered context.Context // done once it is
	err      error           // once answered
}

func (i *insert) wait() error {
	<-i.answered.Done()
	return i.err
}

// begin appends the rows of b in a goroutine, which ends with the answer.
func (s *Sink) begin(ctx context.Context, b *batch) *insert {
	answered, answer := context.WithCancel(context.Background())
	under := &insert{began: time.Now(), answered: answered}
	go func() {
		defer answer()
		under.err = s.attempt(ctx, func(ctx context.Context) error { return s.append(ctx, b) })
	}()
	return under
}

// settle waits for the answer to b's append and does what is left of steps 2 to
// 4 of the package comment. It returns an error only when ctx is done.
func (s *Sink) settle(ctx context.Context, under *insert, b *batch) error {
	err := s.repeat(ctx, under.wait(), "append", func(ctx context.Context) error { return s.append(ctx, b) }, b)
	if err != nil {
		return err
	}
	s.kept(b, under.began)
	err = s.attempt(ctx, func(ctx context.Context) error { return s.quarantine(ctx, b) })
	err = s.repeat(ctx, err, "quarantine", func(ctx context.Context) error { return s.quarantine(ctx, b) }, b)
	if err != nil {
		return err
	}
	for _, p := range b.parts {
		if p.last != nil {
			s.member.Settled(p.last)
		}
	}
	s.metrics.settled(b)
	s.commit(ctx)
	return nil
}

// repeat repeats a step whose last attempt ended with err until it succeeds,
// with a pause before each attempt in which partitions, and with them a part of
// what is in hand, may be taken away.
func (s *Sink) repeat(ctx context.Context, err error, name string, step func(context.Context) error, b *batch) error {
	for failed := 0; ; failed++ {
		if err == nil {
			if failed > 0 {
				s.ready.succeeds()
				s.log.InfoContext(ctx, name+" succeeds again", "attempts", failed+1)
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.metrics.failures[name].Inc()
		s.ready.fails(fmt.Sprintf("%s fails: %v", name, err))
		d := backoff(failed)
		level := slog.LevelWarn
		switch clickhouse.ClassOf(err) {
		case clickhouse.Misconfigured, clickhouse.BadRow:
			// No amount of time helps. That a value is refused is no fault of its
			// row: all rows are made alike, of our types, so that it is the table
			// which is not what it should be.
			level = slog.LevelError
		}
		s.log.Log(ctx, level, name+" failed, will be repeated", "rows", b.rows.Len(), "attempt", failed+1, "pause", d, "err", err)
		s.pause(ctx, d)
		err = s.attempt(ctx, step)
	}
}

// attempt runs step within the group's patience once a rebalance waits for us.
func (s *Sink) attempt(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer context.AfterFunc(s.member.Rebalance(), func() { time.AfterFunc(letGo, cancel) })()
	return step(ctx)
}

// backoff is the pause after failed+1 failures, give or take a quarter, so that
// several sinks do not come back at once.
func backoff(failed int) time.Duration {
	d := min(firstPause<<min(failed, 10), lastPause)
	return d*3/4 + rand.N(d/2)
}

// append drops what must not be written and appends the rest. What was erased is
// looked for in each attempt anew, as an outage may last for hours: rows that
// were in hand when a person was erased would come back with the database.
func (s *Sink) append(ctx context.Context, b *batch) error {
	if b.rows.Len() == 0 {
		return nil
	}
	if err := s.erase(ctx, b); err != nil {
		return err
	}
	defer s.ready.inserting()()
	if err := s.expire(ctx, b); err != nil {
		return err
	}
	if b.rows.Len() == 0 {
		return nil
	}
	s.began = time.Now() // no sooner: Kafka may have kept us waiting for the erasures
	err := s.store.Append(ctx, &b.rows)
	if err == nil {
		s.metrics.append.Observe(time.Since(s.began).Seconds())
	}
	return err
}

// erase drops the rows that an erasure covers.
func (s *Sink) erase(ctx context.Context, b *batch) error {
	if err := s.erasures.CatchUp(ctx); err != nil {
		return fmt.Errorf("it is not known who was erased: %w", err)
	}
	if s.erasures.Len() == 0 {
		return nil
	}
	covered := func(t schemas.Tenant, u schemas.UserID, received time.Time) bool {
		e, ok := s.erasures.Get(schemas.ErasureKey(t, u))
		return ok && e.Covers(received)
	}
	b.keep(func(i int) bool {
		tenant, user, received := schemas.Tenant(b.rows.tenant[i]), schemas.UserID(b.rows.user[i]), time.UnixMilli(b.rows.received[i])
		if !covered(tenant, "", received) && (user == "" || !covered(tenant, user, received)) {
			return true
		}
		b.parts[b.from[i].part].erased++
		return false
	})
	return nil
}

// retention is what the sink knows of how long the store keeps rows.
type retention struct {
	months int
	asked  time.Time
}

// expire drops the rows of events that the store may have had and removed: see
// [schemas.Expired].
func (s *Sink) expire(ctx context.Context, b *batch) error {
	if s.retention.asked.IsZero() || time.Since(s.retention.asked) > retentionAge {
		months, err := s.store.Retention(ctx)
		if err != nil {
			return err
		}
		s.retention = retention{months, time.Now()}
	}
	b.keep(func(i int) bool {
		if !schemas.Expired(time.UnixMilli(b.rows.event[i]), time.UnixMilli(b.rows.received[i]), s.retention.months) {
			return true
		}
		b.parts[b.from[i].part].expired++
		return false
	})
	return nil
}

// kept notes that the rows of b are in the store: it counts them, looks for
// broken promises, and ends the traces of deliveries that are followed. The last
// span of a delivery's way is its append, pauses and failed attempts included.
func (s *Sink) kept(b *batch, began time.Time) {
	s.metrics.appended(&b.rows, time.Now())
	for i := range b.rows.Len() {
		v := s.repeats.judge(&b.rows, i)
		if v == unseen {
			continue
		}
		s.metrics.repeated(v)
		if v == changed || v == moved {
			p := b.parts[b.from[i].part]
			s.witness.Saw(metric.Repeatable, metric.Place{Topic: p.Topic, Partition: p.Number, Offset: b.from[i].offset},
				"tenant", b.rows.tenant[i], "verdict", v)
		}
	}
	for _, t := range b.traced {
		_, span := s.cfg.Tracer.Start(t.ctx, "append", trace.WithTimestamp(began), trace.WithAttributes(
			attribute.String("tenant", string(t.tenant)), attribute.String("event", t.id.String())))
		span.End()
	}
}

// quarantine produces the dead letters of b and waits until all are acknowledged.
func (s *Sink) quarantine(ctx context.Context, b *batch) error {
	if len(b.dead) == 0 {
		return nil
	}
	records := make([]kgo.Record, len(b.dead))
	for i, l := range b.dead {
		records[i] = *kafka.Dead(s.cfg.Topics, l.record, l.reason)
	}
	if err := kafka.ProduceAll(ctx, s.producer, records); err != nil {
		return err
	}
	s.metrics.dead.Add(float64(len(b.dead)))
	for _, l := range b.dead {
		s.log.WarnContext(ctx, "record quarantined", "reason", l.reason, "topic", l.record.Topic, "partition", l.record.Partition, "offset", l.record.Offset)
	}
	return nil
}

// commit commits all that is settled. A failure is no more than a delay: the
// rows are kept, and what is owed is committed later, or appended again by
// another member who owns the partitions by then.
func (s *Sink) commit(ctx context.Context) {
	if err := s.member.Commit(ctx, s.consumer); err != nil {
		s.metrics.failures["commit"].Inc()
		s.log.WarnContext(ctx, "offsets not committed, trying again", "err", err)
	}
}
