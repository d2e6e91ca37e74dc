//go:build synctests

package sim

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/lead"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// The stages as cmd assembles them, without what only a machine has.

// running runs parts until the life ends, and returns what waits for them.
func (l *life) running(parts ...func(context.Context) error) func() {
	var wg sync.WaitGroup
	for _, run := range parts {
		wg.Go(func() {
			if err := run(l.ctx); err != nil && l.ctx.Err() == nil {
				l.log.Error("a part ended", "err", err)
				l.mu.Lock()
				l.broke = true
				l.mu.Unlock()
			}
		})
	}
	return wg.Wait
}

// edge is an ingest edge; its handler is set while it lives.
type edge struct {
	process
	handler http.Handler
}

func (w *world) newEdge(name string) *edge {
	e := &edge{process: process{name: name}}
	e.begin = func(l *life) (func(), error) {
		producer, err := kafka.NewProducer(l.kafka, l.log, l.reg, l.opts...)
		if err != nil {
			return nil, err
		}
		reader, err := kafka.NewReader(l.kafka, w.topics.Connections, l.log, l.reg, l.opts...)
		if err != nil {
			return nil, err
		}
		connections := table.New(reader, w.topics.Connections, ingest.ParseConnection, l.log, l.reg)
		handler, err := ingest.New(ingest.Config{Now: e.now}, connections, ingest.NewKafkaLog(producer, w.topics, l.reg), l.log, l.reg)
		if err != nil {
			return nil, err
		}
		e.handler = handler
		parts := l.running(connections.Run)
		return func() { parts(); producer.Close() }, nil
	}
	return e
}

func (w *world) newProcessor(name string) *process {
	return &process{name: name, begin: func(l *life) (func(), error) {
		producer, err := kafka.NewProducer(l.kafka, l.log, l.reg, l.opts...)
		if err != nil {
			return nil, err
		}
		mappings, err := follow(l, w.topics.Mappings, processor.ParseHistory)
		if err != nil {
			return nil, err
		}
		erasures, err := follow(l, w.topics.Erasures, kafka.ParseErasure)
		if err != nil {
			return nil, err
		}
		member := kafka.NewMember()
		consumer, err := kafka.NewConsumer(l.kafka, "halo.processor", []string{w.topics.Events}, l.log, l.reg, append(member.Opts(), l.opts...)...)
		if err != nil {
			return nil, err
		}
		p, err := processor.New(processor.Config{Input: w.topics.Events, Output: w.topics, Weights: processor.DefaultWeights()},
			processor.Clients{Consumer: consumer, Member: member, Producer: producer}, mappings, erasures, l.log, l.reg)
		if err != nil {
			return nil, err
		}
		parts := l.running(mappings.Run, erasures.Run, p.Run)
		return func() { parts(); producer.Close() }, nil
	}}
}

func (w *world) newSink(name string) *process {
	return &process{name: name, begin: func(l *life) (func(), error) {
		producer, err := kafka.NewProducer(l.kafka, l.log, l.reg, l.opts...)
		if err != nil {
			return nil, err
		}
		erasures, err := follow(l, w.topics.Erasures, kafka.ParseErasure)
		if err != nil {
			return nil, err
		}
		member := kafka.NewMember()
		consumer, err := kafka.NewConsumer(l.kafka, "halo.sink", []string{w.topics.Activities, w.topics.Skipped}, l.log, l.reg, append(member.Opts(), l.opts...)...)
		if err != nil {
			return nil, err
		}
		s := sink.New(sink.Config{Topics: w.topics, BatchRows: 1000, BatchWait: 100 * time.Millisecond},
			sink.Clients{Consumer: consumer, Member: member, Producer: producer}, erasures, &pipe{w.store, l}, l.log, l.reg)
		parts := l.running(erasures.Run, s.Run)
		return func() { parts(); producer.Close() }, nil
	}}
}

func follow[V any](l *life, topic string, parse func(*kgo.Record) (V, error)) (*table.Table[V], error) {
	reader, err := kafka.NewReader(l.kafka, topic, l.log, l.reg, l.opts...)
	if err != nil {
		return nil, err
	}
	return table.New(reader, topic, parse, l.log, l.reg), nil
}

// plane is a control plane without its API: who may write, what counts, and what
// is erased. Its Halos are always away: tenants are connected by [world.reconnect].
type plane struct {
	process
	ledger *ledger.Ledger
	care   *care.Care
}

func (w *world) newPlane(name string) *plane {
	p := &plane{process: process{name: name}}
	p.begin = func(l *life) (func(), error) {
		book, err := ledger.New(ledger.Config{
			Kafka: l.kafka, KafkaOptions: l.opts, Topics: w.topics, Instance: name, Sealer: w.sealer, Now: p.now, Log: l.log, Registry: l.reg,
		})
		if err != nil {
			return nil, err
		}
		looks, err := care.New(care.Config{
			Ledger: book, Outcomes: nobodyAsks{}, Eraser: &pipe{w.store, l}, Topics: w.topics, IngestURL: "https://edge.example",
			Dial:           func(schemas.Tenant, ledger.Credentials) (care.Halo, error) { return nil, errors.New("no Halo here") },
			HealthInterval: 1000 * time.Hour, Now: p.now, Log: l.log, Registry: l.reg,
		})
		if err != nil {
			return nil, err
		}
		p.ledger, p.care = book, looks
		return l.running(func(ctx context.Context) error {
			return lead.Run(ctx, lead.Config{
				Kafka: l.kafka, Options: l.opts, Group: "halo.connect", Topic: w.topics.Vault, Log: l.log, Registry: l.reg, Waits: book.Standby,
			}, func(ctx context.Context) error { return book.Act(ctx, looks.Run) })
		}), nil
	}
	return p
}

// nobodyAsks is what a page would show.
type nobodyAsks struct{}

func (nobodyAsks) LastDelivery(context.Context, schemas.Tenant) (t time.Time, err error) {
	return t, nil
}

func (nobodyAsks) LastReached(context.Context, schemas.Tenant) (t time.Time, err error) {
	return t, nil
}

func (nobodyAsks) LastDeliveries(context.Context, time.Time) (map[schemas.Tenant]time.Time, error) {
	return nil, nil
}

func (nobodyAsks) Arrivals(context.Context, schemas.Tenant, time.Time) ([]time.Time, error) {
	return nil, nil
}

func (nobodyAsks) Tally(context.Context, schemas.Tenant, time.Time) (t care.Tally, err error) {
	return t, nil
}

func (nobodyAsks) Unmapped(context.Context, time.Time) (map[schemas.Tenant][]care.AgentCount, error) {
	return nil, nil
}

func (nobodyAsks) Refused(context.Context, time.Time) (map[schemas.Tenant]care.Refusals, error) {
	return nil, nil
}
