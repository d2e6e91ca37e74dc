package care

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// failuresToTurn is how many checks in a row must fail before a state turns:
	// one that fails is a restart of Halo, a lost packet, a minute of its network.
	failuresToTurn = 2

	// repairedFor is how long it is said that a webhook was switched on again.
	repairedFor = 24 * time.Hour

	// costSpan is what is counted of events that cost an unmapped agent.
	costSpan = 7 * 24 * time.Hour

	// refusedSpan is how long deliveries that were refused are said.
	refusedSpan = 24 * time.Hour
)

const (
	reconnectAction = "Reconnect the connection to register the webhook again."
	switchOnAction  = "Switch it on in Halo under Configuration, Integrations, Webhooks, or reconnect."
)

// day puts an instant in words.
func day(t time.Time) string { return t.UTC().Format("2 January 2006 15:04 MST") }

// verdict is how a connection stands and what is wrong with it.
type verdict struct {
	state    string
	problems []control.Problem
}

// judge says how a tenant's connection stands. Of several problems the worst
// decides the state; all of them are listed. Only an error makes a state, and a
// Halo that could not be asked only the second time.
func (c *Care) judge(s *ledger.Snapshot) verdict {
	f := s.Findings
	v := verdict{state: control.Active}
	say := func(severity, code, message, action string) {
		since, known := f.Since[code]
		if !known {
			since = schemas.Truncate(c.now())
		}
		v.problems = append(v.problems, control.Problem{Code: code, Severity: severity, Message: message, Action: action, Since: since})
	}
	switch {
	case s.Sealed != nil:
		v.state = control.Sealed
		say(control.SeverityError, "vault_sealed", "The tenant's record does not open: "+sealedBecause(s.Sealed)+". Nothing of it is changed; its events are taken and judged as before.",
			"Bring back the key or the record. If it is lost, connect the tenant anew with replace_sealed: every mapping's history is kept.")
		v.problems[0].Since = c.began
		return v
	case !s.Connected():
		v.state = control.Disconnected
		if len(s.LeftInHalo) > 0 {
			action := "Delete the webhook in Halo under Configuration, Integrations, Webhooks."
			if n := len(s.Leaving); n > 0 {
				action = "It is tried again until " + day(s.Leaving[n-1].Until) + ". The credentials are kept sealed for that alone, and destroyed then. To be sure, d" + action[1:]
			}
			say(control.SeverityWarning, "left_in_halo", "Halo did not let go of all that is ours: "+strings.Join(s.LeftInHalo, "; ")+". Its deliveries are refused.", action)
		}
		return v
	}
	degrade := func() {
		if v.state == control.Active {
			v.state = control.Degraded
		}
	}
	if p := f.Failure; p != nil {
		if f.Failed >= failuresToTurn {
			v.state = verdictOf(halopsa.Cause(p.Cause))
		}
		say(control.SeverityError, p.Cause, p.Message, p.Action)
	}
	switch {
	case f.At.IsZero():
	case f.Gone:
		degrade()
		say(control.SeverityError, "webhook_missing", "The webhook "+WebhookName+" was deleted in Halo: no events arrive.", reconnectAction)
	case f.Inactive && offByHalo(f):
		degrade()
		message := fmt.Sprintf("Halo switched the webhook %s off after failed deliveries, on %s: no events arrive.", WebhookName, day(f.AutoDisabledAt))
		action := switchOnAction
		if next, ok := nextRepair(f.Repairs, c.now()); ok && !c.cfg.ReportOnly {
			action = "It is switched on again on " + day(next) + ". " + switchOnAction
		}
		say(control.SeverityError, "webhook_disabled", message, action)
	case f.Inactive:
		degrade()
		say(control.SeverityError, "webhook_disabled", "The webhook "+WebhookName+" is switched off in Halo: no events arrive.", switchOnAction)
	case f.Elsewhere:
		degrade()
		say(control.SeverityError, "webhook_url_changed", "The webhook "+WebhookName+" posts to another address than ours.", reconnectAction)
	}
	if missing := missingKinds(f.Events); !f.At.IsZero() && !f.Gone && len(missing) > 0 {
		degrade()
		say(control.SeverityError, "webhook_events_missing", "The webhook is not bound to: "+strings.Join(missing, ", ")+". Such events do not arrive.",
			"Add the events to the webhook in Halo under Configuration, Integrations, Webhooks, or reconnect.")
	}
	if p := f.Agents; p != nil {
		severity := control.SeverityError
		if halopsa.Cause(p.Cause) == halopsa.ListIncomplete {
			severity = control.SeverityWarning
		} else {
			degrade()
		}
		say(severity, p.Cause, p.Message, p.Action)
	}
	if n := len(f.Repairs); n > 0 && c.now().Sub(f.Repairs[n-1]) < repairedFor {
		say(control.SeverityInfo, "webhook_repaired", fmt.Sprintf("Halo had switched the webhook %s off after failed deliveries. It was switched on again on %s.", WebhookName, day(f.Repairs[n-1])),
			"Nothing to do. If it happens again, see the webhook's delivery log in Halo: deliveries may be lost while it is off.")
	}
	if agents, events := c.cost(s); events > 0 {
		say(control.SeverityWarning, "agents_unmatched", fmt.Sprintf("%s with events %s mapped to no WorkSights user: %s of the last seven days made no activity.",
			those(agents, "agent", "agents"), isAre(agents), those(int(events), "event", "events")),
			"Map these agents, or ignore them; whoever is not in WorkSights yet has to be added there first. What arrived before stays off the timeline: there is no backfill.")
	}
	if r := c.refusals(s.Tenant); r.Deliveries > 0 {
		say(control.SeverityWarning, "deliveries_refused", fmt.Sprintf("%s of the last day could not be taken; the last on %s: %s.",
			those(r.Deliveries, "delivery", "deliveries"), day(r.LastAt), refusedWords(r.LastResult)),
			"See the list of refused deliveries. Halo does not always send such events again.")
	}
	if v.state == control.Active && f.Failure == nil && !f.SilentSince.IsZero() {
		// It may be a public holiday. It is said, and the state stays.
		say(control.SeverityWarning, "silent", fmt.Sprintf("Nothing has arrived since %s, longer than at any time in the two weeks before.", day(f.SilentSince)),
			"Update a ticket in Halo and look whether it arrives. If it does not, see the delivery log of the webhook in Halo.")
	}
	return v
}

// has says whether one of the problems has the code.
func (v verdict) has(code string) bool {
	return slices.ContainsFunc(v.problems, func(p control.Problem) bool { return p.Code == code })
}

// sealedBecause is why a tenant is sealed, in the ledger's words.
func sealedBecause(err error) string {
	_, why, found := strings.Cut(err.Error(), ledger.ErrSealed.Error()+": ")
	if !found {
		return "it is lost"
	}
	return why
}

// verdictOf says which state a failed call means.
func verdictOf(cause halopsa.Cause) string {
	switch cause {
	case halopsa.SecretWrong, halopsa.ApplicationWrong, halopsa.ScopeMissing, halopsa.PermissionMissing, halopsa.WebhookRefused:
		return control.Unauthorized
	}
	return control.Unreachable
}

// refusedWords put why a delivery was refused in words.
func refusedWords(result string) string {
	switch result {
	case "malformed":
		return "its body was no JSON"
	case "too_large":
		return "it was too large"
	case "rate_limited":
		return "too many came at once"
	case "unavailable":
		return "the connector could not keep it"
	case "unauthorized":
		return "its secret was wrong"
	case "undecodable":
		return "it named no ticket"
	}
	return "it was refused"
}

// cost is how many agents are unmatched, by nobody's decision, and had events
// in the last seven days; and how many events that were.
func (c *Care) cost(s *ledger.Snapshot) (agents int, events uint64) {
	skipped := c.skippedOf(s.Tenant)
	if len(skipped) == 0 {
		return 0, 0
	}
	m := match.Of(s)
	for _, n := range skipped {
		a, listed := s.Agent(n.Agent)
		if !listed {
			a = ledger.Agent{ID: n.Agent}
		}
		if state, reason := m.State(a); state == control.Unmatched && reason != control.ByHand {
			agents, events = agents+1, events+n.Events
		}
	}
	return agents, events
}

func (c *Care) skippedOf(t schemas.Tenant) []AgentCount {
	if all := c.unmapped.Load(); all != nil {
		return (*all)[t]
	}
	return nil
}

func (c *Care) refusals(t schemas.Tenant) Refusals {
	if all := c.refused.Load(); all != nil {
		return (*all)[t]
	}
	return Refusals{}
}

func missingKinds(have []schemas.Kind) (missing []string) {
	for _, kind := range schemas.Kinds() {
		if !slices.Contains(have, kind) {
			missing = append(missing, string(kind))
		}
	}
	return missing
}

// active says whether the webhook, as last seen, delivers to us.
func active(f ledger.Findings) bool {
	return !f.At.IsZero() && !f.Gone && !f.Inactive && !f.Elsewhere
}

// failureOf puts a failure of Halo into findings; nil where it is none.
func failureOf(err error) *ledger.Failure {
	if e, ok := errors.AsType[*halopsa.Error](err); ok {
		return &ledger.Failure{Cause: string(e.Cause), Message: e.Message, Action: e.Action}
	}
	return nil
}

// turned notes in next since when its problems are there, and returns what there
// is to be said of the way from one state to the other.
func (c *Care) turned(before *ledger.Snapshot, next *ledger.State, by string) []schemas.Change {
	was := c.judge(before)
	after := *before
	after.State, after.Sealed = *next, nil
	is := c.judge(&after)
	since := make(map[string]time.Time, len(is.problems))
	var said []schemas.Change
	for _, p := range is.problems {
		since[p.Code] = p.Since
		if !was.has(p.Code) || before.Findings.Since[p.Code].IsZero() {
			said = append(said, schemas.Change{By: by, Change: schemas.ChangeProblemOpened, Problem: p.Code, Result: "ok"})
		}
	}
	for _, code := range slices.Sorted(maps.Keys(before.Findings.Since)) {
		if _, still := since[code]; !still {
			said = append(said, schemas.Change{By: by, Change: schemas.ChangeProblemClosed, Problem: code, Result: "ok"})
		}
	}
	if was.state != is.state {
		said = append(said, schemas.Change{By: by, Change: schemas.ChangeState, State: is.state, Result: "ok"})
	}
	next.Findings.Since = since
	if len(since) == 0 {
		next.Findings.Since = nil
	}
	return said
}

// those counts things in words.
func those(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
