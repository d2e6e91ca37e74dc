package schemas

import (
	"fmt"
	"strconv"
	"time"
)

// Activity is a point on a user's timeline: one event, credited.
type Activity struct {
	ID         ID         `json:"id"` // the event's
	Tenant     Tenant     `json:"tenant"`
	User       UserID     `json:"user"`
	Category   string     `json:"category"` // always Category
	Kind       Kind       `json:"kind"`
	Weight     float32    `json:"weight"` // 0 < Weight <= 1: how strong a signal of work this is
	Ticket     uint64     `json:"ticket"`
	Agent      AgentID    `json:"agent"`
	CreditedAs CreditedAs `json:"credited_as"`
	ActorType  ActorType  `json:"actor_type,omitempty"` // who acted; empty, and then omitted, where Halo does not say
	Status     int32      `json:"status"`               // Halo's status id; 0 where absent
	EventTime  time.Time  `json:"event_time"`
	OccurredAt time.Time  `json:"occurred_at"`
	ReceivedAt time.Time  `json:"received_at"`
}

// AppendJSON appends the record's JSON form.
func (a Activity) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.id("id", a.ID)
	w.string("tenant", string(a.Tenant))
	a.middle(&w)
	w.time("event_time", a.EventTime)
	w.time("occurred_at", a.OccurredAt)
	w.time("received_at", a.ReceivedAt)
	return append(w.b, '}')
}

// middle writes the members that an activity does not share with its event.
// Words of a closed list need no escape.
func (a *Activity) middle(w *writer) {
	w.string("user", string(a.User))
	b := append(append(w.b, `,"category":"`...), a.Category...)
	b = append(append(b, `","kind":"`...), a.Kind...)
	b = append(b, `","weight":`...)
	if a.Weight == 1 {
		b = append(b, '1')
	} else {
		b = strconv.AppendFloat(b, float64(a.Weight), 'g', -1, 32)
	}
	b = strconv.AppendUint(append(b, `,"ticket":`...), a.Ticket, 10)
	b = strconv.AppendUint(append(b, `,"agent":`...), uint64(a.Agent), 10)
	b = append(append(b, `,"credited_as":"`...), a.CreditedAs...)
	if a.ActorType != "" {
		b = append(append(b, `","actor_type":"`...), a.ActorType...)
	}
	w.b = strconv.AppendInt(append(b, `","status":`...), int64(a.Status), 10)
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (a Activity) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// UnmarshalJSON is ParseActivity.
func (a *Activity) UnmarshalJSON(b []byte) (err error) {
	*a, err = ParseActivity(b)
	return err
}

// ParseActivity reads a record of schema [ActivitySchema]. Members that it
// does not know are ignored. Errors wrap [ErrMalformed].
func ParseActivity(b []byte) (Activity, error) { return new(Parser).Activity(b) }

// parseActivity reads a record however its JSON is written.
func parseActivity(b []byte) (Activity, error) {
	a := Activity{EventTime: Epoch}
	r := reader{b: b}
	err := r.members(func(name, v []byte) {
		switch string(name) {
		case "id":
			a.ID = r.id("id", v)
		case "tenant":
			a.Tenant = r.tenant(v)
		case "user":
			a.User = UserID(r.string("user", v))
		case "category":
			a.Category = enum(&r, "category", v, categories[:])
		case "kind":
			a.Kind = enum(&r, "kind", v, kinds[:])
		case "weight":
			a.Weight = r.float32("weight", v)
		case "ticket":
			a.Ticket = r.uint("ticket", v)
		case "agent":
			a.Agent = AgentID(r.uint("agent", v))
		case "credited_as":
			a.CreditedAs = enum(&r, "credited_as", v, creditedAs[:])
		case "actor_type":
			a.ActorType = enum(&r, "actor_type", v, actorTypes[:])
		case "status":
			a.Status = r.int32("status", v)
		case "event_time":
			a.EventTime = r.time("event_time", v)
		case "occurred_at":
			a.OccurredAt = r.time("occurred_at", v)
		case "received_at":
			a.ReceivedAt = r.time("received_at", v)
		}
	})
	if err == nil {
		err = a.complete()
	}
	if err != nil {
		return Activity{}, err
	}
	return a, nil
}

func (a *Activity) complete() error {
	switch {
	case a.ID == ID{}:
		return missing("id")
	case a.Tenant == "":
		return missing("tenant")
	case a.User == "":
		return missing("user")
	case a.Category == "":
		return missing("category")
	case a.Kind == "":
		return missing("kind")
	case a.CreditedAs == "":
		return missing("credited_as")
	case !(a.Weight > 0 && a.Weight <= 1):
		return fmt.Errorf("%w: weight is outside 0 < w <= 1", ErrMalformed)
	case a.ReceivedAt.IsZero():
		return missing("received_at")
	case a.OccurredAt.IsZero():
		return missing("occurred_at")
	}
	return nil
}

func missing(name string) error { return fmt.Errorf("%w: %s is missing", ErrMalformed, name) }

// The closed lists as the readers search them: arrays, so that a look-up
// builds no slice per record.
var (
	kinds      = [...]Kind{TicketLogged, StatusChanged, UpdatedByAgent, UpdatedByUser}
	actorTypes = [...]ActorType{ActorSystem, ActorAgent, ActorEndUser}
	reasons    = [...]Reason{Unmapped, Unassigned, UnknownKind, StaleWebhook, Undecodable}
	refusals   = [...]Reason{UnknownKind, StaleWebhook, Undecodable}
	creditedAs = [...]CreditedAs{CreditedActor, CreditedAssignee, CreditedEnvelope}
	categories = [...]string{Category}
)
