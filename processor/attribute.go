package processor

import "github.com/worksights/halo-connector/schemas"

// Attribute names the agent whom an event is credited to, and the fact that
// named him. ok is false where the event names no person: agents 0 and 1 are
// Halo's nobody and Unassigned.
//
// A new ticket and an update by a user are credited to the assignee, who has
// the work of it. A change of status and an update by an agent are credited to
// the agent who acted, where the action names one, else to the assignee. The
// envelope's agent comes last, since nobody has published whether it is the
// assignee or the recipient of the notification.
//
// An event whose kind is unknown is credited to nobody.
func Attribute(e schemas.Event) (agent schemas.AgentID, as schemas.CreditedAs, ok bool) {
	switch e.Kind {
	case schemas.StatusChanged, schemas.UpdatedByAgent:
		if acted(e) {
			return e.Actor, schemas.CreditedActor, true
		}
	case schemas.TicketLogged, schemas.UpdatedByUser:
	default:
		return 0, "", false
	}
	switch {
	case e.Assignee.Person():
		return e.Assignee, schemas.CreditedAssignee, true
	case e.EnvelopeAgent.Person():
		return e.EnvelopeAgent, schemas.CreditedEnvelope, true
	}
	return 0, "", false
}

// acted reports whether the action was an agent's: it says so, or it does not
// say and names one. Where it names the system or an end user, an agent beside
// it is not the one who acted.
func acted(e schemas.Event) bool {
	return e.Actor.Person() && (e.ActorType == schemas.ActorAgent || e.ActorType == "")
}
