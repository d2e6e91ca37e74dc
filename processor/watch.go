package processor

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// watch looks, before an event is joined, whether an event breaks a promise. Nothing is refused for it:
// the event was answered 200 and goes its way; a person is called.
func (b *batch) watch(r *kgo.Record, event schemas.Event) {
	if string(r.Key) != string(event.Tenant) {
		b.breaches[metric.Apart]++
	}
	// The record must be what the edge writes of this event, byte by byte.
	// What it holds beyond that was read by nobody and could be anything.
	b.whole = event.AppendJSON(b.whole[:0])
	if !bytes.Equal(b.whole, r.Value) {
		b.breaches[metric.ContentFree]++
	}
	b.arrived = event.ReceivedAt
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
