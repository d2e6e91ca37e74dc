package processor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// fixed is a table that never changes.
type fixed map[string]schemas.Mapping

func (f fixed) GetBytes(key []byte) (schemas.Mapping, bool) { m, ok := f[string(key)]; return m, ok }
func (f fixed) CatchUp(context.Context) error               { return nil }
func (f fixed) Len() int                                    { return len(f) }

var noon = time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC)

// acme has agent 5 mapped since noon, to a user whose name needs an escape.
func acme() fixed {
	m := schemas.Mapping{Tenant: "acme", Agent: 5}.Assign(`ada "the \ admin"`, noon, "")
	return fixed{m.Key(): m}
}

func event(n byte) schemas.Event {
	return schemas.Event{
		ID: schemas.ID{1, n}, Tenant: "acme", Kind: schemas.TicketLogged, Ticket: 1000 + uint64(n), Assignee: 5,
		EventTime: noon, OccurredAt: noon, ReceivedAt: noon.Add(time.Duration(n) * time.Second),
	}
}

// arrived is the event as it is polled.
func arrived(e schemas.Event) *kgo.Record {
	return kafka.Record("halo.events", string(e.Tenant), schemas.EventSchema, e.AppendJSON(nil))
}

func schema(r kgo.Record) string { return kafka.Schema(&r) }

func header(r kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestEachEventBecomesOneRecordOnItsTopicInTheOrderOfTheEvents(t *testing.T) {
	topics := schemas.NewTopics("replay.")
	b := newBatch(topics, acme(), DefaultWeights())
	unmapped, refused := event(2), event(3)
	unmapped.Assignee, refused.Refusal = 6, schemas.StaleWebhook
	malformed := arrived(event(5))
	malformed.Value = []byte(`{"id":`)
	b.judge([]*kgo.Record{arrived(event(1)), arrived(unmapped), arrived(refused), arrived(event(4)), malformed})

	want := []struct {
		topic, schema string
		value         []byte
	}{
		{"replay.activities", schemas.ActivitySchema, Join(event(1), b.lookup, DefaultWeights()).Activity.AppendJSON(nil)},
		{"replay.skipped", schemas.SkipSchema, Join(unmapped, b.lookup, DefaultWeights()).Skip.AppendJSON(nil)},
		{"replay.skipped", schemas.SkipSchema, Join(refused, b.lookup, DefaultWeights()).Skip.AppendJSON(nil)},
		{"replay.activities", schemas.ActivitySchema, Join(event(4), b.lookup, DefaultWeights()).Activity.AppendJSON(nil)},
		{"replay.dead", schemas.EventSchema, malformed.Value},
	}
	if len(b.records) != len(want) {
		t.Fatalf("%d records for %d events", len(b.records), len(want))
	}
	for i, w := range want {
		r := b.records[i]
		if r.Topic != w.topic || schema(r) != w.schema || string(r.Key) != "acme" || !bytes.Equal(r.Value, w.value) {
			t.Errorf("record %d: topic %s, schema %s, key %s\ngot  %s\nwant %s", i, r.Topic, schema(r), r.Key, r.Value, w.value)
		}
	}
	if b.activities != 2 || b.dead != 1 || b.skips[schemas.Unmapped] != 1 || b.skips[schemas.StaleWebhook] != 1 || len(b.arrivals) != 4 {
		t.Errorf("counted %d activities, %d dead, %v, %d arrivals", b.activities, b.dead, b.skips, len(b.arrivals))
	}
}

func TestWhatIsNoEventOfOursIsBuriedAsItIs(t *testing.T) {
	for _, tt := range []struct {
		name, schema, value, reason string
	}{
		{"a later schema", "halo.event/2", string(event(1).AppendJSON(nil)), "unknown_schema"},
		{"another record's schema", schemas.SkipSchema, string(event(1).AppendJSON(nil)), "unknown_schema"},
		{"no JSON", schemas.EventSchema, "not json", "malformed"},
		{"an empty value", schemas.EventSchema, "", "malformed"},
		{"an event without id", schemas.EventSchema, strings.Replace(string(event(1).AppendJSON(nil)), `"id"`, `"was"`, 1), "malformed"},
		{"an event of a kind to come", schemas.EventSchema, strings.Replace(string(event(1).AppendJSON(nil)), "ticket_logged", "ticket_merged", 1), "malformed"},
	} {
		b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
		r := kafka.Record("halo.events", "acme", tt.schema, []byte(tt.value))
		r.Partition, r.Offset = 7, 1234
		b.judge([]*kgo.Record{r})
		got := b.records[0]
		if got.Topic != "halo.dead" || string(got.Key) != "acme" || string(got.Value) != tt.value {
			t.Errorf("%s: on %s under %q: %q", tt.name, got.Topic, got.Key, got.Value)
		}
		for key, want := range map[string]string{
			"reason": tt.reason, "topic": "halo.events", "partition": "7", "offset": "1234", "schema": tt.schema,
		} {
			if h := header(got, key); h != want {
				t.Errorf("%s: header %s is %q, want %q", tt.name, key, h, want)
			}
		}
	}
}

func TestARecordWithoutHeadersIsBuried(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	r := arrived(event(1))
	r.Headers = nil
	b.judge([]*kgo.Record{r})
	if got := b.records[0]; got.Topic != "halo.dead" || header(got, "reason") != "unknown_schema" || schema(got) != "" {
		t.Errorf("%+v", got)
	}
}

// A tool that writes by hand may choose another key; a tenant still meets one
// partition of the outcomes.
func TestAnOutcomesKeyIsTheTenantWhateverTheEventsKeyWas(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	none, other := arrived(event(1)), arrived(event(2))
	none.Key, other.Key = nil, []byte("zeta")
	b.judge([]*kgo.Record{none, other})
	for i := range b.records {
		if key := string(b.records[i].Key); key != "acme" {
			t.Errorf("record %d has key %q", i, key)
		}
	}
}

// Users' ids are up to 200 bytes, and six times that with escapes: more than
// the batch has room for at first.
func TestValuesStayWholeWhenTheBufferGrows(t *testing.T) {
	long := schemas.UserID(strings.Repeat("<", 200))
	m := schemas.Mapping{Tenant: "acme", Agent: 5}.Assign(long, noon, "")
	b := newBatch(schemas.NewTopics("halo."), fixed{m.Key(): m}, DefaultWeights())
	var events []*kgo.Record
	for n := range 200 {
		events = append(events, arrived(event(byte(n))))
	}
	b.judge(events)
	if cap(b.values) == len(events)*recordRoom {
		t.Fatal("the buffer did not grow: this proves nothing")
	}
	values := make([]string, len(events))
	for i := range b.records {
		a, err := schemas.ParseActivity(b.records[i].Value)
		if err != nil || a.ID != (schemas.ID{1, byte(i)}) || a.User != long {
			t.Fatalf("record %d: %+v, %v", i, a, err)
		}
		values[i] = string(b.records[i].Value)
	}
	// An append to one must not run into the next.
	for i := range b.records {
		_ = append(b.records[i].Value, "overrun"...)
	}
	for i := range b.records {
		if string(b.records[i].Value) != values[i] {
			t.Fatalf("record %d was overrun: %s", i, b.records[i].Value)
		}
	}
}

func TestABatchJudgedAgainIsTheSame(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	unmapped := event(2)
	unmapped.Assignee = 6
	events := []*kgo.Record{arrived(event(1)), arrived(unmapped), {Value: []byte("dead")}}
	shown := func() string {
		return fmt.Sprint(b.records, b.activities, b.dead, b.skips, b.arrivals)
	}
	b.judge(events)
	first := shown()
	for _, again := range []func(){func() {}, b.forget, func() { b.judge(events[:1]) }, func() { b.judge(slices.Repeat(events, 50)) }} {
		again()
		b.judge(events)
		if got := shown(); got != first {
			t.Errorf("first %s\nagain %s", first, got)
		}
	}
}

// After a failure the client may still hold records of the batch: its memory
// must not be written to again.
func TestAForgottenBatchKeepsItsBytes(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	b.judge([]*kgo.Record{arrived(event(1))})
	held, want := &b.records[0], string(b.records[0].Value)
	b.forget()
	b.judge([]*kgo.Record{arrived(event(2))})
	if string(held.Value) != want {
		t.Errorf("held %s, now %s", want, held.Value)
	}
}
