package processor

import "github.com/worksights/halo-connector/schemas"

// Lookup returns the mapping of a tenant's agent, with its whole history.
type Lookup func(schemas.Tenant, schemas.AgentID) (schemas.Mapping, bool)

// Outcome is what became of an event: an Activity, or a Skip.
type Outcome struct {
	Reason   schemas.Reason // empty: it is an activity
	Activity schemas.Activity
	Skip     schemas.Skip
}

// Join judges an event by the mapping that was in force when the event arrived.
//
// Neither the mapping of today nor the time at which the ticket changed counts:
// an agent who is mapped at noon gets nothing of the morning, and one who was
// unmapped at noon keeps it, however often the morning is replayed.
//
// What the edge has refused stays refused. The skip names the agent all the
// same, where there is one, so that an operator sees whose event it was.
func Join(e schemas.Event, mappings Lookup, weights Weights) (o Outcome) {
	agent, as, ok := Attribute(e)
	switch {
	case e.Refusal != "":
		o.Reason = e.Refusal
	case !ok:
		o.Reason = schemas.Unassigned
	default:
		mapping, _ := mappings(e.Tenant, agent) // of an agent never mapped the zero Mapping is true
		if user, ok := mapping.At(e.ReceivedAt); ok {
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
