package halotest

import (
	"net/http"
	"strconv"

	"github.com/worksights/halo-connector/schemas"
)

// eventNumber is a kind's number in the catalogue. Three were seen on live
// tenants; that of "updated by agent" is not published, and 42 is as good as
// any.
func eventNumber(kind schemas.Kind) int64 {
	switch kind {
	case schemas.TicketLogged:
		return 3
	case schemas.UpdatedByUser:
		return 19
	case schemas.StatusChanged:
		return 76
	case schemas.UpdatedByAgent:
		return 42
	}
	return 0
}

// eventName is a kind's display name in deliveries, in the tenant's words.
func (s *Sim) eventName(kind schemas.Kind) string {
	switch kind {
	case schemas.TicketLogged:
		return "new " + s.cfg.Ticket + " logged"
	case schemas.StatusChanged:
		return s.cfg.Ticket + " status changed"
	case schemas.UpdatedByAgent:
		return s.cfg.Ticket + " updated by " + s.cfg.Agent
	case schemas.UpdatedByUser:
		return s.cfg.Ticket + " updated by user"
	}
	return ""
}

// listLookups answers with rows of many lookups, as Halo does: the client is
// left to find those of the events, number 64, and among them the wide variants
// of the four kinds.
func (s *Sim) listLookups(w http.ResponseWriter, r *http.Request, _ token) {
	type entry struct {
		lookup, id int64
		name       string
	}
	var rows []any
	for n := range s.cfg.Lookups {
		rows = append(rows, map[string]any{"id": s.number(int64(n + 1)), "lookupid": s.number(30), "name": "Category " + strconv.Itoa(n+1)})
	}
	for _, e := range []entry{
		{20, 3, "Phone"},
		{20, 19, "Portal"},
		{27, 5, "$#request Status Changed  - All"}, // another lookup's row with an event's name
		{64, 2, "New $#request Logged - My $#requests"},
		{64, 3, "New $#request Logged - All"},
		{64, 4, "New $#request Logged - My Teams"},
		{64, 17, "$#request Assigned to me"},
		{64, 18, "$#request Updated by User - My $#requests"},
		{64, 19, "$#request Updated by User - All"},
		{64, 41, "$#request Updated by $#technician - My $#requests"},
		{64, 42, "$#request Updated by $#technician - All"},
		{64, 75, "$#request Status Changed  - My Teams"},
		{64, 76, "$#request Status Changed  - All"},
		{64, 90, "Asset Status Changed - All"},
		{64, 91, "Article Updated by $#technician - All"},
	} {
		rows = append(rows, map[string]any{
			"id": s.number(e.id), "lookupid": s.number(e.lookup), "name": e.name, "value2": "", "sequence": 0, "isdefault": false,
		})
	}
	query := r.URL.Query()
	if !query.Has("count") {
		query.Set("count", "5") // without a count a page of few comes
	}
	s.replyList(w, query, "lookup", rows)
}
