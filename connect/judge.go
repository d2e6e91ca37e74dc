package connect

import (
	"fmt"
	"strings"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

// The states of a connection.
const (
	Active       = "active"       // everything that can be seen is in order
	Degraded     = "degraded"     // it stands, and something is missing: see the problems
	Unauthorized = "unauthorized" // Halo refuses the credentials, or lacks a scope for them
	Unreachable  = "unreachable"  // Halo could not be asked
	Disconnected = "disconnected"
)

// States are all states, in the order of the constants.
func States() []string { return []string{Active, Degraded, Unauthorized, Unreachable, Disconnected} }

// Problem is something that an operator should know, in plain words.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Action  string `json:"action"`
}

const reconnectAction = "Reconnect the connection to register the webhook again."

// judge says how a connection stands and what is wrong with it. Of several
// problems the worst decides the state; all of them are listed.
func judge(s state) (string, []Problem) {
	if !s.connected() {
		return Disconnected, nil
	}
	f, verdict := s.Findings, Active
	var problems []Problem
	say := func(code, message, action string) {
		problems = append(problems, Problem{code, message, action})
	}
	if p := f.Failure; p != nil {
		verdict = verdictOf(p.Cause)
		say(string(p.Cause), p.Message, p.Action)
	}
	worse := func() {
		if verdict == Active {
			verdict = Degraded
		}
	}
	switch {
	case f.At.IsZero():
	case f.Gone:
		worse()
		say("webhook_missing", "The webhook "+WebhookName+" was deleted in Halo: no events arrive.", reconnectAction)
	case f.Inactive:
		worse()
		message := "The webhook " + WebhookName + " is switched off in Halo: no events arrive."
		if !f.AutoDisabledAt.IsZero() {
			message = fmt.Sprintf("Halo switched the webhook %s off after failed deliveries, on %s: no events arrive.",
				WebhookName, f.AutoDisabledAt.UTC().Format("2 January 2006 15:04 MST"))
		}
		say("webhook_disabled", message, "Switch it on in Halo under Configuration, Integrations, Webhooks, or reconnect.")
	case f.Elsewhere:
		worse()
		say("webhook_url_changed", "The webhook "+WebhookName+" posts to another address than ours.", reconnectAction)
	}
	if missing := missingKinds(f.Events); !f.At.IsZero() && !f.Gone && len(missing) > 0 {
		worse()
		say("webhook_events_missing", "The webhook is not bound to: "+strings.Join(missing, ", ")+". Such events do not arrive.",
			"Add the events to the webhook in Halo under Configuration, Integrations, Webhooks, or reconnect.")
	}
	if p := f.Agents; p != nil {
		worse()
		say(string(p.Cause), p.Message, p.Action)
	}
	if verdict == Active && !f.SilentSince.IsZero() {
		// It may be a public holiday. It is said, and the state stays.
		say("silent", fmt.Sprintf("Nothing has arrived since %s, longer than at any time in the two weeks before.",
			f.SilentSince.UTC().Format("2 January 2006 15:04 MST")),
			"Update a ticket in Halo and look whether it arrives. If it does not, see the delivery log of the webhook in Halo.")
	}
	return verdict, problems
}

// verdictOf says which state a failed call means.
func verdictOf(cause halopsa.Cause) string {
	switch cause {
	case halopsa.SecretWrong, halopsa.ApplicationWrong, halopsa.ScopeMissing, halopsa.PermissionMissing, halopsa.WebhookRefused:
		return Unauthorized
	}
	return Unreachable
}

func missingKinds(have []schemas.Kind) (missing []string) {
	for _, kind := range schemas.Kinds() {
		found := false
		for _, k := range have {
			found = found || k == kind
		}
		if !found {
			missing = append(missing, string(kind))
		}
	}
	return missing
}
