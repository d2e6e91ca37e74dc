package connect

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

// The questions of the customer's troubleshooting guide.
const (
	agentsMissing   = "agents_missing"   // agents are not appearing in the user mapping step
	activityMissing = "activity_missing" // ticket activity is not appearing on the timeline
	noEvents        = "no_events"        // the connection shows as active but no events are coming through
)

// question is one of them with its answer.
type question struct {
	ID       string         `json:"id"`
	Finding  string         `json:"finding"`
	Facts    map[string]any `json:"facts"`
	NextStep string         `json:"next_step"`
}

func (q *question) say(finding, next string) { q.Finding, q.NextStep = finding, next }

const (
	// lookPatience bounds the look at Halo that a diagnosis takes: whoever asks
	// waits for it. What was not learnt by then is answered from the last look.
	lookPatience = 15 * time.Second

	// lookAgain is how soon a diagnosis looks at Halo again. Somebody who keeps
	// asking must not use up the tenant's allowance of requests.
	lookAgain = 5 * time.Second

	// tallySpan is what an answer about the timeline counts.
	tallySpan = 7 * 24 * time.Hour
)

// evidence is what the answers are made of.
type evidence struct {
	*snapshot
	now      time.Time
	problems []Problem
	url      string // where Halo should post to

	news     []halopsa.Agent // in Halo and not in our list
	last     time.Time       // last delivery; zero where none is known
	tally    Tally
	outcomes error // why last and tally are not known
}

func (c *Connect) getDiagnosis(r *request) (int, any, error) {
	snap, err := r.snapshot()
	if err != nil {
		return 0, nil, err
	}
	if !snap.connected() {
		return 0, nil, ErrNotConnected
	}
	e := evidence{now: c.now(), url: c.webhookURL(r.tenant)}
	listed := r.term.lookNow(r.Context(), r.term.tenant(r.tenant))
	if e.snapshot, err = r.snapshot(); err != nil {
		return 0, nil, err
	}
	if !e.connected() { // disconnected meanwhile
		return 0, nil, ErrNotConnected
	}
	for _, a := range listed {
		if _, known := e.agent(a.ID); !known && a.ID.Person() {
			e.news = append(e.news, a)
		}
	}
	_, e.problems = judge(e.state)
	if e.tally, e.outcomes = c.cfg.Outcomes.Tally(r.Context(), r.tenant, e.now.Add(-tallySpan)); e.outcomes == nil {
		e.last, e.outcomes = c.cfg.Outcomes.LastDelivery(r.Context(), r.tenant)
	}
	if e.outcomes != nil {
		c.log.Warn("a diagnosis goes without the timeline", "tenant", r.tenant, "err", e.outcomes)
	}
	return http.StatusOK, map[string][]question{"questions": {e.agentsMissing(), e.activityMissing(), e.noEvents()}}, nil
}

// lookNow checks the connection's health, unless that was done a moment ago,
// and returns the agents that Halo lists now; none where it does not answer in
// time.
func (t *term) lookNow(ctx context.Context, tn *tenant) []halopsa.Agent {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	if !t.mayAsk(tn, leftByDiagnoses) {
		return nil
	}
	if tn.busy.CompareAndSwap(false, true) { // else a check is under way
		if t.c.now().Sub(tn.looked) >= lookAgain {
			t.check(ctx, tn)
		}
		tn.busy.Store(false)
	}
	s := tn.seen.Load().state
	if !s.connected() || s.Findings.Failure != nil {
		return nil
	}
	halo, err := tn.client(t.c, s.credentials)
	if err != nil {
		return nil
	}
	listed, err := halo.Agents(ctx)
	if err != nil {
		t.c.log.Debug("a diagnosis goes without Halo's list of agents", "tenant", tn.id, "err", err)
	}
	return listed
}

// problem returns the first of the connection's problems with one of the codes.
func (e evidence) problem(codes ...string) (Problem, bool) {
	i := slices.IndexFunc(e.problems, func(p Problem) bool { return slices.Contains(codes, p.Code) })
	if i < 0 {
		return Problem{}, false
	}
	return e.problems[i], true
}

// refused returns why Halo could not be asked.
func (e evidence) refused() (failure, bool) {
	if f := e.Findings.Failure; f != nil {
		return *f, true
	}
	return failure{}, false
}

// agentsMissing answers why agents do not appear in the mapping step: Halo
// cannot be asked, does not show them, has them since a moment; or they are
// there and matched to nobody.
func (e evidence) agentsMissing() question {
	n := e.counts()
	q := question{ID: agentsMissing, Facts: map[string]any{
		"agents": n.Total, "matched": n.Matched, "unmatched": n.Unmatched, "ignored": n.Ignored,
		"listed_at": stamp(e.ListedAt), "users": len(e.Users),
	}}
	why := make(map[string]int)
	m := newMatcher(e.state)
	for _, a := range e.Agents {
		if _, mapped := e.mapped(a.ID); agentState(a, mapped) == Unmatched {
			why[m.why(a)]++
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
		q.say(f.Message+" The list of agents cannot be read.", f.Action)
	case e.Findings.Agents != nil:
		q.say(e.Findings.Agents.Message, e.Findings.Agents.Action)
	case len(e.news) > 0:
		q.say(fmt.Sprintf("%s in Halo since the list was read last.", those(len(e.news), "agent is", "agents are")),
			"Refresh the connection to list the agents again.")
	case e.Users == nil && n.Total > n.Ignored:
		q.say("WorkSights has given no user directory for this tenant, so no agent could be matched by e-mail.",
			"Give the tenant's users (PUT /users), or map the agents by hand.")
	case n.Unmatched > 0:
		q.say(fmt.Sprintf("%s listed and mapped to nobody: %s.", those(n.Unmatched, "agent is", "agents are"), reasons(why)),
			"Map them by hand. Or correct the e-mail in Halo or WorkSights, then refresh the connection.")
	default:
		q.say(fmt.Sprintf("Nothing is missing: Halo lists the %s that are here.", those(n.Total, "agent", "agents")),
			"Nothing to do. An agent who joins Halo later appears after Refresh Connection.")
	}
	return q
}

// activityMissing answers why ticket activity is not on the timeline: nothing
// arrives, or what arrives is skipped, and for which reason most.
func (e evidence) activityMissing() question {
	q := question{ID: activityMissing, Facts: map[string]any{"last_delivery_at": stamp(e.last), "days": int(tallySpan / (24 * time.Hour))}}
	if e.outcomes != nil {
		q.say("The timeline cannot be read now, so this cannot be answered.", "Try again in a few minutes.")
		return q
	}
	var skipped uint64
	for _, n := range e.tally.Skipped {
		skipped += n
	}
	q.Facts["activities"], q.Facts["skipped"] = e.tally.Activities, e.tally.Skipped
	// Whoever is mapped by now had events before: they stay skipped, and there
	// is nothing to do about them.
	var nobody, late []namedCount
	var lost, before uint64
	for _, a := range e.tally.Unmapped {
		known, _ := e.agent(a.Agent)
		named := namedCount{a, known.Name}
		if _, mapped := e.mapped(a.Agent); mapped {
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
	switch {
	case e.tally.Activities+skipped == 0:
		q.say("No event arrived in the last seven days, so there is nothing to show.", "See the answer about events that are not coming through.")
	case lost > 0:
		q.say(fmt.Sprintf("%s of the last seven days had agents who are mapped to no WorkSights user: %s.",
			those(int(lost), "event", "events"), names(nobody)),
			"Map these agents. What arrived before stays off the timeline: there is no backfill.")
	case e.tally.Activities == 0 && before > 0:
		q.say(fmt.Sprintf("%s of the last seven days arrived before their agents were mapped.", those(int(before), "event", "events")),
			"Nothing to do: events that arrive from now on appear. There is no backfill.")
	case most > 0 && most >= e.tally.Activities:
		q.say(fmt.Sprintf("%s of the last seven days made no activity: %s.", those(int(most), "event", "events"), skipWords[reason].what), skipWords[reason].next)
	case e.counts().Matched == 0:
		q.say("No agent is mapped to a WorkSights user.", "Map the agents, then update a ticket in Halo. There is no backfill.")
	default:
		q.say(fmt.Sprintf("Activities arrive: %d in the last seven days, and %d events skipped.", e.tally.Activities, skipped),
			"Where one person's activity is missing, look whether that agent is mapped, and since when. Events that arrived before do not appear.")
	}
	return q
}

// skipWords put the reasons of skips in words.
var skipWords = map[schemas.Reason]struct{ what, next string }{
	schemas.Unassigned:   {"their tickets were assigned to nobody, and no agent acted", "Assign tickets to agents in Halo."},
	schemas.StaleWebhook: {"they came from a webhook that has been replaced", "Delete the old webhook in Halo under Configuration, Integrations, Webhooks. Reconnecting does it too."},
	schemas.UnknownKind:  {"they are none of the four kinds of event that are tracked", "In Halo, bind the webhook to the four events only. Reconnecting does it."},
	schemas.Undecodable:  {"they named no ticket", "In Halo, set the webhook's payload to one with the ticket's key fields. Reconnecting does it."},
}

// noEvents answers why no events come through: Halo cannot be asked, the
// webhook is gone, off or elsewhere, nothing was delivered yet, or it is
// quiet.
func (e evidence) noEvents() question {
	f := e.Findings
	q := question{ID: noEvents, Facts: map[string]any{
		"webhook_active": f.active(), "webhook_url": e.url, "events": f.Events, "checked_at": stamp(f.At),
		"connected_at": stamp(e.ConnectedAt), "last_delivery_at": stamp(e.last),
	}}
	if f.LastStatus != 0 {
		q.Facts["last_status"] = f.LastStatus // what we answered to the last delivery, by Halo's account
	}
	refused, failed := e.refused()
	broken, isBroken := e.problem("webhook_missing", "webhook_disabled", "webhook_url_changed", "webhook_events_missing")
	silent, isSilent := e.problem("silent")
	switch {
	case failed:
		q.say(refused.Message, refused.Action)
	case isBroken:
		q.say(broken.Message, broken.Action)
	case e.outcomes != nil:
		q.say("The webhook is active in Halo. Whether events arrive cannot be told now: the timeline cannot be read.", "Try again in a few minutes.")
	case e.last.IsZero():
		q.say("The webhook is active in Halo, and nothing has been delivered yet.",
			"Update a ticket in Halo. If nothing arrives within two minutes, look into the webhook's delivery log in Halo, and whether its server may reach "+e.url+".")
	case isSilent:
		q.say(silent.Message, silent.Action)
	default:
		q.say(fmt.Sprintf("Events come through: the last arrived %s.", e.last.UTC().Format("2 January 2006 15:04:05 MST")),
			"Nothing to do.")
	}
	return q
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
			name = "not in the list of agents"
		}
		parts = append(parts, fmt.Sprintf("%d (%s, %s)", a.Agent, name, those(int(a.Events), "event", "events")))
	}
	if more := len(agents) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

// reasons lists why agents are mapped to nobody, in a fixed order.
func reasons(why map[string]int) string {
	var parts []string
	for _, r := range unmatchedReasons {
		if n := why[r.code]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, r.words))
		}
	}
	return strings.Join(parts, ", ")
}

// those counts things in words.
func those(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
