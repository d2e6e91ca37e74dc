package processor_test

import (
	"testing"

	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

var (
	byActor    = []schemas.Kind{schemas.StatusChanged, schemas.UpdatedByAgent}
	byAssignee = []schemas.Kind{schemas.TicketLogged, schemas.UpdatedByUser}
)

// The rows of halo-facts 3.4, with every way in which Halo fails to name
// somebody: no agent at all, agent 0 (nobody), agent 1 (Unassigned).
func TestAnEventIsCreditedToWhomItsKindSays(t *testing.T) {
	const assignee, actor, envelope = 5, 7, 3
	for _, tt := range []struct {
		name  string
		kinds []schemas.Kind
		event schemas.Event
		agent schemas.AgentID
		as    schemas.CreditedAs
	}{
		{
			"a new ticket and a user's update are the assignee's, whoever acted", byAssignee,
			schemas.Event{Assignee: assignee, Actor: actor, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"a new ticket and a user's update of a ticket of nobody are the envelope's, never the actor's", byAssignee,
			schemas.Event{Assignee: 0, Actor: actor, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			envelope, schemas.CreditedEnvelope,
		},
		{
			"Unassigned is no assignee", byAssignee,
			schemas.Event{Assignee: 1, EnvelopeAgent: envelope},
			envelope, schemas.CreditedEnvelope,
		},
		{
			"a new ticket that only its actor is named on is nobody's", byAssignee,
			schemas.Event{Actor: actor, ActorType: schemas.ActorAgent},
			0, "",
		},
		{
			"a change by an agent is the actor's", byActor,
			schemas.Event{Assignee: assignee, Actor: actor, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			actor, schemas.CreditedActor,
		},
		{
			"an actor of no type is an agent", byActor,
			schemas.Event{Assignee: assignee, Actor: actor, EnvelopeAgent: envelope},
			actor, schemas.CreditedActor,
		},
		{
			"what the system did is the assignee's, although an agent is named beside it", byActor,
			schemas.Event{Assignee: assignee, Actor: actor, ActorType: schemas.ActorSystem, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"what an end user did is the assignee's, although an agent is named beside it", byActor,
			schemas.Event{Assignee: assignee, Actor: actor, ActorType: schemas.ActorEndUser, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"an agent's action without an agent is the assignee's", byActor,
			schemas.Event{Assignee: assignee, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"an action of Unassigned is the assignee's", byActor,
			schemas.Event{Assignee: assignee, Actor: 1, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"an action of Unassigned of no type is the assignee's", byActor,
			schemas.Event{Assignee: assignee, Actor: 1, EnvelopeAgent: envelope},
			assignee, schemas.CreditedAssignee,
		},
		{
			"the smallest agent is 2", byActor,
			schemas.Event{Assignee: assignee, Actor: 2, ActorType: schemas.ActorAgent},
			2, schemas.CreditedActor,
		},
		{
			"the envelope comes last", byActor,
			schemas.Event{EnvelopeAgent: envelope},
			envelope, schemas.CreditedEnvelope,
		},
		{
			"an envelope of Unassigned is nobody's", schemas.Kinds(),
			schemas.Event{Assignee: 1, EnvelopeAgent: 1},
			0, "",
		},
		{
			"an event that names nobody is nobody's", schemas.Kinds(),
			schemas.Event{},
			0, "",
		},
		{
			"an event of no known kind is nobody's",
			[]schemas.Kind{"", "ticket_deleted"},
			schemas.Event{Assignee: assignee, Actor: actor, ActorType: schemas.ActorAgent, EnvelopeAgent: envelope},
			0, "",
		},
	} {
		for _, kind := range tt.kinds {
			e := tt.event
			e.Kind = kind
			agent, as, ok := processor.Attribute(e)
			if agent != tt.agent || as != tt.as || ok != (tt.agent != 0) {
				t.Errorf("%s: %q is credited to %d as %q (%v), want %d as %q", tt.name, kind, agent, as, ok, tt.agent, tt.as)
			}
		}
	}
}

// Over all combinations: whoever is credited is a person, and is the one whom
// the fact that is given as the reason names.
func TestWhoeverIsCreditedIsAPersonWhomTheEventNames(t *testing.T) {
	credited := map[schemas.CreditedAs]int{}
	agents := []schemas.AgentID{0, 1, 2, 900}
	types := []schemas.ActorType{"", schemas.ActorSystem, schemas.ActorAgent, schemas.ActorEndUser}
	for _, kind := range append(schemas.Kinds(), "") {
		for _, actorType := range types {
			for i := range 64 {
				e := schemas.Event{
					Kind: kind, ActorType: actorType,
					Assignee: agents[i%4], Actor: agents[i/4%4], EnvelopeAgent: agents[i/16],
				}
				agent, as, ok := processor.Attribute(e)
				named := map[schemas.CreditedAs]schemas.AgentID{
					"":                       0,
					schemas.CreditedActor:    e.Actor,
					schemas.CreditedAssignee: e.Assignee,
					schemas.CreditedEnvelope: e.EnvelopeAgent,
				}
				if ok != agent.Person() || ok != (as != "") || agent != named[as] {
					t.Fatalf("%+v is credited to %d as %q (%v)", e, agent, as, ok)
				}
				credited[as]++
			}
		}
	}
	if len(credited) != 4 {
		t.Errorf("the combinations met %v only: this proves too little", credited)
	}
}
