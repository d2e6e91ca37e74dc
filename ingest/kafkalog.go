package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// KafkaLog is the [Log] on the events topic.
type KafkaLog struct {
	cl    *kgo.Client
	topic string
}

// NewKafkaLog returns the log on topic. The client is one of
// [kafka.NewProducer], whose options are what "kept" rests on; the caller
// closes it, after the last Append.
func NewKafkaLog(cl *kgo.Client, topic string) *KafkaLog {
	return &KafkaLog{cl: cl, topic: topic}
}

var _ Log = (*KafkaLog)(nil)

// eventSize is what an event takes as JSON: 430 bytes, and room for a long
// tenant id.
const eventSize = 512

// Append produces the events with the tenant as the key, so that one tenant's
// keep their order, and waits until all of them are acknowledged by all in-sync
// replicas.
//
// It does not wait for room: when the client already holds what it may, because
// Kafka is slow or gone, Append fails at once. A record that was sent when ctx
// ends stays with the client until its fate is known, as idempotence demands.
func (l *KafkaLog) Append(ctx context.Context, events []schemas.Event) error {
	if len(events) == 0 {
		return nil
	}
	// The client keeps the records beyond ctx. They lie in two blocks of
	// memory, whatever their number, and in none that is used again.
	records := make([]kgo.Record, len(events))
	values := make([]byte, 0, len(events)*eventSize)
	for i, e := range events {
		start := len(values)
		values = e.AppendJSON(values)
		records[i] = *kafka.Record(l.topic, string(e.Tenant), schemas.EventSchema, values[start:len(values):len(values)])
	}
	p := &pending{done: make(chan struct{})}
	p.open.Store(int32(len(records)))
	for i := range records {
		l.cl.TryProduce(ctx, &records[i], p.settle)
	}
	select {
	case <-p.done:
		if p.err != nil {
			return notKept(p.err)
		}
		return nil
	case <-ctx.Done():
		return notKept(ctx.Err())
	}
}

// pending is one Append that waits for its promises.
type pending struct {
	open atomic.Int32
	err  error // the first; written by promises, which kgo calls one after the other
	done chan struct{}
}

func (p *pending) settle(_ *kgo.Record, err error) {
	if err != nil && p.err == nil {
		p.err = err
	}
	if p.open.Add(-1) == 0 {
		close(p.done)
	}
}

// notKept wraps both errors, so that the caller can tell the operator what
// Kafka said. What Kafka can say is about topics and brokers, never a value.
func notKept(err error) error {
	if errors.Is(err, kgo.ErrMaxBuffered) {
		return fmt.Errorf("%w: the client's buffer is full", ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
