package halopsa

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// eventLookup is the number of the lookup that lists Halo's events (seen on
// live tenants).
const eventLookup = 64

// EventName is one row of the tenant's event catalogue.
type EventName struct {
	Number int64  // what a notification is bound by
	Name   string // in the tenant's own words
}

// Catalogue says which event number stands for which kind.
type Catalogue struct {
	Numbers map[schemas.Kind]int64

	// Assumed kinds were not found by name: their number is the usual one.
	Assumed []schemas.Kind

	// Missing kinds have no number: they cannot be bound.
	Missing []schemas.Kind
}

// EventCatalogue reads the tenant's catalogue and finds the four kinds in it.
// Where the role may not read lookups the usual numbers are assumed; any other
// failure is one.
func (c *Client) EventCatalogue(ctx context.Context) (Catalogue, error) {
	rows, err := c.list(ctx, list{
		call:     call{name: "lookups", refused: PermissionMissing, denied: PermissionMissing, absent: PermissionMissing},
		resource: "Lookup", member: "lookup", query: url.Values{"count": {"1000"}}, key: lookupKey,
	})
	// Half a list may hold all that is looked for, and the usual numbers hold
	// where it does not.
	if cause := CauseOf(err); err != nil && cause != PermissionMissing && cause != ListIncomplete {
		return Catalogue{}, err
	}
	var names []EventName
	for _, row := range rows {
		var r struct {
			ID     number `json:"id"`
			Lookup number `json:"lookupid"`
			Name   text   `json:"name"`
		}
		// The lookup cannot be asked for by number on all versions, so all of
		// them come and are sifted here.
		if json.Unmarshal(row, &r) == nil && r.Lookup == eventLookup && r.ID > 0 {
			names = append(names, EventName{Number: int64(r.ID), Name: string(r.Name)})
		}
	}
	return ResolveEvents(names), nil
}

// lookupKey tells the rows of lookups apart: each lookup numbers its own.
func lookupKey(row json.RawMessage) (string, bool) {
	var r struct {
		ID     text `json:"id"`
		Lookup text `json:"lookupid"`
	}
	if json.Unmarshal(row, &r) != nil {
		return "", false
	}
	return string(r.Lookup + "/" + r.ID), r.ID != ""
}

// ResolveEvents finds the number of each kind in a catalogue: by name first,
// then by the number that it had on the tenants that were seen, provided that
// the catalogue, where there is one, has that number and no other kind took
// it. "Updated by agent" has no number that is known: it is found by name or
// not at all.
func ResolveEvents(names []EventName) Catalogue {
	usual := map[schemas.Kind]int64{
		schemas.TicketLogged: 3, schemas.UpdatedByUser: 19, schemas.StatusChanged: 76,
	}
	cat := Catalogue{Numbers: make(map[schemas.Kind]int64)}
	scoped := make(map[schemas.Kind]bool) // found as "- All"
	for _, n := range names {
		kind, all, ok := kindOf(n.Name)
		if ok && !scoped[kind] && (all || cat.Numbers[kind] == 0) {
			cat.Numbers[kind], scoped[kind] = n.Number, all
		}
	}
	for _, kind := range schemas.Kinds() {
		if cat.Numbers[kind] != 0 {
			continue
		}
		number, known := usual[kind]
		taken := slices.Contains(slices.Collect(maps.Values(cat.Numbers)), number)
		listed := len(names) == 0 || slices.ContainsFunc(names, func(n EventName) bool { return n.Number == number })
		if known && listed && !taken {
			cat.Numbers[kind] = number
			cat.Assumed = append(cat.Assumed, kind)
		} else {
			cat.Missing = append(cat.Missing, kind)
		}
	}
	return cat
}

// kindOf reads an event's name: "$#request Status Changed  - All". Case, spaces
// and underscores do not count; ticket, agent and user have other names in
// other tenants, or stand as placeholders.
//
// What follows " - " is the scope. all is true for "All"; a narrower scope
// ("My tickets") would leave out most events, so it is not ok at all.
func kindOf(name string) (kind schemas.Kind, all, ok bool) {
	plain, scope, found := strings.Cut(strings.ReplaceAll(strings.ToLower(name), "_", " "), " - ")
	if scope = strings.TrimSpace(scope); found && scope != "all" {
		return "", false, false
	}
	plain = strings.Join(strings.Fields(plain), "")
	for _, noun := range []string{"$#request", "ticket", "request", "incident", "case"} {
		if rest := strings.Replace(plain, noun, "", 1); rest != plain {
			plain = rest
			break
		}
	}
	switch plain {
	case "newlogged", "logged":
		return schemas.TicketLogged, found, true
	case "statuschanged":
		return schemas.StatusChanged, found, true
	case "updatedbyagent", "updatedbytechnician", "updatedby$#technician":
		return schemas.UpdatedByAgent, found, true
	case "updatedbyuser", "updatedbyenduser", "updatedbycustomer":
		return schemas.UpdatedByUser, found, true
	}
	return "", false, false
}
