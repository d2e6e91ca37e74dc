package schemas

// Kind is which of the four things happened to a ticket.
type Kind string

// The four kinds. The empty Kind belongs to an event that was refused before
// its kind was known.
const (
	TicketLogged   Kind = "ticket_logged"
	StatusChanged  Kind = "status_changed"
	UpdatedByAgent Kind = "updated_by_agent"
	UpdatedByUser  Kind = "updated_by_user"
)

// Kinds are the four kinds, in the order in which people are shown them.
func Kinds() []Kind {
	return []Kind{TicketLogged, StatusChanged, UpdatedByAgent, UpdatedByUser}
}

// Valid reports whether k is one of the four kinds.
func (k Kind) Valid() bool { return k != "" && oneOf(string(k), kinds[:]) == k }

// Reason says why an event made no activity.
type Reason string

// The reasons of a [Skip]. The first two are judged by the processor, the
// others are already known at the edge and travel as [Event.Refusal].
const (
	Unmapped     Reason = "unmapped"      // the credited agent was mapped to nobody when the event arrived
	Unassigned   Reason = "unassigned"    // the event names no agent who could be credited
	UnknownKind  Reason = "unknown_kind"  // a ticket's event, but none of the four kinds
	StaleWebhook Reason = "stale_webhook" // sent by a webhook that is not the connection's current one
	Undecodable  Reason = "undecodable"   // JSON in which no ticket was found
)

// Reasons are all reasons, in the order of the constants.
func Reasons() []Reason {
	return []Reason{Unmapped, Unassigned, UnknownKind, StaleWebhook, Undecodable}
}

// Refusals are the reasons that the edge gives.
func Refusals() []Reason { return []Reason{UnknownKind, StaleWebhook, Undecodable} }

// CreditedAs says which fact of the event named the credited agent.
type CreditedAs string

// Where the credited agent was found.
const (
	CreditedActor    CreditedAs = "actor"
	CreditedAssignee CreditedAs = "assignee"
	CreditedEnvelope CreditedAs = "envelope"
)

// ActorType is who acted, as Halo's action says in who_type (0 system,
// 1 agent, 2 end user; seen on live tenants). Empty where it does not say.
type ActorType string

// The types of actor.
const (
	ActorSystem  ActorType = "system"
	ActorAgent   ActorType = "agent"
	ActorEndUser ActorType = "end_user"
)

// Category is the category of every activity of this connector.
const Category = "Ticket"

// oneOf returns the member of set that s spells, or "" where there is none.
//
// It returns the constant and not s, so that a record which lives on does not
// keep alive, or allocate, a string of its own per event.
func oneOf[T ~string, B ~string | ~[]byte](s B, set []T) T {
	for _, v := range set {
		if string(v) == string(s) {
			return v
		}
	}
	return ""
}
