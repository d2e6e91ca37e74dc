package console

import (
	"fmt"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// word is a state for people: the class that draws its glyph, and the word,
// which is the API's.
type word struct{ Class, Word string }

// stateOf puts the state of a connection or of an agent in words.
func stateOf(state string) word {
	switch state {
	case control.Active:
		return word{"good", "Active"}
	case control.Degraded:
		return word{"warn", "Degraded"}
	case control.Unauthorized:
		return word{"bad", "Unauthorized"}
	case control.Unreachable:
		return word{"bad", "Unreachable"}
	case control.Disconnected:
		return word{"none", "Disconnected"}
	case control.Sealed:
		return word{"bad", "Sealed"}
	case control.Matched:
		return word{"good", "Matched"}
	case control.Unmatched:
		return word{"warn", "Unmatched"}
	case control.Ignored:
		return word{"none", "Ignored"}
	}
	return word{"none", sentence(state)}
}

// sentence makes a word of ours readable where there is no better one.
func sentence(s string) string {
	s = strings.ReplaceAll(s, "_", " ")
	if s == "" {
		return "–"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func kindWord(k schemas.Kind) string {
	switch k {
	case schemas.TicketLogged:
		return "New ticket logged"
	case schemas.StatusChanged:
		return "Status changed"
	case schemas.UpdatedByAgent:
		return "Updated by agent"
	case schemas.UpdatedByUser:
		return "Updated by user"
	case "":
		return "Unknown event"
	}
	return sentence(string(k))
}

// kindShort is a kind where there is little room.
func kindShort(k schemas.Kind) string {
	switch k {
	case schemas.TicketLogged:
		return "New"
	case schemas.StatusChanged:
		return "Status"
	case schemas.UpdatedByAgent:
		return "By agent"
	case schemas.UpdatedByUser:
		return "By user"
	}
	return kindWord(k)
}

// agentReason says why an agent has no user.
func agentReason(a control.Agent) string {
	switch a.Reason {
	case control.NoEmail:
		return "No e-mail in Halo"
	case control.NoUser:
		return "No user with this e-mail"
	case control.SharedEmail:
		return "Several agents share this e-mail"
	case control.AmbiguousEmail:
		return "Several users have this e-mail"
	case control.ByHand:
		return "Set by hand"
	case control.Disabled:
		return "Disabled in Halo"
	case control.APIAgent:
		return "A program, not a person"
	}
	switch a.MatchedBy {
	case "email":
		return "Matched by e-mail"
	case "hand":
		return "Matched by hand"
	}
	if a.Reason == "" {
		return ""
	}
	return sentence(a.Reason)
}

// skipWord says why an event is not on a timeline.
func skipWord(r schemas.Reason) string {
	switch r {
	case schemas.Unmapped:
		return "Agent had no WorkSights user"
	case schemas.Unassigned:
		return "Ticket had no agent"
	case schemas.UnknownKind:
		return "Not one of the four events"
	case schemas.StaleWebhook:
		return "Came from a replaced webhook"
	case schemas.Undecodable:
		return "No ticket found in it"
	}
	return sentence(string(r))
}

// headline is the state of a connection in one sentence.
func headline(c control.Connection) string {
	todo := 0
	for _, p := range c.Problems {
		if p.Severity != control.SeverityInfo {
			todo++
		}
	}
	switch c.State {
	case control.Disconnected:
		return "HaloPSA is disconnected"
	case control.Unauthorized:
		return "Halo refuses the credentials"
	case control.Unreachable:
		return "Halo cannot be reached"
	case control.Sealed:
		return "The stored credentials cannot be opened"
	}
	switch {
	case todo == 1:
		return "Connected, with one thing to do"
	case todo > 1:
		return fmt.Sprintf("Connected, with %d things to do", todo)
	}
	return "Connected, and all is well"
}

// problemWords names a problem in a list, where its message is not at hand.
func problemWords(code string) string {
	switch code {
	case "agents_unmatched":
		return "Agents unmatched"
	case "webhook_repaired":
		return "Webhook repaired"
	case "deliveries_refused":
		return "Deliveries refused"
	case "vault_sealed":
		return "Credentials sealed"
	case "silent":
		return "Silent"
	}
	return sentence(code)
}

// changeWords say what somebody did, or what happened.
func changeWords(c control.Change, p people) string {
	agent := p.agent(c.Agent)
	switch c.Change {
	case "connect":
		return "Connected HaloPSA"
	case "refresh":
		return "Refreshed the connection"
	case "reconnect":
		return "Reconnected"
	case "disconnect":
		return "Disconnected HaloPSA"
	case "map":
		if c.User != "" {
			return "Mapped " + agent + " to " + p.address(c.User)
		}
		return "Mapped " + agent
	case "unmap":
		return "Ended the mapping of " + agent
	case "ignore":
		return "Ignored " + agent
	case "automatic":
		return "Let " + agent + " be matched by e-mail"
	case "users":
		return "Changed the user directory"
	case "erase":
		if c.User == "" {
			return "Erased a person"
		}
		return "Erased a user"
	case string(schemas.ChangeRepaired):
		return "Repaired: " + problemWords(c.Problem)
	case string(schemas.ChangeProblemOpened):
		return "Problem: " + problemWords(c.Problem)
	case string(schemas.ChangeProblemClosed):
		return "Solved: " + problemWords(c.Problem)
	case string(schemas.ChangeState):
		return "State became " + stateOf(c.State).Word
	}
	return sentence(c.Change)
}
