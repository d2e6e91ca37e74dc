package processor

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Mapped says who an agent was mapped to at an instant: a [schemas.Mapping], or
// a [History].
type Mapped interface {
	At(time.Time) (schemas.UserID, bool)
}

// Lookup returns the mapping of a tenant's agent, with its whole history.
type Lookup[M Mapped] func(schemas.Tenant, schemas.AgentID) (M, bool)

// Outcome is what became of an event: an Activity, a Skip, or nothing.
type Outcome struct {
	Erased   bool           // it is credited to somebody who was erased, and leaves nothing
	Reason   schemas.Reason // empty: it is an activity, or erased
	Activity schemas.Activity
	Skip     schemas.Skip
}

// Join judges an event by the mapping that was in force when the event arrived.
//
// Neither the mapping of today nor the time at which the ticket changed counts:
// an agent who is mapped at noon gets nothing of the morning, and one who was
// unmapped at noon keeps it, however often the morning is replayed.
//
// An interval whose user was erased makes neither an activity nor a skip.
//
// What the edge has refused stays refused. The skip names the agent all the
// same, where there is one, so that an operator sees whose event it was.
func Join[M Mapped](e schemas.Event, mappings Lookup[M], weights Weights) (o Outcome) {
	agent, as, ok := Attribute(e)
	switch {
	case e.Refusal != "":
		o.Reason = e.Refusal
	case !ok:
		o.Reason = schemas.Unassigned
	default:
		mapping, _ := mappings(e.Tenant, agent) // of an agent never mapped the zero mapping is true
		user, ok := mapping.At(e.ReceivedAt)
		if ok && user == "" {
			return Outcome{Erased: true}
		}
		if ok {
			o.Activity = schemas.Activity{
				ID:         e.ID,
				Tenant:     e.Tenant,
				User:       user,
				Category:   schemas.Category,
				Kind:       e.Kind,
				Weight:     weights.of(e.Kind),
				Ticket:     e.Ticket,
				Agent:      agent,
				CreditedAs: as,
				ActorType:  e.ActorType,
				Status:     e.Status,
				EventTime:  e.EventTime,
				OccurredAt: e.OccurredAt,
				ReceivedAt: e.ReceivedAt,
			}
			return o
		}
		o.Reason = schemas.Unmapped
	}
	o.Skip = schemas.Skip{
		ID:         e.ID,
		Tenant:     e.Tenant,
		Kind:       e.Kind,
		Ticket:     e.Ticket,
		Agent:      agent,
		Reason:     o.Reason,
		EventTime:  e.EventTime,
		OccurredAt: e.OccurredAt,
		ReceivedAt: e.ReceivedAt,
	}
	return o
}
