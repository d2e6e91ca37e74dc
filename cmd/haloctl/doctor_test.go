package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestTheDoctorNamesTheCauseAndTheNextStep(t *testing.T) {
	arriving := func(d *desk) {
		d.outcomes.last = time.Now().Add(-time.Minute)
		d.outcomes.tally = care.Tally{Activities: 10, Skipped: map[schemas.Reason]uint64{}}
	}
	webhook := func(d *desk) string {
		for _, w := range d.sim.Webhooks() {
			if !w.Deleted {
				return w.ID
			}
		}
		d.t.Fatal("Halo has no webhook")
		return ""
	}
	for _, c := range []struct {
		name     string
		happen   func(d *desk)
		question string
		finding  string
		next     string
	}{
		{"nothing is wrong", arriving, "no_events", "Events come through", "Nothing to do"},
		{"nothing was delivered yet", func(*desk) {}, "no_events", "nothing has been delivered yet", "Update a ticket in Halo"},
		{"nothing was delivered yet, asked about the timeline", func(*desk) {}, "activity_missing", "No event arrived in the last seven days", "not coming through"},
		{"the secret was rotated in Halo", func(d *desk) { arriving(d); d.sim.RotateSecret("another") }, "no_events", "does not accept this Client ID and Client Secret", "new Client Secret"},
		{"a scope was unticked", func(d *desk) { arriving(d); d.sim.Untick("admin:webhooks") }, "no_events", "lacks the scope admin:webhooks", "tick admin:webhooks"},
		{"the webhook was deleted", func(d *desk) {
			arriving(d)
			d.sim.ChangeWebhook(webhook(d), func(w *halotest.Webhook) { w.Deleted = true })
		}, "no_events", "was deleted in Halo", "Reconnect"},
		{"the webhook was switched off", func(d *desk) {
			arriving(d)
			d.sim.ChangeWebhook(webhook(d), func(w *halotest.Webhook) { w.Disabled = true })
		}, "no_events", "switched off in Halo", "reconnect"},
		{"an agent is mapped to nobody", func(d *desk) {
			arriving(d)
			d.outcomes.tally.Unmapped = []care.AgentCount{{Agent: 4, Events: 3}}
			d.outcomes.tally.Skipped[schemas.Unmapped] = 3
		}, "activity_missing", "Agent (agent 4, 3 events)", "no backfill"},
		{"an agent was mapped after its events", func(d *desk) {
			d.outcomes.last = time.Now()
			d.outcomes.tally = care.Tally{Unmapped: []care.AgentCount{{Agent: 2, Events: 3}}, Skipped: map[schemas.Reason]uint64{schemas.Unmapped: 3}}
		}, "activity_missing", "arrived before their agents were mapped", "no backfill"},
		{"an agent joined since", func(d *desk) {
			arriving(d)
			d.sim.AddAgent(halotest.Agent{ID: 77, Name: "Agent", Email: "new@acme.example"})
		}, "agents_missing", "1 agent is in Halo since the list was read last", "Refresh the connection"},
		{"the role sees no agents", func(d *desk) { arriving(d); d.sim.HideAgents(true); d.want(exitOK, "-t", "acme", "refresh") }, "agents_missing", "shows them no agents", "sys-all-permissions"},
		{"an agent has no user with its e-mail", arriving, "agents_missing", "1 whose e-mail no WorkSights user has", "Map them by hand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.connected()
			c.happen(d)
			var diagnosis control.Diagnosis
			if err := json.Unmarshal([]byte(d.want(exitOK, "-t", "acme", "doctor", "--json")), &diagnosis); err != nil {
				t.Fatal(err)
			}
			for _, q := range diagnosis.Questions {
				if q.ID != c.question {
					continue
				}
				if !strings.Contains(q.Finding, c.finding) || !strings.Contains(q.NextStep, c.next) {
					t.Errorf("finding %q, next step %q; want %q and %q in them", q.Finding, q.NextStep, c.finding, c.next)
				}
				out := d.want(exitOK, "-t", "acme", "doctor")
				if !strings.Contains(out, q.Finding) || !strings.Contains(out, q.NextStep) || strings.Contains(out, "map[") {
					t.Errorf("for people:\n%s", out)
				}
				return
			}
			t.Errorf("no answer to %s", c.question)
		})
	}
}
