package halopsa_test

import (
	"reflect"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestEventNamesAreFoundInTheTenantsWords(t *testing.T) {
	for name, want := range map[string]schemas.Kind{
		"New $#request Logged - All":               schemas.TicketLogged,
		"new ticket logged":                        schemas.TicketLogged,
		"NEW_INCIDENT_LOGGED - ALL":                schemas.TicketLogged,
		"$#request Status Changed  - All":          schemas.StatusChanged,
		"Case status changed":                      schemas.StatusChanged,
		"$#request Updated by $#technician - All":  schemas.UpdatedByAgent,
		"Request updated by Agent -  All":          schemas.UpdatedByAgent,
		"Ticket Updated By Technician":             schemas.UpdatedByAgent,
		"Ticket Updated by User - All":             schemas.UpdatedByUser,
		"Incident updated by end_user":             schemas.UpdatedByUser,
		"$#request updated by customer - all":      schemas.UpdatedByUser,
		"New $#request Logged - My Teams":          "",
		"$#request Status Changed - My $#requests": "",
		"Asset Status Changed - All":               "",
		"Article Updated by $#technician - All":    "",
		"New Ticket Logged by Email":               "",
		"Ticket":                                   "",
		"":                                         "",
	} {
		cat := halopsa.ResolveEvents([]halopsa.EventName{{Number: 500, Name: name}})
		found := schemas.Kind("")
		for kind, number := range cat.Numbers {
			if number == 500 {
				found = kind
			}
		}
		if found != want {
			t.Errorf("%q: got %q, want %q", name, found, want)
		}
	}
}

func TestTheWideVariantOfAnEventIsTaken(t *testing.T) {
	for name, names := range map[string][]halopsa.EventName{
		"first": {{1, "Ticket Status Changed - All"}, {2, "Ticket Status Changed - Mine"}, {3, "Ticket Status Changed"}},
		"last":  {{3, "Ticket Status Changed"}, {2, "Ticket Status Changed - Mine"}, {1, "Ticket Status Changed - All"}},
	} {
		if got := halopsa.ResolveEvents(names).Numbers[schemas.StatusChanged]; got != 1 {
			t.Errorf("%s: got %d", name, got)
		}
	}
}

func TestWhatHasNoNameKeepsItsUsualNumberWhereItCan(t *testing.T) {
	type kinds = []schemas.Kind
	for name, test := range map[string]struct {
		names            []halopsa.EventName
		numbers          map[schemas.Kind]int64
		assumed, missing kinds
	}{
		"no catalogue": {
			nil,
			map[schemas.Kind]int64{schemas.TicketLogged: 3, schemas.StatusChanged: 76, schemas.UpdatedByUser: 19},
			kinds{schemas.TicketLogged, schemas.StatusChanged, schemas.UpdatedByUser},
			kinds{schemas.UpdatedByAgent},
		},
		"names in words of the tenant's own": {
			[]halopsa.EventName{{3, "New Job Logged"}, {76, "Job Moved"}, {42, "Job updated by Engineer"}},
			map[schemas.Kind]int64{schemas.TicketLogged: 3, schemas.StatusChanged: 76},
			kinds{schemas.TicketLogged, schemas.StatusChanged},
			kinds{schemas.UpdatedByAgent, schemas.UpdatedByUser},
		},
		"another event has the usual number": {
			[]halopsa.EventName{{19, "Ticket updated by agent"}, {3, "New ticket logged"}, {76, "Ticket status changed"}},
			map[schemas.Kind]int64{schemas.TicketLogged: 3, schemas.StatusChanged: 76, schemas.UpdatedByAgent: 19},
			nil,
			kinds{schemas.UpdatedByUser},
		},
	} {
		got := halopsa.ResolveEvents(test.names)
		want := halopsa.Catalogue{Numbers: test.numbers, Assumed: test.assumed, Missing: test.missing}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestARoleThatMayNotReadLookupsStillBindsTheUsualNumbers(t *testing.T) {
	sim, client := startTenant(t, nil)
	sim.Inject("Lookup", -1, halotest.Answer(403, "application/json", `{"Message":"no"}`))
	got, err := client.EventCatalogue(t.Context())
	if err != nil || len(got.Numbers) != 3 || len(got.Assumed) != 3 || len(got.Missing) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	sim.Heal()
	sim.Inject("Lookup", -1, halotest.Page(500))
	if _, err := client.EventCatalogue(t.Context()); halopsa.CauseOf(err) != halopsa.HaloError {
		t.Errorf("a failure is no catalogue: %v", err)
	}
}
