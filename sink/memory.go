package sink

import (
	"hash/maphash"

	"github.com/worksights/halo-connector/schemas"
)

// verdict is what a row is to an earlier one of the same event.
type verdict string

const (
	unseen verdict = ""

	// same: a stage repeated itself, as it does after a crash.
	same verdict = "same"
	// resent: the event arrived again. The first arrival wins.
	resent verdict = "resent"
	// changed: the same arrival has another outcome than before, so that a
	// replay answers otherwise than the first reading did. (Two deliveries of
	// an event within a millisecond that differ in what they say of it would
	// look the same; senders that repeat themselves repeat the bytes.)
	changed verdict = "changed"
	// moved: the same event has another time, or tenant. Both rows stay, and
	// the event counts twice.
	moved verdict = "moved"
)

// generation is how many rows each half of the memory holds: together some six
// megabytes, and at a hundred events a second five minutes of them. What
// repeats by itself, after a crash or a rebalance, does so within seconds.
const generation = 1 << 15

// memory remembers the latest rows by their id, to see whether a repeat says
// the same. It forgets half of them at a time. The zero memory is empty.
type memory struct {
	seed       maphash.Seed // of this process; no imprint leaves it
	young, old map[schemas.ID]imprint
}

// imprint is what has to stay the same.
type imprint struct {
	tenant   schemas.Tenant
	event    int64 // milliseconds
	received int64
	answer   uint64 // a digest of answer
}

// answer is what a stage made of the event.
type answer struct {
	reason     schemas.Reason
	user       schemas.UserID
	kind       schemas.Kind
	weight     float32
	ticket     uint64
	agent      schemas.AgentID
	creditedAs schemas.CreditedAs
	status     int32
	occurred   int64
}

// judge compares a row with the first one seen of its event, and remembers it
// where there was none.
func (m *memory) judge(o *Outcome) verdict {
	if m.young == nil {
		m.seed, m.young = maphash.MakeSeed(), make(map[schemas.ID]imprint, generation)
	}
	now := imprint{o.Tenant, o.EventTime.UnixMilli(), o.ReceivedAt.UnixMilli(), maphash.Comparable(m.seed, answer{
		o.Reason, o.User, o.Kind, o.Weight, o.Ticket, o.Agent, o.CreditedAs, o.Status, o.OccurredAt.UnixMilli(),
	})}
	first, ok := m.young[o.ID]
	if !ok {
		first, ok = m.old[o.ID]
	}
	if !ok {
		m.remember(o.ID, now)
		return unseen
	}
	switch {
	case first.tenant != now.tenant || first.event != now.event:
		return moved
	case first.received != now.received:
		return resent
	case first.answer != now.answer:
		return changed
	}
	return same
}

func (m *memory) remember(id schemas.ID, t imprint) {
	if len(m.young) >= generation {
		if m.old == nil {
			m.old = make(map[schemas.ID]imprint, generation)
		}
		clear(m.old)
		m.old, m.young = m.young, m.old
	}
	m.young[id] = t
}
