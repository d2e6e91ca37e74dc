package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
)

// unanswered is how long outcomes may be on their way before the processor says
// so. The client repeats what is not answered, for an hour, and until then
// nothing has failed.
const unanswered = 10 * time.Second

// send hands records to the producer.
func (p *Processor) send(ctx context.Context, records []kgo.Record) *kafka.Batch {
	p.sent = time.Now()
	return kafka.Send(ctx, p.producer, records, nil)
}

// wait returns once the fate of all records that were sent is known.
func (p *Processor) wait(ctx context.Context, under *kafka.Batch) error {
	for {
		t := time.NewTimer(max(unanswered-time.Since(p.sent), time.Second))
		select {
		case <-under.Done():
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
			p.holdUp(fmt.Sprintf("outcomes are not acknowledged: Kafka has not answered for %v", time.Since(p.sent).Round(time.Second)))
		}
	}
}

// acknowledged returns nil once every outcome of b is acknowledged, or what
// cannot be written is a dead letter.
func (p *Processor) acknowledged(ctx context.Context, b *batch, under *kafka.Batch) error {
	large, err := p.await(ctx, under)
	if err != nil || len(large) == 0 {
		return err
	}
	var at []int
	for i := range b.records {
		if large[&b.records[i]] {
			at = append(at, i)
		}
	}
	return p.split(ctx, b, at)
}

// await returns the records that Kafka found too large, alone or together, once
// all others are acknowledged.
func (p *Processor) await(ctx context.Context, under *kafka.Batch) (large map[*kgo.Record]bool, err error) {
	if err := p.wait(ctx, under); err != nil {
		return nil, err
	}
	for _, f := range under.Failed() {
		if !errors.Is(f.Err, kerr.MessageTooLarge) {
			return nil, f.Err
		}
		if large == nil {
			large = make(map[*kgo.Record]bool)
		}
		large[f.Record] = true
	}
	if large == nil {
		return nil, under.Err()
	}
	return large, nil
}

// split writes records of b that were too large together in halves, and what is
// too large of these in halves, until it has found those that are too large
// alone. One topic's limit would otherwise hold up every tenant for ever.
func (p *Processor) split(ctx context.Context, b *batch, at []int) error {
	half := (len(at) + 1) / 2
	for _, at := range [][]int{at[:half], at[half:]} {
		again := make([]kgo.Record, len(at))
		for i, n := range at {
			r := &b.records[n]
			again[i] = kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Context: r.Context}
		}
		large, err := p.await(ctx, p.send(ctx, again))
		if err != nil {
			return err
		}
		var left []int
		for i := range again {
			if large[&again[i]] {
				left = append(left, at[i])
			}
		}
		switch {
		case len(left) == 0:
		case len(at) == 1:
			err = p.refuse(ctx, b, at[0])
		default:
			err = p.split(ctx, b, left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuse makes a dead letter of the event whose outcome, record i of b, is more
// than Kafka takes.
func (p *Processor) refuse(ctx context.Context, b *batch, i int) error {
	outcome, event := &b.records[i], b.from[i].event
	limit := p.limit(ctx, outcome.Topic)
	if b.from[i].dead {
		if outcome.Topic == p.judge.topics.Dead {
			return fmt.Errorf("a dead letter: %s takes no %d bytes (max.message.bytes=%s): %w", outcome.Topic, len(outcome.Value), limit, kerr.MessageTooLarge)
		}
		return nil // by an earlier try
	}
	p.log.Error("an outcome is larger than its topic takes; its event is on the dead-letter topic",
		"topic", event.Topic, "partition", event.Partition, "offset", event.Offset,
		"output", outcome.Topic, "bytes", len(outcome.Key)+len(outcome.Value), "limit", limit)
	if err := kafka.ProduceAll(ctx, p.producer, []kgo.Record{*p.judge.letter(event, deadTooLarge)}); err != nil {
		return fmt.Errorf("the dead letter of what %s (max.message.bytes=%s) does not take: %w", outcome.Topic, limit, err)
	}
	b.refused(i)
	return nil
}

// limit is the topic's max.message.bytes, in words where it cannot be asked for.
func (p *Processor) limit(ctx context.Context, topic string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	configs, err := kadm.NewClient(p.producer).DescribeTopicConfigs(ctx, topic)
	if err == nil {
		for _, c := range configs {
			if err = c.Err; err != nil {
				break
			}
			for _, v := range c.Configs {
				if v.Key == "max.message.bytes" {
					return v.MaybeValue()
				}
			}
		}
	}
	return fmt.Sprintf("not known (%v)", err)
}
