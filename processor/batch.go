package processor

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// The reasons on dead letters.
const (
	deadSchema    = "unknown_schema"
	deadMalformed = "malformed"
)

// recordRoom is what an outcome takes as JSON: an activity is 380 bytes, and
// user ids are up to 200.
const recordRoom = 600

// batch judges events and holds the records of their outcomes. It is used
// again, with its memory, once all of its records are settled.
type batch struct {
	topics   schemas.Topics
	mappings Mappings
	weights  Weights

	records []kgo.Record // in the order of the events; a slice that never grows once records are taken from it
	values  []byte       // the records' values

	// What was judged, for the metrics.
	activities int
	dead       int
	skips      map[schemas.Reason]int
	arrivals   []time.Time
	breaches   []breach // found since the last batch was settled

	judging                     *kgo.Record // the event that is being judged
	arrived                     time.Time   // its arrival
	judged                      judgements
	whole                       []byte // scratch
	key                         []byte // scratch
	activityHeaders, skipHeader []kgo.RecordHeader
}

func newBatch(topics schemas.Topics, mappings Mappings, weights Weights) *batch {
	return &batch{
		topics: topics, mappings: mappings, weights: weights,
		skips:           make(map[schemas.Reason]int),
		activityHeaders: kafka.Record("", "", schemas.ActivitySchema, nil).Headers,
		skipHeader:      kafka.Record("", "", schemas.SkipSchema, nil).Headers,
	}
}

// judge makes the outcome of each event: one record each, in the order of the
// events. It has no effect outside the batch and can be repeated.
func (b *batch) judge(events []*kgo.Record) {
	if cap(b.records) < len(events) {
		b.records = make([]kgo.Record, 0, len(events))
		b.values = make([]byte, 0, len(events)*recordRoom)
	}
	b.records, b.values, b.arrivals = b.records[:0], b.values[:0], b.arrivals[:0]
	b.activities, b.dead = 0, 0
	clear(b.skips)
	b.forgetBreaches()
	for _, r := range events {
		if kafka.Schema(r) != schemas.EventSchema {
			b.bury(r, deadSchema)
			continue
		}
		event, err := schemas.ParseEvent(r.Value)
		if err != nil {
			b.bury(r, deadMalformed)
			b.breaks(metric.ContentFree, r) // nobody can say what is in it
			continue
		}
		b.watch(r, event)
		b.add(r, event, Join(event, b.lookup, b.weights))
	}
}

func (b *batch) lookup(tenant schemas.Tenant, agent schemas.AgentID) (schemas.Mapping, bool) {
	b.key = schemas.AppendMappingKey(b.key[:0], tenant, agent)
	mapping, known := b.mappings.GetBytes(b.key)
	if b.judged.contradicted(b.key, mapping, known, b.arrived) {
		b.breaks(metric.AsOfArrival, b.judging, "tenant", tenant)
	}
	return mapping, known
}

func (b *batch) add(from *kgo.Record, event schemas.Event, o Outcome) {
	record := kgo.Record{Key: from.Key, Context: from.Context} // a trace goes on, where there is one
	if string(from.Key) != string(event.Tenant) {
		record.Key = []byte(event.Tenant)
	}
	start := len(b.values) // where values has to grow, earlier records keep the old memory
	if o.Reason == "" {
		record.Topic, record.Headers = b.topics.Activities, b.activityHeaders
		b.values = o.Activity.AppendJSON(b.values)
		b.activities++
	} else {
		record.Topic, record.Headers = b.topics.Skipped, b.skipHeader
		b.values = o.Skip.AppendJSON(b.values)
		b.skips[o.Reason]++
	}
	record.Value = b.values[start:len(b.values):len(b.values)]
	b.records = append(b.records, record)
	b.arrivals = append(b.arrivals, event.ReceivedAt)
}

// bury makes a dead letter: what is not a record of ours would stop the topic
// for ever if it were waited for, and be lost if it were passed over.
func (b *batch) bury(r *kgo.Record, reason string) {
	dead := kafka.Dead(b.topics, r, reason)
	dead.Context = r.Context
	b.records = append(b.records, *dead)
	b.dead++
}

// forget drops the batch's memory, to which the client may still refer after a
// failure.
func (b *batch) forget() { b.records, b.values = nil, nil }
