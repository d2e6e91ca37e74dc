package consoletest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Instant is when the world is: a Monday afternoon.
var Instant = time.Date(2026, 11, 30, 15, 30, 0, 0, time.UTC)

var (
	first = strings.Fields("Amara Ben Chloe Dmitri Emeka Farah Grace Hugo Ines Jonas Keiko Liam Maeve Nadia Owen Priya Quentin Rosa Samir Tess Uma Viktor Wanda Ximena Yusuf Zoe")
	last  = strings.Fields("Osei Castellanos Duval Petrov Nwosu Rahimi Lindqvist Moreau Almeida Becker Tanaka Byrne Kowalska Haddad Pritchard Raman Lefevre Bianchi Farouk Vandenberg Sharma Novak Ziegler Ortega Demir Laurent")
)

// People are n agents as a service desk has them, some matched and some not, and
// the users of the same people. None of them is a person.
func People(n int) ([]control.Agent, []control.User) {
	var agents []control.Agent
	var users []control.User
	since := Instant.AddDate(0, 0, -27)
	for i := range n {
		f, l := first[i%len(first)], last[(i*7+i/len(first))%len(last)]
		name, local := f+" "+l, strings.ToLower(f+"."+l)
		if i >= len(first)*len(last) {
			name, local = fmt.Sprintf("%s %d", name, i), fmt.Sprintf("%s%d", local, i)
		}
		a := control.Agent{ID: schemas.AgentID(10 + i), Name: name, Email: local + "@northwind.example"}
		id := schemas.UserID(fmt.Sprintf("u-%04d", 1000+i))
		users = append(users, control.User{ID: id, Email: local + "@northwind.example"})
		switch {
		case i%8 == 6:
			a.State, a.Reason = control.Ignored, control.Disabled
			if i%16 == 6 {
				a.Name, a.Email, a.Reason = []string{"Dispatch Queue", "Halo API", "Monitoring", "Backup Robot"}[i/16%4], "", control.APIAgent
			}
		case i%8 == 1:
			a.State, a.Reason, a.Email = control.Unmatched, control.NoUser, strings.ToLower(f)+"@northwind.example"
			a.Suggestions = []control.Suggestion{{UserID: id, Email: local + "@northwind.example", Confidence: "high", Because: "same name"}}
		case i%8 == 3 && i%3 == 0:
			a.State, a.Reason, a.Email = control.Unmatched, control.NoEmail, ""
		case i%8 == 5 && i%3 == 0:
			a.State, a.Reason = control.Unmatched, control.AmbiguousEmail
			a.Suggestions = []control.Suggestion{
				{UserID: id, Email: local + "@northwind.example", Confidence: "medium", Because: "one of two with this e-mail"},
				{UserID: "u-1000", Email: users[0].Email, Confidence: "low", Because: "one of two with this e-mail"},
			}
		default:
			from := since.Add(time.Duration(i%9) * time.Hour)
			a.State, a.UserID, a.Since, a.MatchedBy = control.Matched, &id, &from, "email"
			if i%8 == 2 {
				a.MatchedBy = "hand"
			}
		}
		agents = append(agents, a)
	}
	return agents, users
}

// Connected is a connection in which all is well.
func Connected(tenant schemas.Tenant, now time.Time) *control.Connection {
	at, checked := now, now.Add(-40*time.Second)
	return &control.Connection{
		Tenant: tenant, Connection: "0d9a3f1c7b425b7c1d2e0a644c399f5e", State: control.Active, TenantURL: "https://northwind.halopsa.com",
		Webhook: control.Webhook{
			ID: "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5", Name: "WorkSights AI Connector", URL: "https://hooks.worksights.example/v1/webhooks/halo/0d9a3f1c7b425b7c1d2e0a644c399f5e",
			Active: true, Events: schemas.Kinds(), CheckedAt: &checked,
		},
		ConnectedAt: &at, Problems: []control.Problem{},
	}
}

// Northwind is a tenant of the usual size in the fourth week after it was
// connected: 119 agents, 46 things a day, one thing to do.
func Northwind(now time.Time) *Tenant {
	t := &Tenant{Connection: Connected("northwind", now.AddDate(0, 0, -27)), History: map[schemas.AgentID][]control.Interval{}, Why: map[string]control.Explanation{}}
	t.Agents, t.Users = People(119)
	delivered, checked := now.Add(-2*time.Minute), now.Add(-40*time.Second)
	t.Connection.LastDeliveryAt, t.Connection.Webhook.CheckedAt = &delivered, &checked
	t.Connection.Problems = []control.Problem{{
		Code: "agents_unmatched", Severity: control.SeverityWarning, Since: now.AddDate(0, 0, -3),
		Message: "22 agents have no WorkSights user",
		Action:  "In the last seven days 312 of their ticket events could not be shown, and will not be shown later. Map the agents to show what they do from now on.",
	}}
	for _, a := range t.Agents {
		if a.UserID != nil {
			t.History[a.ID] = []control.Interval{{UserID: *a.UserID, From: *a.Since, By: "connector"}}
		}
	}
	old := schemas.UserID("u-1001")
	until := now.AddDate(0, 0, -9)
	t.History[12] = append(t.History[12], control.Interval{UserID: old, From: now.AddDate(0, 0, -27), Until: &until, By: "settings-page"}, control.Interval{From: now.AddDate(0, 0, -40), Until: &until})
	t.day("u-1000", now, 26)
	t.day("u-1002", now, 420)
	t.fill(now)
	return t
}

// day puts n activities on a user's day.
func (t *Tenant) day(user schemas.UserID, now time.Time, n int) {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	begin := time.Date(now.Year(), now.Month(), now.Day(), 7, 30, 0, 0, time.UTC)
	for i := range n {
		kind := schemas.Kinds()[random.IntN(4)]
		weight := float32(1)
		if kind == schemas.UpdatedByUser {
			weight = .25
		}
		at := begin.Add(time.Duration(random.Int64N(int64(8 * time.Hour))))
		actor := schemas.ActorType("agent")
		if i%9 == 4 {
			actor = "system"
		}
		t.Activities = append(t.Activities, control.Activity{
			ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Tenant: "northwind", User: user, Category: schemas.Category, Kind: kind, Weight: weight,
			Ticket: uint64(40200 + random.IntN(90)), Agent: 10, CreditedAs: "actor", ActorType: actor, OccurredAt: at, ReceivedAt: at.Add(time.Second),
		})
	}
	slices.SortFunc(t.Activities, func(a, b control.Activity) int { return cmp.Compare(b.OccurredAt.UnixNano(), a.OccurredAt.UnixNano()) })
}

// fill makes what the other pages show.
func (t *Tenant) fill(now time.Time) {
	random := rand.New(rand.NewPCG(1, 2))
	s := &t.Summary
	s.Coverage.Skipped = map[schemas.Reason]int64{schemas.Unmapped: 312, schemas.Unassigned: 41, schemas.StaleWebhook: 1, schemas.UnknownKind: 3, schemas.Undecodable: 0}
	for d := 29; d >= 0; d-- {
		date := now.AddDate(0, 0, -d)
		if w := date.Weekday(); w == time.Sunday {
			continue
		}
		for i, k := range schemas.Kinds() {
			n := int64(random.IntN(30) + 12*(4-i))
			if date.Weekday() == time.Saturday {
				n /= 6
			}
			weight := 1.0
			if k == schemas.UpdatedByUser {
				weight = .25
			}
			s.ByDay = append(s.ByDay, control.DayCount{Day: date.Format(time.DateOnly), Kind: k, Events: n, Score: float64(n) * weight})
			s.Coverage.Activities += n
		}
	}
	s.Coverage.Events = s.Coverage.Activities
	for _, n := range s.Coverage.Skipped {
		s.Coverage.Events += n
	}
	for d := range 7 {
		for h := range 24 {
			if n := int64(random.IntN(4)); d < 5 && h >= 8 && h < 18 {
				s.ByHour[d][h] = n + int64(random.IntN(30))
			} else if n == 3 {
				s.ByHour[d][h] = 1
			}
		}
	}
	for i, a := range t.Agents {
		if a.UserID != nil && len(s.Users) < 24 {
			n := int64(260 - 10*len(s.Users))
			s.Users = append(s.Users, control.UserCount{UserID: *a.UserID, Events: n, Score: float64(n) * .88, LastAt: now.Add(-time.Duration(i) * 7 * time.Minute)})
		}
		if a.State == control.Unmatched && len(s.AgentsSkipped) < 6 {
			s.AgentsSkipped = append(s.AgentsSkipped, control.AgentCount{AgentID: a.ID, Events: int64(90 - 14*len(s.AgentsSkipped)), LastAt: now.Add(-time.Hour)})
		}
	}
	t.Deliveries = []control.Delivery{
		{At: now.Add(-3 * time.Hour), Result: "undecodable", Items: 1, Bytes: 412, Fields: []string{"id", "event", "timestamp"}},
		{At: now.Add(-26 * time.Hour), Result: "unauthorized", Items: 0, Bytes: 0, Fields: []string{}},
	}
	t.Changes = []control.Change{
		{ID: "1", At: now.Add(-2 * time.Hour), By: "settings-page", Change: "map", Agent: 12, User: "u-1002", Result: "ok"},
		{ID: "2", At: now.Add(-26 * time.Hour), By: schemas.ByConnector, Change: "repaired", Problem: "webhook_disabled", Result: "ok"},
		{ID: "3", At: now.Add(-27 * time.Hour), By: schemas.ByConnector, Change: "problem_opened", Problem: "webhook_disabled", Result: "ok"},
		{ID: "7", At: now.Add(-27 * time.Hour), By: schemas.ByConnector, Change: "state", State: control.Degraded, Result: "ok"},
		{ID: "4", At: now.AddDate(0, 0, -3), By: "settings-page", Change: "refresh", Result: "ok"},
		{ID: "5", At: now.AddDate(0, 0, -5), By: "amara@worksights", Change: "ignore", Agent: 24, Result: "ok"},
		{ID: "6", At: now.AddDate(0, 0, -6), By: "amara@worksights", Change: "reconnect", Result: "webhook_refused"},
	}
	t.ticket(now)
	t.Diagnosis = control.Diagnosis{Questions: []control.Question{
		{
			ID: control.AgentsMissing, Finding: "22 agents are listed and mapped to nobody: 15 without a user of their e-mail, 5 without an e-mail, 2 with two users.",
			NextStep: "Map them by hand. Or correct the e-mail in Halo or WorkSights, then refresh the connection.",
			Facts:    map[string]any{"agents": 119, "matched": 82, "unmatched": 22, "ignored": 15, "listed_at": now.Add(-time.Hour).Format(time.RFC3339), "users": 119, "unmatched_because": map[string]int{"no_user": 15, "no_email": 5, "ambiguous_email": 2}},
		},
		{
			ID: control.ActivityMissing, Finding: "312 events of the last seven days had agents who are mapped to no WorkSights user: Ben Moreau (agent 11, 90 events), Jonas Duval (agent 19, 76 events).",
			NextStep: "Map these agents. What arrived before stays off the timeline: there is no backfill.",
			Facts:    map[string]any{"days": 7, "activities": 3906, "skipped": map[string]int{"unmapped": 312, "unassigned": 41}, "unmapped_agents": []map[string]any{{"agent_id": 11, "name": "Ben Moreau", "events": 90}}},
		},
		{
			ID: control.NoEvents, Finding: "Events come through: the last arrived 2 minutes ago.", NextStep: "Nothing to do.",
			Facts: map[string]any{"webhook_active": true, "webhook_url": t.Connection.Webhook.URL, "events": []string{"ticket_logged", "status_changed"}, "last_delivery_at": now.Add(-2 * time.Minute).Format(time.RFC3339)},
		},
	}}
}

// ticket is number 1042, of which one event is shown and one is not.
func (t *Tenant) ticket(now time.Time) {
	shown := control.Event{Outcome: control.OutcomeActivity, ID: "7b0f6f0e-6c1f-5d8e-9d52-0d9f1f0e1042", Kind: schemas.UpdatedByAgent, Ticket: 1042, Agent: 12, User: "u-1002", Weight: 1, CreditedAs: "actor", ActorType: "agent", OccurredAt: now.Add(-50 * time.Minute), ReceivedAt: now.Add(-50 * time.Minute)}
	skipped := control.Event{Outcome: control.OutcomeSkip, ID: "7b0f6f0e-6c1f-5d8e-9d52-0d9f1f0e1043", Kind: schemas.StatusChanged, Ticket: 1042, Agent: 11, Reason: schemas.Unmapped, OccurredAt: now.Add(-70 * time.Minute), ReceivedAt: now.Add(-70 * time.Minute)}
	t.Events = []control.Event{shown, skipped}
	t.Why[shown.ID] = control.Explanation{Outcome: shown, Arrivals: 2, FirstReceivedAt: shown.ReceivedAt, Why: []string{"Agent 12 acted, and was mapped to u-1002 when it arrived."}}
	t.Why[skipped.ID] = control.Explanation{Outcome: skipped, Arrivals: 1, FirstReceivedAt: skipped.ReceivedAt, Why: []string{"Agent 11 acted, and was mapped to nobody when it arrived.", "There is no backfill: mapping the agent now does not show it."}}
}
