package processor

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// breach is a promise that the record at a place breaks.
type breach struct {
	promise metric.Promise
	at      metric.Place
	more    []any // for the log: tenant ids, nothing else of the record
}

func (b *batch) breaks(p metric.Promise, r *kgo.Record, more ...any) {
	b.breaches = append(b.breaches, breach{p, metric.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, more})
}

// forgetBreaches drops what the next try will find again. A mapping that
// reaches back is found once.
func (b *batch) forgetBreaches() {
	b.breaches = slices.DeleteFunc(b.breaches, func(f breach) bool { return f.promise != metric.AsOfArrival })
}

// watch looks, before an event is joined, whether an event breaks a promise. Nothing is refused for it:
// the event was answered 200 and goes its way; a person is called.
func (b *batch) watch(r *kgo.Record, event schemas.Event) {
	if string(r.Key) != string(event.Tenant) {
		b.breaks(metric.Apart, r, "tenant", event.Tenant, "key", kafka.KeyTenant(r))
	}
	// The record must be what the edge writes of this event, byte by byte.
	// What it holds beyond that was read by nobody and could be anything.
	b.whole = event.AppendJSON(b.whole[:0])
	if !bytes.Equal(b.whole, r.Value) {
		b.breaks(metric.ContentFree, r, "tenant", event.Tenant)
	}
	b.judging, b.arrived = r, event.ReceivedAt
}

// judgements remember, of each agent, the last event that was judged and who
// it was credited to, so that a mapping which says otherwise later is noticed:
// it claims to hold from an instant at which events were judged without it,
// and a replay would give another answer than ClickHouse has.
//
// It notices with the agent's next event, and what this process judged itself.
// An entry is 100 bytes, one for each agent who had an event; Halo's tenants
// have tens of agents.
type judgements map[string]*judgement

type judgement struct {
	arrived time.Time
	user    schemas.UserID // "": unmapped
}

// contradicted reports whether the mapping under key no longer gives the
// answer that was given last, and remembers the one it gives for an event that
// arrived at arrived.
func (j *judgements) contradicted(key []byte, m schemas.Mapping, known bool, arrived time.Time) bool {
	if *j == nil {
		*j = make(judgements)
	}
	at := func(t time.Time) schemas.UserID {
		if !known {
			return ""
		}
		user, _ := m.At(t)
		return user
	}
	last, ok := (*j)[string(key)]
	if !ok {
		(*j)[string(key)] = &judgement{arrived, at(arrived)}
		return false
	}
	changed := at(last.arrived) != last.user
	last.arrived, last.user = arrived, at(arrived)
	return changed
}
