package care

import (
	"context"
	"fmt"
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
	// lookPatience bounds the look at Halo that a diagnosis takes: whoever asks
	// waits for it. What was not learnt by then is answered from the last look.
	lookPatience = 15 * time.Second

	// lookAgain is how soon a diagnosis looks at Halo again. Somebody who keeps
	// asking must not use up the tenant's allowance of requests.
	lookAgain = 30 * time.Second

	// tallySpan is what an answer about the timeline counts.
	tallySpan = 7 * 24 * time.Hour
)

// look is what a diagnosis saw of Halo, and when.
type look struct {
	at  time.Time
	of  string // the webhook that was looked at
	saw seen
}

// evidence is what the answers are made of.
type evidence struct {
	*ledger.Snapshot
	match    *match.Matcher
	now      time.Time
	problems []control.Problem
	url      string // where Halo should post to

	news          []halopsa.Agent // in Halo and not in our list
	last, reached time.Time       // last delivery, last call of Halo; zero where none is known
	tally         Tally
	outcomes      error // why last and tally are not known
}

// Diagnosis answers the questions of the customer's troubleshooting guide, from
// facts. It looks at Halo anew, at most once in half a minute, and changes
// nothing: what it finds is saved by the next check.
func (c *Care) Diagnosis(ctx context.Context, t schemas.Tenant) (control.Diagnosis, error) {
	snap, err := c.snapshot(t)
	if err != nil {
		return control.Diagnosis{}, err
	}
	if snap.Sealed == nil && !snap.Connected() {
		return control.Diagnosis{}, control.ErrNotConnected
	}
	e := evidence{Snapshot: snap, now: c.now(), url: c.webhookURL(t)}
	if snap.Connected() {
		saw := c.lookNow(ctx, c.tenant(t), snap)
		fresh := *snap
		fresh.Findings = saw.Findings
		fresh.Findings.Since = snap.Findings.Since
		e.Snapshot = &fresh
		for _, a := range saw.agents {
			if _, known := snap.Agent(a.ID); !known && a.ID.Person() {
				e.news = append(e.news, a)
			}
		}
	}
	e.match, e.problems = match.Of(e.Snapshot), c.judge(e.Snapshot).problems
	if e.tally, e.outcomes = c.cfg.Outcomes.Tally(ctx, t, e.now.Add(-tallySpan)); e.outcomes == nil {
		e.last, e.outcomes = c.cfg.Outcomes.LastDelivery(ctx, t)
	}
	if e.outcomes != nil {
		c.log.Warn("a diagnosis goes without the timeline", "tenant", t, "err", e.outcomes)
	}
	if reached, err := c.cfg.Outcomes.LastReached(ctx, t); err == nil {
		e.reached = reached
	}
	return control.Diagnosis{Questions: []control.Question{e.agentsMissing(), e.activityMissing(), e.noEvents()}}, nil
}

// lookNow looks at Halo, unless that was done a moment ago. What was not learnt in
// time is what was known before.
func (c *Care) lookNow(ctx context.Context, tn *tenant, s *ledger.Snapshot) seen {
	tn.mu.Lock()
	last := tn.look
	tn.mu.Unlock()
	if last.of == s.WebhookID && c.now().Sub(last.at) < lookAgain && !s.Findings.At.After(last.at) {
		return last.saw
	}
	known := seen{Findings: s.Findings}
	if !c.mayAsk(tn, s, leftByDiagnoses) {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	began := c.now()
	saw, err := c.inspect(ctx, tn, s, true)
	if err != nil {
		c.log.Debug("a diagnosis learnt less of Halo than it asked", "tenant", tn.id, "err", err)
		if saw.failed && ctx.Err() != nil {
			return known // it was our patience that ended
		}
	}
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.look = look{began, s.WebhookID, saw}
	return saw
}

// problem returns the first of the connection's problems with one of the codes.
func (e evidence) problem(codes ...string) (control.Problem, bool) {
	i := slices.IndexFunc(e.problems, func(p control.Problem) bool { return slices.Contains(codes, p.Code) })
	if i < 0 {
		return control.Problem{}, false
	}
	return e.problems[i], true
}

// refused is why Halo could not be asked.
func (e evidence) refused() (ledger.Failure, bool) {
	if p, sealed := e.problem("vault_sealed"); sealed {
		return ledger.Failure{Cause: p.Code, Message: p.Message, Action: p.Action}, true
	}
	if f := e.Findings.Failure; f != nil {
		return *f, true
	}
	return ledger.Failure{}, false
}

func answer(q *control.Question, finding, next string) { q.Finding, q.NextStep = finding, next }

// agentsMissing answers why agents do not appear in the mapping step: Halo cannot
// be asked, does not show them, has them since a moment; or they are there and
// matched to nobody.
func (e evidence) agentsMissing() control.Question {
	n := e.match.Count()
	q := control.Question{ID: control.AgentsMissing, Facts: map[string]any{
		"agents": n.Total, "matched": n.Matched, "unmatched": n.Unmatched, "ignored": n.Ignored,
		"listed_at": stamp(e.ListedAt), "users": len(e.Users),
	}}
	why := make(map[string]int)
	for _, a := range e.Agents {
		if state, reason := e.match.State(a); state == control.Unmatched {
			if reason == control.NoUser && e.Hand[a.ID] != "" {
				reason = userGone
			}
			why[reason]++
		}
	}
	if len(why) > 0 {
		q.Facts["unmatched_because"] = why
	}
	if len(e.news) > 0 {
		q.Facts["not_listed_yet"] = len(e.news)
	}
	switch f, failed := e.refused(); {
	case failed:
		answer(&q, f.Message+" The list of agents cannot be read.", f.Action)
	case e.Findings.Agents != nil:
		answer(&q, e.Findings.Agents.Message, e.Findings.Agents.Action)
	case len(e.news) > 0:
		answer(&q, fmt.Sprintf("%s in Halo since the list was read last.", those(len(e.news), "agent is", "agents are")),
			"Refresh the connection to list the agents again. It is done daily, and soon after an event of theirs.")
	case e.Users == nil && n.Total > n.Ignored:
		answer(&q, "WorkSights has given no user directory for this tenant, so no agent could be matched by e-mail.",
			"Give the tenant's users (PUT /users), or map the agents by hand.")
	case n.Unmatched > 0:
		answer(&q, fmt.Sprintf("%s listed and mapped to nobody: %s.", those(n.Unmatched, "agent is", "agents are"), reasons(why)),
			"Map them by hand. Or correct the e-mail in Halo or WorkSights, then refresh the connection.")
	default:
		answer(&q, fmt.Sprintf("Nothing is missing: Halo lists the %s that are here.", those(n.Total, "agent", "agents")),
			"Nothing to do. An agent who joins Halo later appears after Refresh Connection, or within a day.")
	}
	return q
}

// userGone is why an agent is unmatched whom somebody mapped by hand, said more
// exactly than the list of agents does.
const userGone = "user_gone"

// reasons lists why agents are mapped to nobody, in a fixed order.
func reasons(why map[string]int) string {
	var parts []string
	for _, r := range []struct{ code, words string }{
		{control.ByHand, "unmapped by hand"},
		{userGone, "mapped by hand to a user who is no longer in the directory"},
		{control.NoEmail, "without an e-mail in Halo"},
		{control.SharedEmail, "sharing an e-mail with another agent"},
		{control.AmbiguousEmail, "whose e-mail belongs to several WorkSights users"},
		{control.NoUser, "whose e-mail no WorkSights user has"},
	} {
		if n := why[r.code]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, r.words))
		}
	}
	return strings.Join(parts, ", ")
}

// activityMissing answers why ticket activity is not on the timeline: nothing
// arrives, or what arrives is skipped, and for which reason most.
func (e evidence) activityMissing() control.Question {
	q := control.Question{ID: control.ActivityMissing, Facts: map[string]any{"last_delivery_at": stamp(e.last), "days": int(tallySpan / (24 * time.Hour))}}
	if e.outcomes != nil {
		answer(&q, "The timeline cannot be read now, so this cannot be answered.", "Try again in a few minutes.")
		return q
	}
	var skipped uint64
	for _, n := range e.tally.Skipped {
		skipped += n
	}
	q.Facts["activities"], q.Facts["skipped"] = e.tally.Activities, e.tally.Skipped
	// Whoever is mapped by now had events before: they stay skipped, and there is
	// nothing to do about them.
	var nobody, late []namedCount
	var lost, before uint64
	for _, a := range e.tally.Unmapped {
		known, _ := e.Agent(a.Agent)
		named := namedCount{a, known.Name}
		if _, mapped := e.Mapped(a.Agent); mapped {
			late, before = append(late, named), before+a.Events
		} else {
			nobody, lost = append(nobody, named), lost+a.Events
		}
	}
	if len(nobody) > 0 {
		q.Facts["unmapped_agents"] = nobody
	}
	if len(late) > 0 {
		q.Facts["mapped_since"] = late
	}
	most, reason := uint64(0), schemas.Reason("")
	for _, r := range []schemas.Reason{schemas.Unassigned, schemas.StaleWebhook, schemas.UnknownKind, schemas.Undecodable} {
		if n := e.tally.Skipped[r]; n > most {
			most, reason = n, r
		}
	}
	what, next := skipWords(reason)
	switch {
	case e.tally.Activities+skipped == 0:
		answer(&q, "No event arrived in the last seven days, so there is nothing to show.", "See the answer about events that are not coming through.")
	case lost > 0:
		answer(&q, fmt.Sprintf("%s of the last seven days had agents who are mapped to no WorkSights user: %s.",
			those(int(lost), "event", "events"), names(nobody)),
			"Map these agents. What arrived before stays off the timeline: there is no backfill.")
	case e.tally.Activities == 0 && before > 0:
		answer(&q, fmt.Sprintf("%s of the last seven days arrived before their agents were mapped.", those(int(before), "event", "events")),
			"Nothing to do: events that arrive from now on appear. There is no backfill.")
	case most > 0 && most >= e.tally.Activities:
		answer(&q, fmt.Sprintf("%s of the last seven days made no activity: %s.", those(int(most), "event", "events"), what), next)
	case e.match.Count().Matched == 0:
		answer(&q, "No agent is mapped to a WorkSights user.", "Map the agents, then update a ticket in Halo. There is no backfill.")
	default:
		answer(&q, fmt.Sprintf("Activities arrive: %d in the last seven days, and %d events skipped.", e.tally.Activities, skipped),
			"Where one person's activity is missing, look whether that agent is mapped, and since when. Events that arrived before do not appear.")
	}
	return q
}

// skipWords put a reason of skips in words, and what to do about it.
func skipWords(r schemas.Reason) (what, next string) {
	switch r {
	case schemas.Unassigned:
		return "their tickets were assigned to nobody, and no agent acted", "Assign tickets to agents in Halo."
	case schemas.StaleWebhook:
		return "they came from a webhook that has been replaced",
			"Delete the old webhook in Halo under Configuration, Integrations, Webhooks. Reconnecting does it too."
	case schemas.UnknownKind:
		return "they are none of the four kinds of event that are tracked",
			"In Halo, bind the webhook to the four events only. Reconnecting does it."
	default:
		return "they named no ticket",
			"In Halo, set the webhook's payload to one with the ticket's key fields. Reconnecting does it."
	}
}

// noEvents answers why no events come through: Halo cannot be asked, the webhook
// is gone, off or elsewhere, nothing was delivered yet, or it is quiet.
func (e evidence) noEvents() control.Question {
	f := e.Findings
	q := control.Question{ID: control.NoEvents, Facts: map[string]any{
		"webhook_active": active(f), "webhook_url": e.url, "events": f.Events, "checked_at": stamp(f.At),
		"connected_at": stamp(e.ConnectedAt), "last_delivery_at": stamp(e.last), "last_reached_at": stamp(later(e.last, e.reached)),
	}}
	if f.LastStatus != 0 {
		q.Facts["last_status"] = f.LastStatus // what we answered to the last delivery, by Halo's account
	}
	refused, failed := e.refused()
	broken, isBroken := e.problem("webhook_missing", "webhook_disabled", "webhook_url_changed", "webhook_events_missing")
	lost, isLost := e.problem("deliveries_refused")
	silent, isSilent := e.problem("silent")
	switch {
	case failed:
		answer(&q, refused.Message, refused.Action)
	case isBroken:
		answer(&q, broken.Message, broken.Action)
	case e.outcomes != nil:
		answer(&q, "The webhook is active in Halo. Whether events arrive cannot be told now: the timeline cannot be read.", "Try again in a few minutes.")
	case e.last.IsZero() && isLost:
		answer(&q, lost.Message, lost.Action)
	case e.last.IsZero() && !e.reached.IsZero():
		answer(&q, fmt.Sprintf("Halo reached us, last on %s, and has delivered no event yet.", day(e.reached)),
			"The way is open. Update a ticket in Halo; it arrives within two minutes.")
	case e.last.IsZero() && f.LastStatus/100 == 2:
		answer(&q, fmt.Sprintf("Halo reached us: by its account its last call was answered %d. No event has arrived yet.", f.LastStatus),
			"The way is open. Update a ticket in Halo; it arrives within two minutes.")
	case e.last.IsZero() && f.LastStatus != 0:
		answer(&q, fmt.Sprintf("By Halo's account its last call was answered %d. No event has arrived yet.", f.LastStatus),
			"Look whether something stands between Halo and "+e.url+". If not, reconnect, which gives the webhook a new secret.")
	case e.last.IsZero():
		answer(&q, "The webhook is active in Halo, and nothing has been delivered yet.",
			"Update a ticket in Halo. If nothing arrives within two minutes, look into the webhook's delivery log in Halo, and whether its server may reach "+e.url+".")
	case isSilent && e.reached.After(e.last):
		answer(&q, silent.Message+fmt.Sprintf(" Halo reached us on %s.", day(e.reached)), "The way is open. Update a ticket in Halo and look whether it arrives.")
	case isSilent:
		answer(&q, silent.Message, silent.Action)
	default:
		answer(&q, fmt.Sprintf("Events come through: the last arrived %s.", e.last.UTC().Format("2 January 2006 15:04:05 MST")),
			"Nothing to do.")
	}
	return q
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// namedCount is an AgentCount for people.
type namedCount struct {
	AgentCount
	Name string `json:"name"`
}

// names lists agents with their events, the busiest first, at most five.
func names(agents []namedCount) string {
	const most = 5
	var parts []string
	for _, a := range agents[:min(len(agents), most)] {
		name := a.Name
		if name == "" {
			name = "somebody who is not listed"
		}
		parts = append(parts, fmt.Sprintf("%s (agent %d, %s)", name, a.Agent, those(int(a.Events), "event", "events")))
	}
	if more := len(agents) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}
