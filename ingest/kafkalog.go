package ingest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// KafkaLog is the [Log] on the topics of events, of refused deliveries and of tests.
type KafkaLog struct {
	cl     *kgo.Client
	topics schemas.Topics
	late   prometheus.Counter
	timers sync.Pool

	// What was answered 503 and is still on its way, by tenant.
	parking atomic.Int64 // of all tenants, so that nobody else looks at the map
	mu      sync.Mutex
	parked  map[schemas.Tenant]int
}

// NewKafkaLog returns the log. The client is one of [kafka.NewProducer], whose
// options are what "kept" rests on; the caller closes it, after the last Append.
func NewKafkaLog(cl *kgo.Client, topics schemas.Topics, reg prometheus.Registerer) *KafkaLog {
	return &KafkaLog{
		cl: cl, topics: topics,
		late: metric.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "halo_ingest_kept_after_refusal_total",
			Help: "Events that Kafka acknowledged after their delivery had been answered 503. They are kept like any others, and a repeat folds; " +
				"a steady rate says that Kafka takes longer than the edge may wait.",
		})),
		parked: make(map[schemas.Tenant]int),
	}
}

var _ Log = (*KafkaLog)(nil)

const (
	// eventSize is what an event takes as JSON: 430 bytes, and room for a long
	// tenant id.
	eventSize = 512

	// mostParked is how many events of one tenant may be on their way although
	// nobody waits for them. Where one partition is away for an hour, its
	// tenants would otherwise fill the producer and have all others refused.
	mostParked = 4000

	// mostNotes is how full the producer may be before a refused delivery or a
	// test is no longer written down: notes must not take the room of events.
	mostNotes = 1000
)

// Append produces the events with the tenant as the key, so that one tenant's
// keep their order, and waits until all of them are acknowledged by all in-sync
// replicas.
//
// It does not wait for room: when the client already holds what it may, because
// Kafka is slow or gone, Append fails at once.
func (l *KafkaLog) Append(ctx context.Context, events []schemas.Event, patience time.Duration) error {
	if len(events) == 0 {
		return nil
	}
	tenant := events[0].Tenant
	if patience <= 0 {
		return fmt.Errorf("%w: the wait for the table took all the time", ErrUnavailable)
	}
	if l.parking.Load() > 0 && l.full(tenant) {
		return fmt.Errorf("%w: too much of the tenant is on its way already", ErrUnavailable)
	}
	// The client keeps the records beyond this call. They lie in two blocks of
	// memory, whatever their number, and in none that is used again.
	records := make([]kgo.Record, len(events))
	values := make([]byte, 0, len(events)*eventSize)
	for i := range events {
		start := len(values)
		values = events[i].AppendJSON(values)
		records[i] = *kafka.Record(l.topics.Events, string(tenant), schemas.EventSchema, values[start:len(values):len(values)])
	}
	var outcome atomic.Int32 // whichever comes first
	const settled, refused = 1, 2
	batch := kafka.Send(ctx, l.cl, records, func(b *kafka.Batch) {
		if !outcome.CompareAndSwap(0, settled) {
			l.park(tenant, -len(events))
			l.late.Add(float64(b.Acked()))
		}
	})
	timer := l.timer(patience)
	defer l.timers.Put(timer)
	defer timer.Stop()
	select {
	case <-batch.Done():
	case <-timer.C:
		l.park(tenant, len(events))
		if outcome.CompareAndSwap(0, refused) {
			return fmt.Errorf("%w within %v", ErrUnavailable, patience)
		}
		l.park(tenant, -len(events))
		<-batch.Done() // at this instant
	}
	if err := batch.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err) // what Kafka can say is about topics and brokers, never a value
	}
	return nil
}

func (l *KafkaLog) timer(d time.Duration) *time.Timer {
	if t, ok := l.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (l *KafkaLog) full(tenant schemas.Tenant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[tenant] >= mostParked
}

func (l *KafkaLog) park(tenant schemas.Tenant, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parking.Add(int64(events))
	if l.parked[tenant] += events; l.parked[tenant] == 0 {
		delete(l.parked, tenant)
	}
}

// Note produces the record and waits for nothing.
func (l *KafkaLog) Note(r schemas.Refused) {
	l.note(kafka.Record(l.topics.Deliveries, string(r.Tenant), schemas.RefusedSchema, r.AppendJSON(nil)))
}

// Reached produces the record and waits for nothing.
func (l *KafkaLog) Reached(r schemas.Reached) {
	l.note(kafka.Record(l.topics.Reached, string(r.Tenant), schemas.ReachedSchema, r.AppendJSON(nil)))
}

func (l *KafkaLog) note(r *kgo.Record) {
	if l.cl.BufferedProduceRecords() <= mostNotes {
		kafka.Send(context.Background(), l.cl, []kgo.Record{*r}, nil)
	}
}
