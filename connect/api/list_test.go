package api_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

func TestListsOfTenantsAndAgentsAreFilteredAndPaged(t *testing.T) {
	w := newWorld(t)
	some := w.newToken(access.Grant{Name: "some", Tenants: []schemas.Tenant{"acme", "initech"}})
	for query, want := range map[string]string{
		"": "acme globex initech ", "?state=degraded": "globex ", "?q=INI": "initech ", "?limit=2": "acme globex +", "?limit=2&cursor=globex": "initech ",
		"?limit=3": "acme globex initech ", "?q=halopsa&limit=1&cursor=acme": "globex +", "?state=sealed": "",
	} {
		var list control.Tenants
		w.want(200, "GET", "/v1/tenants"+query, "", &list)
		got := ""
		for _, row := range list.Tenants {
			got += string(row.Tenant) + " "
		}
		if list.Next != "" {
			got += "+"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	var list control.Tenants
	if w.want(200, "GET", "/v1/tenants", "", &list, as(some)); len(list.Tenants) != 2 {
		t.Errorf("a token sees tenants that it does not cover: %+v", list)
	}
	for query, want := range map[string]string{
		"": "2 3 42 ", "?state=unmatched": "3 ", "?q=ANN": "2 ", "?q=acme.example&limit=1": "2 +", "?q=u-2": "2 ", "?q=42": "42 ", "?limit=2": "2 3 +", "?limit=2&cursor=3": "42 ",
	} {
		var list control.Agents
		w.want(200, "GET", at("/agents"+query), "", &list)
		got := ""
		for _, row := range list.Agents {
			got += strconv.Itoa(int(row.ID)) + " "
		}
		if list.Next != "" {
			got += "+"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestTheDirectoryIsChangedOnlyAsItWasSeen(t *testing.T) {
	w := newWorld(t)
	tag := w.want(200, "GET", at("/users"), "", nil).header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) {
		t.Fatalf("ETag %q is not strong", tag)
	}
	if again := w.want(200, "GET", at("/users"), "", nil).header.Get("ETag"); again != tag {
		t.Error("equal content has another tag")
	}
	w.refused(412, "changed", "PUT", at("/users"), `[]`, header("If-Match", `"other"`)) // before the guard
	w.refused(412, "changed", "PATCH", at("/users"), `{}`, header("If-Match", "W/"+tag))
	var done control.UsersChanged
	a := w.want(200, "PATCH", at("/users"), `{"set":[{"user_id":"u-3","email":null}]}`, &done, header("If-Match", `"other", `+tag))
	next := a.header.Get("ETag")
	if done.Users != 3 || done.Ended != 0 || next == tag {
		t.Errorf("%+v, tag %q", done, next)
	}
	w.refused(412, "changed", "PATCH", at("/users"), `{}`, header("If-Match", tag))
	w.want(200, "PATCH", at("/users"), `{"remove":["u-3","stranger"]}`, nil, header("If-Match", "*"))
	if a := w.want(200, "GET", at("/users"), "", nil); a.header.Get("ETag") != tag {
		t.Error("the same directory again has another tag")
	}
	if got := w.refused(409, "would_end_mappings", "PUT", at("/users"), `[]`); got.Ends != 2 || !strings.Contains(got.Message, "2") {
		t.Errorf("%+v", got)
	}
	if got := w.refused(409, "would_end_mappings", "PUT", at("/users?ends=3"), `[]`); got.Ends != 2 {
		t.Errorf("%+v", got)
	}
	w.want(200, "PUT", at("/users?ends=2"), `[]`, &done)
	if done.Users != 0 || done.Ended != 2 {
		t.Errorf("%+v", done)
	}
	if a := w.want(200, "GET", at("/users"), "", nil); !bytes.Contains(a.body, []byte(`"users":[]`)) {
		t.Errorf("%s", a.body)
	}
}

func TestOfABulkEachIsDoneOrRefusedByItself(t *testing.T) {
	w := newWorld(t)
	var got control.BulkResults
	w.want(200, "PUT", at("/agents/users"), `[
		{"agent_id":3,"user_id":"u-1"}, {"agent_id":"42","set":"automatic"}, {"agent_id":99,"user_id":"u-1"}, {"agent_id":2,"user_id":"stranger"},
		{"agent_id":4.0,"set":"gone"}, {"agent_id":5,"user_id":"u-1","set":"ignored"}, {"agent_id":6}, {"agent_id":7,"user_id":7}, {"agent_id":1,"set":"ignored"}]`, &got)
	want := []string{"3 matched u-1 ", "42 unmatched  ", "99   unknown_agent", "2 matched u-2 unknown_user", "4   invalid", "5   invalid", "6   invalid", "7   invalid", "1   unknown_agent"}
	for i, r := range got.Results {
		user, code := schemas.UserID(""), ""
		if r.UserID != nil {
			user = *r.UserID
		}
		if r.Error != nil {
			code = r.Error.Code
		}
		if line := strings.Join([]string{strconv.Itoa(int(r.Agent)), r.State, string(user), code}, " "); line != want[i] {
			t.Errorf("result %d: %q, want %q", i, line, want[i])
		}
	}
	if len(got.Results) != len(want) {
		t.Errorf("%d results of %d", len(got.Results), len(want))
	}
	a := w.want(200, "PUT", at("/agents/users"), `[{"agent_id":2,"set":"gone"}]`, &got)
	if r := got.Results[0]; r.State != control.Matched || *r.UserID != "u-2" {
		t.Errorf("one that was refused is not shown as it stands: %s", a.body)
	}
	w.want(200, "PUT", at("/agents/users"), `[]`, &got)
	w.tenants.Err = control.ErrNotConnected
	w.refused(404, "not_connected", "PUT", at("/agents/users"), `[]`)
	w.tenants.Err = nil
	w.refused(404, "unknown_agent", "PUT", at("/agents/99/user"), `{"user_id":"u-1"}`)
	w.refused(404, "unknown_agent", "PUT", at("/agents/1/user"), `{"user_id":"u-1"}`)
	w.refused(404, "unknown_user", "PUT", at("/agents/2/user"), `{"user_id":"stranger"}`)
	w.refused(404, "unknown_agent", "GET", at("/agents/99/history"), "")
	if a := w.want(200, "GET", at("/agents/3/history"), "", nil); !bytes.Contains(a.body, []byte(`"intervals":[]`)) {
		t.Errorf("%s", a.body)
	}
	if a := w.want(200, "GET", at("/agents/2/history"), "", nil); !bytes.Contains(a.body, []byte(`"until":null,"by":"operator"`)) {
		t.Errorf("%s", a.body)
	}
}

// A walk gives each row once, whatever arrives meanwhile, and rows of one
// instant too.
func TestAWalkThroughAListMeetsEachRowOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 25 {
		id := schemas.ID{15: byte(255 - i)}.String()
		when := w.now.Add(-time.Duration(i/5) * time.Second) // five of each instant
		w.reads.EventRows = append(w.reads.EventRows, control.Event{Outcome: control.OutcomeSkip, ID: id, Reason: schemas.Unmapped, OccurredAt: when, ReceivedAt: when})
		w.reads.Activities = append(w.reads.Activities, control.Activity{ID: id, Tenant: "acme", User: "u", Category: "Ticket", Kind: schemas.TicketLogged, Weight: 1, CreditedAs: "actor", Agent: 2, OccurredAt: when, ReceivedAt: when})
		w.reads.ChangeRows = append(w.reads.ChangeRows, control.Change{ID: id, Tenant: "acme", At: when, Change: "map"})
	}
	for _, list := range []string{"/timeline", "/events", "/changes"} {
		seen, cursor, pages := map[string]int{}, "", 0
		for {
			var page struct {
				Activities, Events, Changes []struct {
					Activity string `json:"activity_id"`
					Event    string `json:"event_id"`
					ID       string
				}
				Next *string
			}
			w.want(200, "GET", at(list+"?limit=4&cursor="+cursor), "", &page)
			for _, row := range slices.Concat(page.Activities, page.Events, page.Changes) {
				seen[row.Activity+row.Event+row.ID]++
			}
			pages++
			if page.Next == nil {
				t.Fatalf("%s: next is null", list)
			}
			if cursor = *page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 25 || pages != 7 {
			t.Errorf("%s: %d rows on %d pages", list, len(seen), pages)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s: %s came %d times", list, id, n)
			}
		}
	}
	w.want(200, "GET", at("/events/"+schemas.ID{15: 255}.String()), "", nil)
	w.refused(404, "unknown_event", "GET", at("/events/"+schemas.ID{1}.String()), "")
}

func TestFiltersReachTheReadModel(t *testing.T) {
	w := newWorld(t)
	w.want(200, "GET", at("/events?outcome=skip&reason=unmapped&kind=updated_by_user&ticket=1042&agent=42&user=u%201&from=2026-11-24T08:00:00+01:00&to=2026-11-25&limit=7&unknown=1"), "", nil)
	want := control.Query{
		Outcome: "skip", Reason: schemas.Unmapped, Kind: schemas.UpdatedByUser, Ticket: 1042, Agent: 42, User: "u 1", Limit: 8,
		From: time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC),
	}
	if w.reads.Last != want {
		t.Errorf("%+v\nwant %+v", w.reads.Last, want)
	}
	w.want(200, "GET", at("/summary"), "", nil)
	if !w.reads.To.Equal(w.now) || w.reads.To.Sub(w.reads.From) != 30*24*time.Hour || w.reads.Zone != "UTC" {
		t.Errorf("a summary of %v to %v in %s", w.reads.From, w.reads.To, w.reads.Zone)
	}
	w.want(200, "GET", at("/summary?from=2026-11-01&to=2026-11-02&zone=Europe/Berlin"), "", nil)
	if w.reads.Zone != "Europe/Berlin" {
		t.Errorf("zone %s", w.reads.Zone)
	}
	w.want(200, "GET", at("/summary?from=2026-11-02&to=2026-11-01"), "", nil) // between them is nothing
	w.want(200, "GET", at("/timeline?from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z"), "", nil)
	if got := w.reads.Last; got.From.Year() != 1970 || got.To.Year() != 2299 {
		t.Errorf("%+v", got)
	}
	w.want(200, "GET", at("/deliveries"), "", nil)
	if w.reads.Last.Limit != 100 {
		t.Errorf("%d deliveries", w.reads.Last.Limit)
	}
}

func TestErasures(t *testing.T) {
	w := newWorld(t)
	var e control.Erasure
	if a := w.want(202, "POST", at("/erasures"), `{"user_id":"u-9"}`, &e); e.UserID != "u-9" || !bytes.Contains(a.body, []byte(`"stores":[]`)) {
		t.Errorf("%s", a.body)
	}
	w.want(200, "GET", at("/erasures"), "", nil)
	w.want(202, "DELETE", at(""), "", &e)
	w.refused(404, "unknown_tenant", "DELETE", "/v1/tenants/unknown", "")
}
