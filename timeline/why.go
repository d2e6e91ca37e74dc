package timeline

import (
	"fmt"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// why explains an outcome in sentences, the most telling first. It says nothing
// that the explanation does not hold.
func why(e control.Explanation) []string {
	o := e.Outcome
	said := []string{}
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	switch o.Reason {
	case "":
		say("Credited to user %s, to whom agent %d was mapped when the event arrived.", o.User, o.Agent)
		say("%s", credited(o))
	case schemas.Unmapped:
		say("Agent %d was mapped to nobody when the event arrived, at %s.", o.Agent, moment(o.ReceivedAt))
		if from, ok := mappedLater(e); ok {
			say("The agent was mapped on %s. A mapping holds for events that arrive after it; what came before stays uncredited.", moment(from))
		} else {
			say("Map the agent, and events that arrive from then on are credited.")
		}
	case schemas.Unassigned:
		say("The event names no agent who could be credited: the ticket was assigned to nobody, and no agent acted.")
	case schemas.UnknownKind:
		say("Halo sent an event that is none of the four kinds. Reconnect, if the webhook's events were changed in Halo.")
	case schemas.StaleWebhook:
		say("It was sent by a webhook that is not the connection's current one. Delete that webhook in Halo.")
	case schemas.Undecodable:
		say("No ticket was found in what Halo sent. Look at the webhook's payload in Halo: it must hold the ticket.")
	}
	if f := e.Facts; f != nil && f.EventTime.Equal(schemas.Epoch) {
		say("Halo gave no time of the event: it is shown when it arrived.")
	} else if f != nil && !f.EventTime.Equal(o.OccurredAt) {
		say("Halo's time of the event, %s, cannot be: it is shown when it arrived.", moment(f.EventTime))
	}
	if e.Arrivals > 1 {
		say("It arrived %d times; the first arrival counts.", e.Arrivals)
	}
	if e.Facts == nil {
		say("Kafka no longer has the event, or it was not found in time: only what became of it is known.")
	}
	return said
}

func credited(o control.Event) string {
	switch o.CreditedAs {
	case schemas.CreditedActor:
		return "The agent is the one who acted."
	case schemas.CreditedAssignee:
		return "The agent is the one to whom the ticket was assigned."
	default:
		return "The agent is the one whom the delivery names; it does not say who acted, or to whom the ticket was assigned."
	}
}

// mappedLater is when the agent was first mapped after the event had arrived.
func mappedLater(e control.Explanation) (first time.Time, ok bool) {
	if e.Mapping == nil {
		return first, false
	}
	for _, iv := range e.Mapping.Intervals { // newest first
		if iv.From.After(e.Mapping.At) {
			first, ok = iv.From, true
		}
	}
	return first, ok
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }
