//go:build synctests

package care_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func (in *instance) diagnosis(tenant schemas.Tenant) map[string]control.Question {
	in.w.Helper()
	d, err := in.Diagnosis(context.Background(), tenant)
	if err != nil {
		in.w.Fatal(err)
	}
	all := make(map[string]control.Question)
	for _, q := range d.Questions {
		all[q.ID] = q
	}
	return all
}

func TestADiagnosisNamesTheCauseAndTheNextStep(t *testing.T) {
	const agents, activity, events = "agents_missing", "activity_missing", "no_events"
	busy := func(w *world) { // events come, and all is well
		w.outcomes.set(func(o *outcomes) {
			o.last["acme"] = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			o.tally["acme"] = care.Tally{Activities: 42}
		})
	}
	skipped := func(activities uint64, reason schemas.Reason, n uint64, unmapped ...care.AgentCount) func(*world, *instance) {
		return func(w *world, _ *instance) {
			w.outcomes.set(func(o *outcomes) {
				o.tally["acme"] = care.Tally{Activities: activities, Skipped: map[schemas.Reason]uint64{reason: n}, Unmapped: unmapped}
			})
		}
	}
	for name, test := range map[string]struct {
		happens       func(*world, *instance)
		question      string
		finding, next string // begin with; HOST and HOOK stand for the tenant's
	}{
		"agents: nothing is missing": {func(*world, *instance) {}, agents, "Nothing is missing: Halo lists the 2 agents that are here.", "Nothing to do."},
		"activity: it is there":      {func(*world, *instance) {}, activity, "Activities arrive: 42 in the last seven days, and 0 events skipped.", "Where one person's"},
		"events: they come":          {func(*world, *instance) {}, events, "Events come through: the last arrived 1 January 2000 00:00:00 UTC.", "Nothing to do."},

		"secret rotated, agents": {func(w *world, _ *instance) { w.sims[0].RotateSecret("x") }, agents, "HOST does not accept this Client ID and Client Secret. The list of agents cannot be read.", "Copy the Client ID and a new Client Secret"},
		"secret rotated, events": {func(w *world, _ *instance) { w.sims[0].RotateSecret("x") }, events, "HOST does not accept this Client ID and Client Secret.", "Copy the Client ID and a new Client Secret"},
		"scope unticked, events": {func(w *world, _ *instance) { w.sims[0].Untick("read:tickets") }, events, "The API application in Halo lacks the scope read:tickets.", "In Halo, open the API application, tick read:tickets"},
		"scope unticked, agents": {func(w *world, _ *instance) { w.sims[0].Untick("admin:webhooks") }, agents, "The API application in Halo lacks the scope admin:webhooks. The list", "In Halo, open the API application, tick admin:webhooks"},
		"webhook deleted":        {func(w *world, _ *instance) { w.change(func(h *halotest.Webhook) { h.Deleted = true }) }, events, "The webhook WorkSights AI Connector was deleted in Halo", "Reconnect the connection"},
		"webhook off":            {func(w *world, _ *instance) { w.change(func(h *halotest.Webhook) { h.Disabled = true }) }, events, "The webhook WorkSights AI Connector is switched off", "Switch it on in Halo"},
		"webhook elsewhere":      {func(w *world, _ *instance) { w.change(func(h *halotest.Webhook) { h.URL = "https://x.example" }) }, events, "The webhook WorkSights AI Connector posts to another address", "Reconnect the connection"},
		"webhook lacks events":   {func(w *world, _ *instance) { w.sims[0].Unbind(w.live(0)[0].ID, 3) }, events, "The webhook is not bound to: ticket_logged.", "Add the events"},
		"Halo away":              {func(w *world, _ *instance) { w.sims[0].Inject("", -1, halotest.Page(503)) }, events, "HOST answered in a way that cannot be used.", "Try again"},
		"agent new in Halo":      {func(w *world, _ *instance) { w.sims[0].AddAgent(halotest.Agent{ID: 9}) }, agents, "1 agent is in Halo since the list was read last.", "Refresh the connection"},
		"role sees nobody": {func(w *world, in *instance) {
			w.sims[0].HideAgents(true)
			in.refresh("acme")
		}, agents, "The credentials are good, but Halo shows them no agents.", "In Halo, set up the API application"},
		"nothing delivered yet": {func(w *world, _ *instance) { w.outcomes.set(func(o *outcomes) { clear(o.last); clear(o.tally) }) }, events, "The webhook is active in Halo, and nothing has been delivered yet.", "Update a ticket in Halo. If nothing arrives within two minutes, look into the webhook's delivery log in Halo, and whether its server may reach HOOK."},
		"nothing, and yet reached": {func(w *world, _ *instance) {
			w.outcomes.set(func(o *outcomes) {
				clear(o.last)
				clear(o.tally)
				o.reached["acme"] = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			})
		}, events, "Halo reached us, last on 1 January 2000 00:00 UTC, and has delivered no event yet.", "The way is open."},
		"nothing, and tested with success": {func(w *world, _ *instance) {
			w.outcomes.set(func(o *outcomes) { clear(o.last); clear(o.tally) })
			w.answered(http.StatusOK)
		}, events, "Halo reached us: by its account its last call was answered 200.", "The way is open."},
		"nothing, and refused": {func(w *world, _ *instance) {
			w.outcomes.set(func(o *outcomes) { clear(o.last); clear(o.tally) })
			w.answered(http.StatusUnauthorized)
		}, events, "By Halo's account its last call was answered 401.", "Look whether something stands between Halo and HOOK."},
		"nothing to show":           {func(w *world, _ *instance) { w.outcomes.set(func(o *outcomes) { clear(o.last); clear(o.tally) }) }, activity, "No event arrived in the last seven days", "See the answer about events"},
		"timeline unreadable":       {func(w *world, _ *instance) { w.outcomes.set(func(o *outcomes) { o.err = errors.New("x") }) }, activity, "The timeline cannot be read now", "Try again"},
		"timeline unreadable, hook": {func(w *world, _ *instance) { w.outcomes.set(func(o *outcomes) { o.err = errors.New("x") }) }, events, "The webhook is active in Halo. Whether events arrive cannot be told now", "Try again"},

		"agent unmapped, activity": {
			func(w *world, in *instance) {
				in.hand("acme", 2, "=unmatched")
				skipped(42, schemas.Unmapped, 5, care.AgentCount{Agent: 2, Events: 4}, care.AgentCount{Agent: 77, Events: 1})(w, in)
			}, activity,
			"5 events of the last seven days had agents who are mapped to no WorkSights user: Ada Example (agent 2, 4 events), somebody who is not listed (agent 77, 1 event).",
			"Map these agents. What arrived before stays off the timeline",
		},
		"agent unmapped, agents": {
			func(w *world, in *instance) {
				in.hand("acme", 2, "=unmatched")
			}, agents,
			"1 agent is listed and mapped to nobody: 1 unmapped by hand.", "Map them by hand.",
		},
		"user gone": {
			func(w *world, in *instance) { in.users("acme", "u-ben", "ben@x.example") }, agents,
			"1 agent is listed and mapped to nobody: 1 whose e-mail no WorkSights user has.", "Map them by hand.",
		},
		"mapped after the events": {
			skipped(0, schemas.Unmapped, 3, care.AgentCount{Agent: 2, Events: 3}), activity,
			"3 events of the last seven days arrived before their agents were mapped.", "Nothing to do: events that arrive from now on appear.",
		},
		"unassigned":    {skipped(1, schemas.Unassigned, 9), activity, "9 events of the last seven days made no activity: their tickets were assigned to nobody", "Assign tickets to agents"},
		"old webhook":   {skipped(1, schemas.StaleWebhook, 9), activity, "9 events of the last seven days made no activity: they came from a webhook that has been replaced", "Delete the old webhook"},
		"other kinds":   {skipped(1, schemas.UnknownKind, 9), activity, "9 events of the last seven days made no activity: they are none of the four kinds", "In Halo, bind the webhook"},
		"small payload": {skipped(0, schemas.Undecodable, 9), activity, "9 events of the last seven days made no activity: they named no ticket", "In Halo, set the webhook's payload"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2, Name: "Ada Example", Email: "ada@x.example"})
				w.sims[0].AddAgent(halotest.Agent{ID: 3, Name: "Ben Example", Email: "ben@x.example"})
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example")
				hook := in.connect("acme", 0).Webhook.URL
				busy(w)
				test.happens(w, in)
				w.skip(31 * time.Second) // a diagnosis looks at most every half minute
				q := in.diagnosis("acme")[test.question]
				words := strings.NewReplacer("HOST", strings.TrimPrefix(w.urls[0], "http://"), "HOOK", hook)
				if !strings.HasPrefix(q.Finding, words.Replace(test.finding)) || !strings.HasPrefix(q.NextStep, words.Replace(test.next)) {
					t.Errorf("found %q\nnext %q\nwant %q\n     %q", q.Finding, q.NextStep, test.finding, test.next)
				}
			}, halotest.Config{})
		})
	}
}

func TestADiagnosisHasTheFactsBehindIt(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, a := range []halotest.Agent{
			{ID: 2, Email: "ada@x.example"},
			{ID: 3},
			{ID: 4, Email: "same@x.example"},
			{ID: 5, Email: "same@x.example"},
			{ID: 6, Email: "two@x.example"},
			{ID: 7, Email: "no@x.example"},
			{ID: 8, API: true},
			{ID: 9, Email: "x@x.example"},
		} {
			w.sims[0].AddAgent(a)
		}
		in := w.active()
		in.connect("acme", 0)
		if q := in.diagnosis("acme")["agents_missing"]; !strings.HasPrefix(q.Finding, "WorkSights has given no user directory") {
			t.Errorf("without a directory: %q", q.Finding)
		}
		in.users("acme", "u-ada", "ada@x.example", "u-1", "two@x.example", "u-2", "two@x.example", "u-hand", "")
		in.hand("acme", 9, "u-hand")
		in.users("acme", "u-ada", "ada@x.example", "u-1", "two@x.example", "u-2", "two@x.example")
		q := in.diagnosis("acme")["agents_missing"]
		if want := "6 agents are listed and mapped to nobody: 1 mapped by hand to a user who is no longer in the directory, 1 without an e-mail in Halo, " +
			"2 sharing an e-mail with another agent, 1 whose e-mail belongs to several WorkSights users, 1 whose e-mail no WorkSights user has."; q.Finding != want {
			t.Errorf("found %q", q.Finding)
		}
		if f := q.Facts; f["agents"] != 8 || f["matched"] != 1 || f["unmatched"] != 6 || f["ignored"] != 1 || f["users"] != 3 || f["listed_at"] == nil {
			t.Errorf("facts %v", f)
		}
		if f := in.diagnosis("acme")["no_events"].Facts; f["webhook_active"] != true || f["webhook_url"] != w.live(0)[0].URL || f["checked_at"] == nil || f["connected_at"] == nil {
			t.Errorf("facts %v", f)
		}
		// Who keeps asking does not use up the tenant's allowance.
		before := w.sims[0].Counters().Requests["token"]
		for range 20 {
			in.diagnosis("acme")
		}
		if more := w.sims[0].Counters().Requests["token"] - before; more > 1 {
			t.Errorf("twenty diagnoses in a moment signed in %d times", more)
		}
	}, halotest.Config{})
}

// answered has an administrator press the test button while the edge answers with
// the status.
func (w *world) answered(status int) {
	w.Helper()
	edge := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
	defer edge.Close()
	hook := w.live(0)[0]
	w.change(func(h *halotest.Webhook) { h.URL = edge.URL })
	if is, err := w.sims[0].Test(context.Background(), hook.ID); err != nil || is != status {
		w.Fatalf("%d, %v", is, err)
	}
	w.change(func(h *halotest.Webhook) { h.URL = hook.URL })
}
