package sink

import (
	"time"

	"github.com/google/uuid"

	"github.com/worksights/halo-connector/schemas"
)

// Rows are outcomes column by column, as ClickHouse takes them. Their memory is
// kept from batch to batch. The zero value is empty.
type Rows struct {
	tenant, reason, user, category, kind, creditedAs, actorType []string

	event, occurred, received []int64 // ms since 1970, which is what the driver takes for DateTime64
	id                        []uuid.UUID
	version, ticket, agent    []uint64
	weight                    []float32
	status                    []int32
	digest                    []uint32 // not stored: see memory
}

// Len is the number of rows.
func (r *Rows) Len() int { return len(r.id) }

// Add appends one row.
func (r *Rows) Add(o Outcome) {
	digest := o.digest()
	r.tenant = append(r.tenant, string(o.Tenant))
	r.reason = append(r.reason, string(o.Reason))
	r.user = append(r.user, string(o.User))
	r.category = append(r.category, o.Category)
	r.kind = append(r.kind, string(o.Kind))
	r.creditedAs = append(r.creditedAs, string(o.CreditedAs))
	r.actorType = append(r.actorType, string(o.ActorType))
	r.event = append(r.event, o.EventTime.UnixMilli())
	r.occurred = append(r.occurred, o.OccurredAt.UnixMilli())
	r.received = append(r.received, o.ReceivedAt.UnixMilli())
	r.id = append(r.id, uuid.UUID(o.ID))
	r.version = append(r.version, version(o.ReceivedAt, digest))
	r.ticket = append(r.ticket, o.Ticket)
	r.agent = append(r.agent, uint64(o.Agent))
	r.weight = append(r.weight, o.Weight)
	r.status = append(r.status, o.Status)
	r.digest = append(r.digest, digest)
}

// At is the outcome in row i.
func (r *Rows) At(i int) Outcome {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	return Outcome{
		Tenant: schemas.Tenant(r.tenant[i]), EventTime: at(r.event[i]), ID: schemas.ID(r.id[i]),
		Reason: schemas.Reason(r.reason[i]), User: schemas.UserID(r.user[i]), Category: r.category[i],
		Kind: schemas.Kind(r.kind[i]), Weight: r.weight[i], Ticket: r.ticket[i], Agent: schemas.AgentID(r.agent[i]),
		CreditedAs: schemas.CreditedAs(r.creditedAs[i]), ActorType: schemas.ActorType(r.actorType[i]), Status: r.status[i],
		OccurredAt: at(r.occurred[i]), ReceivedAt: at(r.received[i]),
	}
}

// Reset empties the rows and keeps their memory.
func (r *Rows) Reset() {
	for _, s := range []*[]string{&r.tenant, &r.reason, &r.user, &r.category, &r.kind, &r.creditedAs, &r.actorType} {
		*s = (*s)[:0]
	}
	for _, s := range []*[]int64{&r.event, &r.occurred, &r.received} {
		*s = (*s)[:0]
	}
	for _, s := range []*[]uint64{&r.version, &r.ticket, &r.agent} {
		*s = (*s)[:0]
	}
	r.id, r.weight, r.status, r.digest = r.id[:0], r.weight[:0], r.status[:0], r.digest[:0]
}

type column struct {
	name   string
	typ    string // as it is sent; the table's own type may be a LowCardinality of it
	values any
}

// columns are in the order of the table.
func (r *Rows) columns() []column {
	const text, id, number, moment = "String", "UUID", "UInt64", "DateTime64(3, 'UTC')"
	return []column{
		{"tenant_id", text, r.tenant},
		{"event_time", moment, r.event},
		{"activity_id", id, r.id},
		{"version", number, r.version},
		{"reason", text, r.reason},
		{"user_id", text, r.user},
		{"category", text, r.category},
		{"kind", text, r.kind},
		{"weight", "Float32", r.weight},
		{"ticket_id", number, r.ticket},
		{"agent_id", number, r.agent},
		{"credited_as", text, r.creditedAs},
		{"actor_type", text, r.actorType},
		{"status_id", "Int32", r.status},
		{"occurred_at", moment, r.occurred},
		{"received_at", moment, r.received},
	}
}
