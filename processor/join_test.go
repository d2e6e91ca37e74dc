package processor_test

import (
	"testing"
	"time"

	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// noon is a time like any other.
var noon = time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC)

const millisecond = time.Millisecond

// sample is an event of agent 5 that arrived at noon, with every field set to a
// value of its own.
func sample() schemas.Event {
	return schemas.Event{
		ID: schemas.ID{1, 2, 3}, Tenant: "acme", Connection: schemas.ConnectionIDOf("acme"), Kind: schemas.TicketLogged,
		Ticket: 1337, Assignee: 5, EnvelopeAgent: 3, Status: 9, Action: 42,
		EventTime:  noon.Add(-79 * time.Second),
		OccurredAt: noon.Add(-78 * time.Second),
		ReceivedAt: noon,
	}
}

// mapped looks up agent 5 of acme and nobody else.
func mapped(intervals ...schemas.Interval) processor.Lookup[schemas.Mapping] {
	return func(tenant schemas.Tenant, agent schemas.AgentID) (schemas.Mapping, bool) {
		if tenant != "acme" || agent != 5 {
			return schemas.Mapping{}, false
		}
		return schemas.Mapping{Tenant: tenant, Agent: agent, Intervals: intervals}, true
	}
}

func join(e schemas.Event, mappings processor.Lookup[schemas.Mapping]) processor.Outcome {
	return processor.Join(e, mappings, processor.DefaultWeights())
}

func TestAMappedEventBecomesAnActivityWithTheFactsOfTheEvent(t *testing.T) {
	want := processor.Outcome{Activity: schemas.Activity{
		ID: schemas.ID{1, 2, 3}, Tenant: "acme", User: "ada", Category: "Ticket", Kind: schemas.TicketLogged, Weight: 1,
		Ticket: 1337, Agent: 5, CreditedAs: schemas.CreditedAssignee, Status: 9,
		EventTime: noon.Add(-79 * time.Second), OccurredAt: noon.Add(-78 * time.Second), ReceivedAt: noon,
	}}
	if got := join(sample(), mapped(schemas.Interval{User: "ada", From: noon.Add(-time.Hour)})); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAnUnmappedEventBecomesASkipWithTheFactsOfTheEvent(t *testing.T) {
	want := processor.Outcome{Reason: schemas.Unmapped, Skip: schemas.Skip{
		ID: schemas.ID{1, 2, 3}, Tenant: "acme", Kind: schemas.TicketLogged, Ticket: 1337, Agent: 5, Reason: schemas.Unmapped,
		EventTime: noon.Add(-79 * time.Second), OccurredAt: noon.Add(-78 * time.Second), ReceivedAt: noon,
	}}
	if got := join(sample(), mapped()); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The event's own time lies before all of these intervals; only the arrival
// counts.
func TestTheMappingInForceAtTheArrivalDecides(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	for _, tt := range []struct {
		name      string
		intervals []schemas.Interval
		user      schemas.UserID // empty: unmapped
	}{
		{"never mapped", nil, ""},
		{"mapped from the arrival on", []schemas.Interval{{User: "ada", From: noon}}, "ada"},
		{"mapped one millisecond before", []schemas.Interval{{User: "ada", From: ago(millisecond)}}, "ada"},
		{"mapped one millisecond too late", []schemas.Interval{{User: "ada", From: noon.Add(millisecond)}}, ""},
		{"unmapped at the arrival", []schemas.Interval{{User: "ada", From: ago(time.Hour), Until: noon}}, ""},
		{"unmapped one millisecond after", []schemas.Interval{{User: "ada", From: ago(time.Hour), Until: noon.Add(millisecond)}}, "ada"},
		{"unmapped before", []schemas.Interval{{User: "ada", From: ago(time.Hour), Until: ago(millisecond)}}, ""},
		{"handed over at the arrival", []schemas.Interval{
			{User: "ada", From: ago(time.Hour), Until: noon}, {User: "ben", From: noon},
		}, "ben"},
		{"handed over one millisecond after", []schemas.Interval{
			{User: "ada", From: ago(time.Hour), Until: noon.Add(millisecond)}, {User: "ben", From: noon.Add(millisecond)},
		}, "ada"},
		{"between two spans", []schemas.Interval{
			{User: "ada", From: ago(time.Hour), Until: ago(time.Minute)}, {User: "ada", From: noon.Add(time.Minute)},
		}, ""},
		{"in the first of many spans", []schemas.Interval{
			{User: "ada", From: ago(time.Hour), Until: noon.Add(millisecond)},
			{User: "ben", From: noon.Add(millisecond), Until: noon.Add(time.Hour)},
			{User: "cleo", From: noon.Add(2 * time.Hour)},
		}, "ada"},
		{"an empty span at the arrival", []schemas.Interval{{User: "ada", From: noon, Until: noon}}, ""},
		{"an empty span at the arrival, then another", []schemas.Interval{
			{User: "ada", From: noon, Until: noon}, {User: "ben", From: noon},
		}, "ben"},
	} {
		got := join(sample(), mapped(tt.intervals...))
		if got.Activity.User != tt.user || (got.Reason == schemas.Unmapped) != (tt.user == "") {
			t.Errorf("%s: user %q, reason %q; want user %q", tt.name, got.Activity.User, got.Reason, tt.user)
		}
	}
}

func TestAMappingOfAnotherTenantsAgentDoesNotCount(t *testing.T) {
	always := schemas.Interval{User: "ada", From: noon.Add(-time.Hour)}
	e := sample()
	e.Tenant = "zeta"
	if got := join(e, mapped(always)); got.Reason != schemas.Unmapped || got.Skip.Tenant != "zeta" {
		t.Errorf("agent 5 of zeta: %+v", got)
	}
	e = sample()
	e.Assignee = 6
	if got := join(e, mapped(always)); got.Reason != schemas.Unmapped || got.Skip.Agent != 6 {
		t.Errorf("agent 6 of acme: %+v", got)
	}
}

func TestAnEventOfNobodyIsUnassignedAndNobodyIsLookedUp(t *testing.T) {
	e := sample()
	e.Assignee, e.EnvelopeAgent = 1, 0
	got := join(e, func(schemas.Tenant, schemas.AgentID) (schemas.Mapping, bool) {
		t.Error("a mapping of nobody was asked for")
		return schemas.Mapping{Intervals: []schemas.Interval{{User: "ada"}}}, true
	})
	if got.Reason != schemas.Unassigned || got.Skip.Reason != schemas.Unassigned || got.Skip.Agent != 0 {
		t.Errorf("got %+v", got)
	}
}

// An operator who looks for a lost event finds whose it was.
func TestWhatTheEdgeRefusedStaysRefusedAndStillNamesTheAgent(t *testing.T) {
	always := mapped(schemas.Interval{User: "ada", From: noon.Add(-time.Hour)})
	for _, refusal := range schemas.Refusals() {
		e := sample()
		e.Refusal = refusal
		got := join(e, always)
		if got.Reason != refusal || got.Skip.Reason != refusal || got.Activity != (schemas.Activity{}) {
			t.Errorf("%s of a mapped agent: %+v", refusal, got)
		}
		if got.Skip.Agent != 5 || got.Skip.Ticket != 1337 || got.Skip.ID != e.ID {
			t.Errorf("%s does not say whose it was: %+v", refusal, got.Skip)
		}
		e.Assignee, e.EnvelopeAgent = 0, 0
		if got := join(e, always); got.Reason != refusal || got.Skip.Agent != 0 {
			t.Errorf("%s of nobody: %+v", refusal, got)
		}
		e.Kind, e.Assignee = "", 5
		if got := join(e, always); got.Reason != refusal || got.Skip.Agent != 0 || got.Skip.Kind != "" {
			t.Errorf("%s without a kind: %+v", refusal, got)
		}
	}
}

func TestEachKindHasItsOwnWeight(t *testing.T) {
	weights := processor.Weights{TicketLogged: 0.9, StatusChanged: 0.8, UpdatedByAgent: 0.7, UpdatedByUser: 0.1}
	for kind, want := range map[schemas.Kind]float32{
		schemas.TicketLogged: 0.9, schemas.StatusChanged: 0.8, schemas.UpdatedByAgent: 0.7, schemas.UpdatedByUser: 0.1,
	} {
		e := sample()
		e.Kind = kind
		got := processor.Join(e, mapped(schemas.Interval{User: "ada", From: noon}), weights)
		if got.Activity.Weight != want || got.Activity.Kind != kind {
			t.Errorf("%s weighs %v, want %v", got.Activity.Kind, got.Activity.Weight, want)
		}
	}
}

func TestEveryOutcomeIsARecordThatParses(t *testing.T) {
	always := mapped(schemas.Interval{User: "ada", From: noon.Add(-time.Hour)})
	for _, kind := range append(schemas.Kinds(), "") {
		for _, refusal := range append(schemas.Refusals(), "") {
			for _, assignee := range []schemas.AgentID{0, 5, 6} {
				e := sample()
				e.Kind, e.Refusal, e.Assignee = kind, refusal, assignee
				if kind == "" && refusal == "" {
					continue // no event: ParseEvent refuses it
				}
				o := join(e, always)
				var err error
				if o.Reason == "" {
					_, err = schemas.ParseActivity(o.Activity.AppendJSON(nil))
				} else {
					_, err = schemas.ParseSkip(o.Skip.AppendJSON(nil))
				}
				if err != nil {
					t.Errorf("kind %q, refusal %q, assignee %d: %v", kind, refusal, assignee, err)
				}
			}
		}
	}
}
