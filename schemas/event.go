package schemas

import "time"

// Event is one thing that happened to a ticket, content removed: ids and
// times, and nothing that a person wrote.
//
// It carries the facts from which the processor attributes the event, not the
// attribution: that is policy, and can be replayed.
type Event struct {
	ID         ID           `json:"id"`
	Tenant     Tenant       `json:"tenant"`
	Connection ConnectionID `json:"connection"`
	Kind       Kind         `json:"kind"` // empty where the edge could not tell

	Ticket        uint64    `json:"ticket"`
	Assignee      AgentID   `json:"assignee"`       // the ticket's agent; 0 where absent
	Actor         AgentID   `json:"actor"`          // the agent whom the action names; 0 where absent
	ActorType     ActorType `json:"actor_type"`     // empty where the action does not say
	EnvelopeAgent AgentID   `json:"envelope_agent"` // the envelope's agent: assignee or recipient, nobody has published which
	Status        int32     `json:"status"`         // Halo's status id, which is per tenant; 0 where absent
	Action        uint64    `json:"action"`         // numbered per ticket; 0 where absent

	Refusal Reason `json:"refusal"` // why the edge already knows that this makes no activity; else empty

	EventTime  time.Time `json:"event_time"`  // as Halo gave it; Epoch where it gave none
	OccurredAt time.Time `json:"occurred_at"` // what people see, see OccurredAt
	ReceivedAt time.Time `json:"received_at"` // when the delivery's request reached the edge, before its body was read
}

// AppendJSON appends the record's JSON form.
func (e Event) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.id("id", e.ID)
	w.string("tenant", string(e.Tenant))
	w.string("connection", string(e.Connection))
	w.string("kind", string(e.Kind))
	w.uint("ticket", e.Ticket)
	w.uint("assignee", uint64(e.Assignee))
	w.uint("actor", uint64(e.Actor))
	w.string("actor_type", string(e.ActorType))
	w.uint("envelope_agent", uint64(e.EnvelopeAgent))
	w.int("status", int64(e.Status))
	w.uint("action", e.Action)
	w.string("refusal", string(e.Refusal))
	w.time("event_time", e.EventTime)
	w.time("occurred_at", e.OccurredAt)
	w.time("received_at", e.ReceivedAt)
	return append(w.b, '}')
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON is ParseEvent.
func (e *Event) UnmarshalJSON(b []byte) (err error) {
	*e, err = ParseEvent(b)
	return err
}

// ParseEvent reads a record of schema [EventSchema]. Members that it does not
// know are ignored. Errors wrap [ErrMalformed].
func ParseEvent(b []byte) (Event, error) {
	e, _, err := new(Parser).Event(b)
	return e, err
}

// parseEvent reads a record however its JSON is written.
func parseEvent(b []byte) (Event, error) {
	e := Event{EventTime: Epoch}
	r := reader{b: b}
	err := r.members(func(name, v []byte) {
		switch string(name) {
		case "id":
			e.ID = r.id("id", v)
		case "tenant":
			e.Tenant = r.tenant(v)
		case "connection":
			e.Connection = ConnectionID(r.string("connection", v))
		case "kind":
			e.Kind = enum(&r, "kind", v, kinds[:])
		case "ticket":
			e.Ticket = r.uint("ticket", v)
		case "assignee":
			e.Assignee = AgentID(r.uint("assignee", v))
		case "actor":
			e.Actor = AgentID(r.uint("actor", v))
		case "actor_type":
			e.ActorType = enum(&r, "actor_type", v, actorTypes[:])
		case "envelope_agent":
			e.EnvelopeAgent = AgentID(r.uint("envelope_agent", v))
		case "status":
			e.Status = r.int32("status", v)
		case "action":
			e.Action = r.uint("action", v)
		case "refusal":
			e.Refusal = enum(&r, "refusal", v, refusals[:])
		case "event_time":
			e.EventTime = r.time("event_time", v)
		case "occurred_at":
			e.OccurredAt = r.time("occurred_at", v)
		case "received_at":
			e.ReceivedAt = r.time("received_at", v)
		}
	})
	if err == nil {
		err = e.complete()
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

func (e *Event) complete() error {
	switch {
	case e.ID == ID{}:
		return missing("id")
	case e.Tenant == "":
		return missing("tenant")
	case e.ReceivedAt.IsZero():
		return missing("received_at")
	case e.OccurredAt.IsZero():
		return missing("occurred_at")
	case e.Kind == "" && e.Refusal == "":
		return missing("kind")
	}
	return nil
}
