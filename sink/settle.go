package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/kafka"
)

const (
	// answerTimeout bounds one insert, or one round of dead letters. A full
	// batch takes a second; a store that takes a minute is not going to answer.
	// An attempt as a whole has no bound: to find many refused rows takes a
	// thousand inserts, and an attempt that is cut short finds none.
	answerTimeout = time.Minute

	// letGo is how long an attempt may keep a rebalance waiting. The group
	// waits for 8 s (kafka.NewConsumer) before it puts a member out.
	letGo = 4 * time.Second

	// commitTimeout: a commit that is not answered by then is as good as one
	// that failed, and the next one covers it.
	commitTimeout = 5 * time.Second

	// firstPause doubles up to lastPause: a store that restarts is found again
	// within a second, one that is down for the night is not hammered. The
	// longest is what recovery may wait for.
	firstPause, lastPause = 250 * time.Millisecond, 15 * time.Second

	// companyWait is how long a poll takes that finds what the client has
	// fetched already.
	companyWait = 10 * time.Millisecond

	// maxRefused bounds the rows of one batch that are given up. More is no
	// longer a fault of rows but of the table, say a constraint that somebody
	// added: then nothing is given up and a person has to look.
	maxRefused = 100
)

// errTableRefuses says that rows are refused wholesale, or that none was kept
// beside the refused ones: then nobody can tell a fault of the table from one
// of a lone row.
var errTableRefuses = errors.New("the table refuses too many rows for it to be the rows' fault")

// settle does steps 2 to 4 of the package comment. It returns an error only
// when ctx is done.
func (s *Sink) settle(ctx context.Context, b *batch) error {
	if b.records == 0 {
		return nil
	}
	var refused []letter
	began := time.Now()
	err := s.insist(ctx, b, "append", func(ctx context.Context) (err error) {
		refused, err = s.append(ctx, b)
		return err
	})
	if err != nil {
		return err
	}
	s.metrics.appended(b.rows, len(refused), time.Now())
	s.follow(b, began)
	s.metrics.watch(b, &s.seen, s.witness)

	b.dead = append(b.dead, refused...)
	if err := s.insist(ctx, b, "quarantine", func(ctx context.Context) error { return s.quarantine(ctx, b.dead) }); err != nil {
		return err
	}
	s.commit(ctx, b)
	s.metrics.done(b)
	return nil
}

// insist repeats step until it succeeds, with a pause between attempts in which
// partitions, and with them a part of b, may be taken away.
func (s *Sink) insist(ctx context.Context, b *batch, name string, step func(context.Context) error) error {
	for failed := 0; ; failed++ {
		err := s.attempt(ctx, step)
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
		class := clickhouse.ClassOf(err)
		s.metrics.failures.WithLabelValues(name).Inc()
		s.ready.fails(fmt.Sprintf("%s fails: %v", name, err))
		d := backoff(failed)
		level := slog.LevelWarn
		if class == clickhouse.Misconfigured || errors.Is(err, errTableRefuses) {
			level = slog.LevelError // no amount of time helps
		}
		s.log.Log(ctx, level, name+" failed, will be repeated", "rows", len(b.rows), "attempt", failed+1, "pause", d, "err", err)
		s.pause(ctx, d, b)
		if errors.Is(err, errTableRefuses) && b.records < s.cfg.BatchRows {
			// One row that is kept beside them tells whose fault it is.
			s.company(ctx, b)
		}
	}
}

// attempt runs step within the group's patience once a rebalance waits for us.
func (s *Sink) attempt(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.wish.answer(func() { time.AfterFunc(letGo, cancel) })()
	return step(ctx)
}

// backoff is the pause after failed+1 failures, give or take a quarter, so that
// several sinks do not come back at once.
func backoff(failed int) time.Duration {
	d := min(firstPause<<min(failed, 10), lastPause)
	return d*3/4 + rand.N(d/2)
}

// append appends the batch. Where a row is refused it halves until it has
// found which, and returns those; all others are kept.
func (s *Sink) append(ctx context.Context, b *batch) (refused []letter, err error) {
	if len(b.rows) == 0 {
		return nil, nil
	}
	var at []int
	var halve func(lo, hi int) error
	halve = func(lo, hi int) error {
		err := s.appendOnce(ctx, b.rows[lo:hi])
		switch {
		case err == nil || !errors.Is(err, ErrRefused):
			return err
		case hi-lo > 1:
			if err := halve(lo, lo+(hi-lo)/2); err != nil {
				return err
			}
			return halve(lo+(hi-lo)/2, hi)
		case len(at) == maxRefused:
			return fmt.Errorf("%w: %w", errTableRefuses, err)
		}
		at = append(at, lo)
		return nil
	}
	if err := halve(0, len(b.rows)); err != nil {
		return nil, err
	}
	if len(at) == len(b.rows) {
		return nil, errTableRefuses
	}
	for _, i := range at {
		refused = append(refused, letter{b.sources[i], reasonRefused})
	}
	return refused, nil
}

func (s *Sink) appendOnce(ctx context.Context, rows []Outcome) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer s.ready.inserting()()
	began := time.Now()
	err := s.store.Append(ctx, rows)
	if err == nil {
		s.metrics.append.Observe(time.Since(began).Seconds())
	}
	return err
}

// quarantine produces dead letters and waits until all are acknowledged.
func (s *Sink) quarantine(ctx context.Context, dead []letter) error {
	if len(dead) == 0 {
		return nil
	}
	records := make([]*kgo.Record, len(dead))
	for i, l := range dead {
		records[i] = kafka.Dead(s.cfg.Topics, l.record, l.reason)
	}
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.producer.ProduceSync(bounded, records...).FirstErr(); err != nil {
		return err
	}
	s.metrics.dead.Add(float64(len(dead)))
	for _, l := range dead {
		s.log.WarnContext(ctx, "record quarantined", "reason", l.reason, "topic", l.record.Topic, "partition", l.record.Partition, "offset", l.record.Offset)
	}
	return nil
}

// commit commits what b held. A failure is no more than a delay: the rows are
// kept, and either the next commit covers these offsets or another member, who
// owns the partitions by now, appends them again.
func (s *Sink) commit(ctx context.Context, b *batch) {
	if len(b.last) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	last := slices.Collect(maps.Values(b.last))
	if err := s.consumer.CommitRecords(ctx, last...); err != nil {
		s.log.WarnContext(ctx, "offsets not committed, rows may be appended again", "err", err)
	}
}
