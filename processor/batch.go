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
	deadTooLarge  = "too_large"
)

// recordRoom is what an outcome takes as JSON: an activity is 400 bytes, and
// user ids are up to 200.
const recordRoom = 600

// judge is what events are judged by. One batch is judged at a time.
type judge struct {
	topics   schemas.Topics
	mappings Mappings
	erasures Erasures
	weights  Weights

	parser                      *schemas.Parser
	judged                      *judgements
	judging                     *kgo.Record // the event that is being judged
	arrived                     time.Time   // its arrival
	batch                       *batch      // its batch
	key                         []byte      // scratch
	activityHeaders, skipHeader []kgo.RecordHeader
}

func newJudge(topics schemas.Topics, mappings Mappings, erasures Erasures, weights Weights) *judge {
	return &judge{
		topics: topics, mappings: mappings, erasures: erasures, weights: weights,
		parser: schemas.NewParser(), judged: newJudgements(),
		activityHeaders: kafka.Record("", "", schemas.ActivitySchema, nil).Headers,
		skipHeader:      kafka.Record("", "", schemas.SkipSchema, nil).Headers,
	}
}

// batch is events and the records of their outcomes. It is used again, with its
// memory, once all of its records are settled.
type batch struct {
	events  []*kgo.Record
	oldest  time.Time    // when the first of them was written; zero where there is none
	records []kgo.Record // in the order of the events; a slice that never grows once records are taken from it
	from    []origin     // of the records, one each
	values  []byte       // the records' values

	// What was judged, for the metrics.
	activities int
	dead       int
	erased     int
	skips      map[schemas.Reason]int
	arrivals   []time.Time
	breaches   []breach
}

// origin is the event that a record was made of, and what became of it.
type origin struct {
	event  *kgo.Record
	reason schemas.Reason // of a skip
	dead   bool
}

func newBatch() *batch { return &batch{skips: make(map[schemas.Reason]int)} }

// take adds an event that was polled.
func (b *batch) take(r *kgo.Record) {
	b.events = append(b.events, r)
	if b.oldest.IsZero() || r.Timestamp.Before(b.oldest) {
		b.oldest = r.Timestamp
	}
}

// reset empties the batch and keeps its memory.
func (b *batch) reset() {
	clear(b.events)
	clear(b.records)
	clear(b.from)
	clear(b.breaches)
	b.events, b.records, b.from, b.breaches = b.events[:0], b.records[:0], b.from[:0], b.breaches[:0]
	b.oldest = time.Time{}
}

// judge makes the outcome of each event of b: one record each at most, in the
// order of the events. It has no effect outside the batch and can be repeated.
func (j *judge) judge(b *batch) {
	if cap(b.records) < len(b.events) {
		b.records = make([]kgo.Record, 0, len(b.events))
		b.from = make([]origin, 0, len(b.events))
		b.values = make([]byte, 0, len(b.events)*recordRoom)
	}
	b.records, b.from, b.values, b.arrivals = b.records[:0], b.from[:0], b.values[:0], b.arrivals[:0]
	b.activities, b.dead, b.erased = 0, 0, 0
	clear(b.skips)
	b.breaches = b.breaches[:0]
	j.batch = b
	for _, r := range b.events {
		if kafka.Schema(r) != schemas.EventSchema {
			j.bury(r, deadSchema)
			continue
		}
		event, exact, err := j.parser.Event(r.Value)
		if err != nil {
			j.bury(r, deadMalformed)
			b.breaks(metric.ContentFree, r) // nobody can say what is in it
			continue
		}
		// A record that is not what the edge writes of its event, byte by byte,
		// holds what was read by nobody. It could be anything, or a number or a
		// word that a newer edge adds.
		if !exact && !schemas.Plain(r.Value) {
			b.breaks(metric.ContentFree, r, "tenant", event.Tenant)
		}
		if string(r.Key) != string(event.Tenant) {
			b.breaks(metric.Apart, r, "tenant", event.Tenant, "key", kafka.KeyTenant(r))
		}
		j.judging, j.arrived = r, event.ReceivedAt
		j.add(event, exact)
	}
}

func (j *judge) lookup(tenant schemas.Tenant, agent schemas.AgentID) (History, bool) {
	j.key = schemas.AppendMappingKey(j.key[:0], tenant, agent)
	history, known := j.mappings.GetBytes(j.key)
	if j.judged.contradicted(j.key, history, j.arrived) {
		j.batch.breaks(metric.AsOfArrival, j.judging, "tenant", tenant)
	}
	return history, known
}

// erased says whether what arrived for a tenant, or for one of its users, was
// erased since.
func (j *judge) erased(tenant schemas.Tenant, user schemas.UserID) bool {
	e, ok := j.erasures.Get(schemas.ErasureKey(tenant, user))
	return ok && e.Covers(j.arrived)
}

func (j *judge) add(event schemas.Event, exact bool) {
	b := j.batch
	o := Join(event, j.lookup, j.weights)
	if !o.Erased && j.erasures.Len() > 0 {
		o.Erased = j.erased(event.Tenant, "") || o.Reason == "" && j.erased(event.Tenant, o.Activity.User)
	}
	if o.Erased {
		b.erased++
		return
	}
	record := kgo.Record{Key: j.judging.Key, Context: j.judging.Context} // a trace goes on, where there is one
	if string(record.Key) != string(event.Tenant) {
		record.Key = []byte(event.Tenant)
	}
	start := len(b.values) // where values has to grow, earlier records keep the old memory
	if o.Reason == "" {
		record.Topic, record.Headers = j.topics.Activities, j.activityHeaders
		if exact {
			b.values = o.Activity.AppendJSONOf(b.values, j.judging.Value)
		} else {
			b.values = o.Activity.AppendJSON(b.values)
		}
		b.activities++
	} else {
		record.Topic, record.Headers = j.topics.Skipped, j.skipHeader
		if exact {
			b.values = o.Skip.AppendJSONOf(b.values, j.judging.Value)
		} else {
			b.values = o.Skip.AppendJSON(b.values)
		}
		b.skips[o.Reason]++
	}
	record.Value = b.values[start:len(b.values):len(b.values)]
	b.records = append(b.records, record)
	b.from = append(b.from, origin{event: j.judging, reason: o.Reason})
	b.arrivals = append(b.arrivals, event.ReceivedAt)
}

// bury makes a dead letter: what is not a record of ours would stop the topic
// for ever if it were waited for, and be lost if it were passed over.
func (j *judge) bury(r *kgo.Record, reason string) {
	j.batch.records = append(j.batch.records, *j.letter(r, reason))
	j.batch.from = append(j.batch.from, origin{event: r, dead: true})
	j.batch.dead++
}

func (j *judge) letter(r *kgo.Record, reason string) *kgo.Record {
	dead := kafka.Dead(j.topics, r, reason)
	dead.Context = r.Context
	return dead
}

// refused notes that record i was not taken and its event became a dead letter
// after all.
func (b *batch) refused(i int) {
	from := &b.from[i]
	if from.reason == "" {
		b.activities--
	} else {
		b.skips[from.reason]--
	}
	b.dead++
	from.dead = true
}
