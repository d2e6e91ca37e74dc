package processor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
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

func (f fixed) GetBytes(key []byte) (History, bool) {
	m, ok := f[string(key)]
	return HistoryOf(m), ok
}
func (f fixed) CatchUp(context.Context) error { return nil }
func (f fixed) Len() int                      { return len(f) }

// packed is a table of histories that never changes.
type packed map[string]History

func (f fixed) packed() packed {
	p := make(packed)
	for key, m := range f {
		p[key] = HistoryOf(m)
	}
	return p
}

func (p packed) GetBytes(key []byte) (History, bool) { h, ok := p[string(key)]; return h, ok }
func (p packed) CatchUp(context.Context) error       { return nil }
func (p packed) Len() int                            { return len(p) }

// forgotten are erasures that never change.
type forgotten map[string]schemas.Erasure

func (f forgotten) Get(key string) (schemas.Erasure, bool) { e, ok := f[key]; return e, ok }
func (f forgotten) CatchUp(context.Context) error          { return nil }
func (f forgotten) Len() int                               { return len(f) }

// testJudge judges one batch, again and again.
type testJudge struct {
	*judge
	*batch
}

func newTestJudge(topics schemas.Topics, m Mappings) testJudge {
	return testJudge{newJudge(topics, m, forgotten{}, DefaultWeights()), newBatch()}
}

func (j testJudge) decide(events []*kgo.Record) {
	j.batch.reset()
	j.batch.events = append(j.batch.events, events...)
	j.judge.judge(j.batch)
}

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
	b := newTestJudge(topics, acme())
	unmapped, refused := event(2), event(3)
	unmapped.Assignee, refused.Refusal = 6, schemas.StaleWebhook
	malformed := arrived(event(5))
	malformed.Value = []byte(`{"id":`)
	b.decide([]*kgo.Record{arrived(event(1)), arrived(unmapped), arrived(refused), arrived(event(4)), malformed})

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
		b := newTestJudge(schemas.NewTopics("halo."), acme())
		r := kafka.Record("halo.events", "acme", tt.schema, []byte(tt.value))
		r.Partition, r.Offset = 7, 1234
		b.decide([]*kgo.Record{r})
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
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	r := arrived(event(1))
	r.Headers = nil
	b.decide([]*kgo.Record{r})
	if got := b.records[0]; got.Topic != "halo.dead" || header(got, "reason") != "unknown_schema" || schema(got) != "" {
		t.Errorf("%+v", got)
	}
}

// A tool that writes by hand may choose another key; a tenant still meets one
// partition of the outcomes.
func TestAnOutcomesKeyIsTheTenantWhateverTheEventsKeyWas(t *testing.T) {
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	none, other := arrived(event(1)), arrived(event(2))
	none.Key, other.Key = nil, []byte("zeta")
	b.decide([]*kgo.Record{none, other})
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
	b := newTestJudge(schemas.NewTopics("halo."), fixed{m.Key(): m})
	var events []*kgo.Record
	for n := range 200 {
		events = append(events, arrived(event(byte(n))))
	}
	b.decide(events)
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
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	unmapped := event(2)
	unmapped.Assignee = 6
	events := []*kgo.Record{arrived(event(1)), arrived(unmapped), {Value: []byte("dead")}}
	shown := func() string {
		return fmt.Sprint(b.records, b.activities, b.dead, b.skips, b.arrivals)
	}
	b.decide(events)
	first := shown()
	for _, again := range []func(){func() {}, func() { b.decide(events[:1]) }, func() { b.decide(slices.Repeat(events, 50)) }} {
		again()
		b.decide(events)
		if got := shown(); got != first {
			t.Errorf("first %s\nagain %s", first, got)
		}
	}
}

// What is credited to somebody who was erased later than it arrived leaves
// nothing, and neither does anything of a tenant who was.
func TestWhoWasErasedLeavesNothing(t *testing.T) {
	erasure := func(tenant schemas.Tenant, user schemas.UserID, second int) forgotten {
		e := schemas.Erasure{Tenant: tenant, User: user, At: noon.Add(time.Duration(second) * time.Second)}
		return forgotten{e.Key(): e}
	}
	mapped := func(user schemas.UserID) fixed {
		m := schemas.Mapping{Tenant: "acme", Agent: 5}.Assign(user, noon, "")
		return fixed{m.Key(): m}
	}
	gone := schemas.Mapping{Tenant: "acme", Agent: 5}.Assign("ada", noon, "").Erase("ada", noon.Add(time.Minute))
	unmapped, junk := event(1), arrived(event(1))
	unmapped.Assignee, junk.Value = 6, []byte("junk")
	for name, c := range map[string]struct {
		mappings fixed
		erasures forgotten
		event    *kgo.Record
		left     int
	}{
		"an interval that names nobody":          {fixed{gone.Key(): gone}, forgotten{}, arrived(event(1)), 0},
		"the person, erased afterwards":          {mapped("ada"), erasure("acme", "ada", 2), arrived(event(1)), 0},
		"the person, erased before":              {mapped("ada"), erasure("acme", "ada", 1), arrived(event(1)), 1},
		"somebody else":                          {mapped("ada"), erasure("acme", "bob", 2), arrived(event(1)), 1},
		"another tenant's person":                {mapped("ada"), erasure("globex", "ada", 2), arrived(event(1)), 1},
		"the tenant, erased afterwards":          {mapped("ada"), erasure("acme", "", 2), arrived(event(1)), 0},
		"the tenant, erased before":              {mapped("ada"), erasure("acme", "", 1), arrived(event(1)), 1},
		"a skip of a tenant erased afterwards":   {mapped("ada"), erasure("acme", "", 2), arrived(unmapped), 0},
		"a skip beside a person who was erased":  {mapped("ada"), erasure("acme", "ada", 2), arrived(unmapped), 1},
		"what is no record goes its way for all": {mapped("ada"), erasure("acme", "", 2), junk, 1},
	} {
		t.Run(name, func(t *testing.T) {
			j := newTestJudge(schemas.NewTopics("halo."), c.mappings)
			j.judge.erasures = c.erasures
			j.decide([]*kgo.Record{c.event})
			if len(j.records) != c.left || j.batch.erased != 1-c.left {
				t.Errorf("%d records and %d erased", len(j.records), j.batch.erased)
			}
		})
	}
}

func TestAPackedHistoryAnswersAsTheMappingDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		m := schemas.Mapping{Tenant: "acme", Agent: 5}
		at := noon
		for range r.IntN(6) {
			at = at.Add(time.Duration(r.IntN(3)) * time.Second)
			switch r.IntN(3) {
			case 0:
				m = m.Close(at)
			case 1:
				m = m.Erase("bob", at)
			default:
				m = m.Assign([]schemas.UserID{"ada", "bob", "Zoë <z>"}[r.IntN(3)], at, "t")
			}
		}
		h := HistoryOf(m)
		for second := -1; second < 15; second++ {
			for _, t1 := range []time.Time{noon.Add(time.Duration(second) * time.Second), noon.Add(time.Duration(second)*time.Second - time.Millisecond)} {
				user, ok := m.At(t1)
				if got, gotOK := h.At(t1); got != user || gotOK != ok {
					t.Fatalf("%+v at %v: %q, %v; the mapping says %q, %v", m, t1, got, gotOK, user, ok)
				}
			}
		}
	}
	if user, ok := History("").At(noon); ok {
		t.Errorf("never mapped, and to %q", user)
	}
}
