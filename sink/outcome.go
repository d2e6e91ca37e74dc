package sink

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// Outcome is what became of one event: an activity, or a skip, which has a
// Reason and neither user nor weight. It is one row of outcomes_log.
type Outcome struct {
	Tenant     schemas.Tenant
	EventTime  time.Time
	ID         schemas.ID
	Reason     schemas.Reason // empty for an activity
	User       schemas.UserID
	Category   string
	Kind       schemas.Kind
	Weight     float32
	Ticket     uint64
	Agent      schemas.AgentID
	CreditedAs schemas.CreditedAs
	ActorType  schemas.ActorType
	Status     int32
	OccurredAt time.Time
	ReceivedAt time.Time
}

// OfActivity is the outcome of an event that became an activity.
func OfActivity(a schemas.Activity) Outcome {
	return Outcome{
		Tenant: a.Tenant, EventTime: a.EventTime, ID: a.ID,
		User: a.User, Category: a.Category, Kind: a.Kind, Weight: a.Weight,
		Ticket: a.Ticket, Agent: a.Agent, CreditedAs: a.CreditedAs, ActorType: a.ActorType, Status: a.Status,
		OccurredAt: a.OccurredAt, ReceivedAt: a.ReceivedAt,
	}.bounded()
}

// OfSkip is the outcome of an event that made no activity.
func OfSkip(s schemas.Skip) Outcome {
	return Outcome{
		Tenant: s.Tenant, EventTime: s.EventTime, ID: s.ID,
		Reason: s.Reason, Kind: s.Kind, Ticket: s.Ticket, Agent: s.Agent,
		OccurredAt: s.OccurredAt, ReceivedAt: s.ReceivedAt,
	}.bounded()
}

// Why a record of ours cannot become an outcome, as its dead letter says.
const (
	reasonSchema    = "unknown_schema"
	reasonMalformed = "malformed"
)

// parse reads one record of either topic. The header says which schema it has,
// not the topic: a version that this program does not know may only be guessed
// at, and is better kept for one that does. dead is empty where it succeeded.
func parse(p *schemas.Parser, r *kgo.Record) (o Outcome, dead string) {
	switch kafka.Schema(r) {
	case schemas.ActivitySchema:
		if a, err := p.Activity(r.Value); err == nil {
			return OfActivity(a), ""
		}
	case schemas.SkipSchema:
		if s, err := p.Skip(r.Value); err == nil {
			return OfSkip(s), ""
		}
	default:
		return Outcome{}, reasonSchema
	}
	return Outcome{}, reasonMalformed
}

// The times that a row can hold, in milliseconds. ClickHouse's DateTime64
// begins in 1900; the driver computes in nanoseconds, which end in 2262.
const (
	earliest = -2_208_988_800_000 // 1900-01-01
	latest   = 9_214_646_400_000  // 2262-01-01
)

// bounded brings times that a row cannot hold to the nearest that it can. The
// event is kept, and still folds: the same time always becomes the same.
func (o Outcome) bounded() Outcome {
	for _, t := range []*time.Time{&o.EventTime, &o.OccurredAt, &o.ReceivedAt} {
		if ms := t.UnixMilli(); ms < earliest || ms > latest {
			*t = time.UnixMilli(min(max(ms, earliest), latest)).UTC()
		}
	}
	return o
}

// Version orders the repeats of one event: the greatest is the one that counts.
//
// The high 48 bits count down as ReceivedAt goes up, so that the first arrival
// wins, in whatever order repeats are appended. Two deliveries of one event in
// the same millisecond are told apart by 16 bits over the rest of the row, so
// that a replay, which appends in another order, shows the same one of them.
// Rows that are equal have equal versions, and it does not matter which stays.
func (o Outcome) Version() uint64 { return version(o.ReceivedAt, o.digest()) }

func version(receivedAt time.Time, digest uint32) uint64 {
	const arrivals = 1<<48 - 1
	ms := uint64(max(receivedAt.UnixMilli(), 0))
	return (arrivals-min(ms, arrivals))<<16 | uint64(uint16(digest>>16)^uint16(digest))
}

// digest is over all that a stage made of the event. It is part of what is
// stored: it must give the same for ever. Who acted came later and counts only
// where it is known, so that rows from before keep their versions.
func (o *Outcome) digest() uint32 {
	b := make([]byte, 0, 256)
	for _, s := range [...]string{string(o.Reason), string(o.User), o.Category, string(o.Kind), string(o.CreditedAs)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(o.Weight))
	b = binary.BigEndian.AppendUint64(b, o.Ticket)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Agent))
	b = binary.BigEndian.AppendUint32(b, uint32(o.Status))
	b = binary.BigEndian.AppendUint64(b, uint64(o.OccurredAt.UnixMilli()))
	b = append(b, o.ActorType...)
	return crc32.ChecksumIEEE(b)
}
