package api_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const credentials = `{"tenant_url":"acme.halopsa.com","client_id":"id","client_secret":"s3cr3t"}`

// Every fault of a request is 400 invalid, in our form, whatever finds it.
func TestARequestThatSaysWhatCannotBeIsToldWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	const tooMany = 501
	bulk := "[" + strings.TrimSuffix(strings.Repeat(`{"agent_id":2,"set":"ignored"},`, tooMany), ",") + "]"
	for _, c := range []struct{ method, path, body, says string }{
		{"GET", "/v1/tenants/Acme/connection", "", "tenant id"},
		{"GET", "/v1/tenants?state=fine", "", "query.state"},
		{"GET", "/v1/tenants?limit=0", "", "query.limit"},
		{"GET", at("/agents?limit=1001"), "", "query.limit"},
		{"GET", at("/agents?limit=ten"), "", "query.limit"},
		{"GET", at("/agents?state=lost"), "", "query.state"},
		{"GET", at("/timeline?from=yesterday"), "", "query.from"},
		{"GET", at("/timeline?to=2026-02-30"), "", "query.to"},
		{"GET", at("/timeline?limit=1001"), "", "query.limit"},
		{"GET", at("/timeline?user=%zz"), "", "query"},
		{"GET", at("/timeline?from="), "", "query.from"},
		{"GET", at("/events?kind="), "", "query.kind"},
		{"GET", at("/events?outcome=maybe"), "", "query.outcome"},
		{"GET", at("/events?reason=lazy"), "", "query.reason"},
		{"GET", at("/events?kind=none"), "", "query.kind"},
		{"GET", at("/events?ticket=x"), "", "query.ticket"},
		{"GET", at("/events?agent=-1"), "", "query.agent"},
		{"GET", at("/events/42"), "", "path.event"},
		{"GET", at("/deliveries?limit=1001"), "", "query.limit"},
		{"GET", at("/summary?zone=Mars/Olympus"), "", "zone"},
		{"GET", at("/summary?from=2025-01-01&to=2026-12-01"), "", "400 days"},
		{"PUT", at("/users"), ``, "body"},
		{"PUT", at("/users"), `null`, "body"},
		{"PUT", at("/users"), `{"users":[]}`, "array"},
		{"PUT", at("/users"), `[{"user_id":1}]`, "user_id"},
		{"PUT", at("/users"), `[{"user_id":""}]`, "user_id"},
		{"PUT", at("/users"), `[{"email":"a"}]`, "user_id"},
		{"PUT", at("/users"), `[{"user_id":"u-1"},{"user_id":"u-1"}]`, "Entry 1"},
		{"PUT", at("/users"), `[{"user_id":"u-1"},{"user_id":"` + strings.Repeat("é", 101) + `"}]`, "Entry 1"},
		{"PUT", at("/users"), "[{\"user_id\":\"\ufeffalice\"}]", "invisible"},
		{"PUT", at("/users"), `[{"user_id":"a\u0000b"}]`, "control"},
		{"PUT", at("/users?ends=-1"), `[]`, "query.ends"},
		{"PATCH", at("/users"), `[]`, "body"},
		{"PATCH", at("/users"), `{"set":[{"user_id":"u-1"}],"remove":["u-1"]}`, "remove"},
		{"PUT", at("/connection"), `{"tenant_url":"x"`, "body"},
		{"PUT", at("/connection"), `{"tenant_url":"x","client_id":"y"}`, "client_secret"},
		{"PUT", at("/connection"), `{"tenant_url":"x","client_id":" ","client_secret":"z"}`, "client_id"},
		{"PUT", at("/agents/jane/user"), `{"user_id":"u-1"}`, "path.agent"},
		{"PUT", at("/agents/2/user"), `{}`, "either"},
		{"PUT", at("/agents/2/user"), `{"user_id":"u-1","set":"ignored"}`, "either"},
		{"PUT", at("/agents/2/user"), `{"user_id":null}`, "user_id"},
		{"PUT", at("/agents/2/user"), `{"set":"gone"}`, "set"},
		{"PUT", at("/agents/users"), `{}`, "array"},
		{"PUT", at("/agents/users"), bulk, "500"},
		{"PUT", at("/agents/users"), `[{"agent_id":2,"set":"ignored"},{"agent_id":"2","set":"ignored"}]`, "Entry 1"},
		{"PUT", at("/agents/users"), `[{"set":"ignored"}]`, "agent_id"},
		{"PUT", at("/agents/users"), `[{"agent_id":"two","set":"ignored"}]`, "agent_id"},
		{"POST", at("/erasures"), `{"user_id":""}`, "user_id"},
		{"POST", at("/erasures"), `{}`, "user_id"},
		{"POST", at("/console-link"), `{"path":"/elsewhere"}`, "under /console/"},
		{"POST", at("/console-link"), `{"scopes":["write"]}`, "scopes"},
	} {
		got := w.refused(http.StatusBadRequest, "invalid", c.method, c.path, c.body)
		if !strings.Contains(got.Message, c.says) {
			t.Errorf("%s %s %.60s: no %q in %q", c.method, c.path, c.body, c.says, got.Message)
		}
	}
	for _, cursor := range []string{"x", "019ab3c5d21-", "019AB3C5D21-0b5c9c1e7f0a4c559d0e2f6f4b1a8c11", "019ab3c5d21-0b5c9c1e7f0a4c559d0e2f6f4b1a8c1g"} {
		for _, list := range []string{"/timeline", "/events", "/changes"} {
			w.refused(http.StatusBadRequest, "bad_cursor", "GET", at(list+"?cursor="+cursor), "")
		}
	}
	w.refused(http.StatusBadRequest, "bad_cursor", "GET", at("/agents?cursor=x"), "")
	w.refused(http.StatusBadRequest, "bad_cursor", "GET", "/v1/tenants?cursor=X", "")
	if done := w.tenants.Calls; len(done) > 0 {
		t.Errorf("something was done: %q", done)
	}
}

func TestWhatIsNoRouteIsRefusedInTheSameForm(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		status             int
		code, method, path string
	}{
		{405, "method_not_allowed", "PATCH", at("/connection")},
		{405, "method_not_allowed", "GET", at("/agents/users")},
		{405, "method_not_allowed", "TRACE", "/v1/tenants"},
		{404, "not_found", "GET", "/v1/anything"},
		{404, "not_found", "GET", "//v1/tenants"},
		{404, "not_found", "GET", "/v1/../v1/tenants"},
	} {
		w.refused(c.status, c.code, c.method, c.path, "")
	}
	if allow := w.call("PATCH", at("/connection"), "").header.Get("Allow"); !strings.Contains(allow, "PUT") || !strings.Contains(allow, "DELETE") {
		t.Errorf("Allow: %q", allow)
	}
	// A type that is none, or another, is looked over: there is JSON only.
	w.want(200, "PUT", at("/users"), `[{"user_id":"u-1"},{"user_id":"u-2"}]`, nil, header("Content-Type", "text/plain"), header("Accept", "text/html"))
	// One that is too large is no fault of its words.
	w.refused(413, "too_large", "PUT", at("/users"), `[{"user_id":"`+strings.Repeat("x", 9<<20)+`"}]`)
}

func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	tokens := map[string]schemas.Secret{"": "guess"}
	for name, g := range map[string]access.Grant{
		"reader":  {Scope: access.Read, Tenants: []schemas.Tenant{"acme"}},
		"mapper":  {Scope: access.Map, Tenants: []schemas.Tenant{"acme"}},
		"manager": {Scope: access.Manage, Tenants: []schemas.Tenant{"acme"}},
		"other":   {Scope: access.Manage, Tenants: []schemas.Tenant{"globex"}},
		"past":    {Scope: access.Manage, Until: w.now},
	} {
		g.Name = name
		tokens[name] = w.newToken(g)
	}
	bodies := map[string]string{
		"PUT " + at("/users"): `[{"user_id":"u-1"},{"user_id":"u-2"}]`, "PATCH " + at("/users"): `{}`, "PUT " + at("/connection"): credentials,
		"PUT " + at("/agents/users"): `[]`, "PUT " + at("/agents/2/user"): `{"user_id":"u-2"}`, "POST " + at("/erasures"): `{"user_id":"u-1"}`,
	}
	scopes := map[access.Scope][]string{
		access.Read: {
			"GET " + at("/connection"), "GET " + at("/diagnosis"), "GET " + at("/users"), "GET " + at("/agents"), "GET " + at("/agents/2/history"),
			"GET " + at("/timeline"), "GET " + at("/events"), "GET " + at("/deliveries"), "GET " + at("/summary"), "GET " + at("/changes"),
			"GET " + at("/erasures"), "POST " + at("/console-link"),
		},
		access.Map: {
			"PUT " + at("/users"), "PATCH " + at("/users"), "POST " + at("/connection/refresh"), "PUT " + at("/agents/users"),
			"PUT " + at("/agents/2/user"), "DELETE " + at("/agents/2/user"),
		},
		access.Manage: {
			"PUT " + at("/connection"), "POST " + at("/connection/reconnect"), "DELETE " + at("/connection"), "POST " + at("/erasures"), "DELETE " + at(""),
		},
	}
	for needs, routes := range scopes {
		for _, route := range routes {
			method, path, _ := strings.Cut(route, " ")
			for name, token := range tokens {
				status, code := 0, ""
				switch {
				case name == "":
					status, code = 401, "unauthorized"
				case name == "past":
					status, code = 401, "token_expired"
				case name == "other":
					status, code = 403, "forbidden"
				case name == "reader" && needs > access.Read, name == "mapper" && needs > access.Map:
					status, code = 403, "scope_missing"
				}
				if status == 0 {
					if a := w.call(method, path, bodies[route], as(token)); a.status/100 != 2 {
						t.Errorf("%s as %s: %d %s", route, name, a.status, a.body)
					}
					continue
				}
				got := w.refused(status, code, method, path, bodies[route], as(token))
				if code == "scope_missing" && !strings.Contains(got.Message, needs.String()) {
					t.Errorf("%s as %s does not name the scope: %s", route, name, got.Message)
				}
			}
		}
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic " + w.token.Reveal(), w.token.Reveal()} {
		a := w.call("GET", "/v1/tenants", "", header("Authorization", authorization))
		if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("Authorization %q: %d", authorization, a.status)
		}
	}
	w.want(200, "GET", "/v1/tenants", "", nil, header("Authorization", "bearer "+w.token.Reveal())) // schemes have no case
	log := w.log.String()
	for _, want := range []string{`"token":"reader","route":"PUT /v1/tenants/{tenant}/users","code":"scope_missing","tenant":"acme"`, `"token":"past"`, `"token":"(unknown)"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	for name, token := range tokens {
		if strings.Contains(log, token.Reveal()) {
			t.Errorf("the log has the token of %q", name)
		}
	}
	if got := w.counted("DELETE /v1/tenants/{tenant}", 403); got != 3 { // reader, mapper, other
		t.Errorf("%v refusals were counted", got)
	}
}

func TestEachChangeIsInTheLogUnderTheTokensName(t *testing.T) {
	w := newWorld(t)
	portal := w.newToken(access.Grant{Name: "portal"})
	w.want(200, "PUT", at("/agents/2/user"), `{"user_id":"u-1"}`, nil, as(portal))
	w.refused(404, "unknown_user", "PUT", at("/agents/2/user"), `{"user_id":"stranger"}`, as(portal))
	w.want(200, "PUT", at("/connection"), credentials, nil, as(portal))
	if got := w.tenants.Calls; !slices.Contains(got, "assign portal") || !slices.Contains(got, "connect portal") {
		t.Errorf("called %q", got)
	}
	log := w.log.String()
	for _, want := range []string{
		`"msg":"audit","tenant":"acme","change":"map","token":"portal","result":"ok","agent":"2"`,
		`"change":"map","token":"portal","result":"unknown_user"`, `"change":"connect","token":"portal","result":"ok"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s\n%s", want, log)
		}
	}
	if strings.Contains(log, "s3cr3t") || strings.Contains(log, "u-1") {
		t.Errorf("the log says to which value: %s", log)
	}
}

func TestAStandbyReadsAndDoesNothingElse(t *testing.T) {
	w := newWorld(t)
	w.tenants.NotReady = control.ErrStandby
	for _, read := range []string{"/timeline", "/events", "/deliveries", "/summary", "/changes"} {
		w.want(200, "GET", at(read), "", nil)
	}
	for _, call := range []string{"GET " + at("/connection"), "GET /v1/tenants", "GET " + at("/agents"), "POST " + at("/console-link"), "PUT " + at("/connection"), "DELETE " + at("")} {
		method, path, _ := strings.Cut(call, " ")
		a := w.call(method, path, credentials)
		if a.status != 503 || a.problem().Code != "standby" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, Retry-After %q", call, a.status, a.body, a.header.Get("Retry-After"))
		}
	}
	if len(w.tenants.Calls) > 0 {
		t.Errorf("something was done: %q", w.tenants.Calls)
	}
}

// What goes wrong elsewhere is told by who must act.
func TestAFailureSaysWhoMustAct(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{control.ErrSealed, 409, "sealed"},
		{control.ErrNotKept, 503, "log_unavailable"},
		{errors.New("wat"), 500, "internal"},
		{context.DeadlineExceeded, 504, "halo_timeout"},
		{&halopsa.Error{Cause: halopsa.SecretWrong, Message: "No.", Action: "Mend it."}, 422, "secret_wrong"},
		{&halopsa.Error{Cause: halopsa.HaloError, Message: "No.", Action: "Wait."}, 502, "halo_error"},
	} {
		w.tenants.Err = c.err
		got := w.refused(c.status, c.code, "PUT", at("/connection"), credentials)
		if strings.Contains(got.Message, "wat") {
			t.Errorf("an error of ours is told: %s", got.Message)
		}
	}
	w.reads.Err = errors.New("wat")
	for _, read := range []string{"/timeline", "/events", "/deliveries", "/summary", "/changes"} {
		w.refused(503, "timeline_unavailable", "GET", at(read), "")
	}
	if !strings.Contains(w.log.String(), "wat") {
		t.Error("the log does not say what went wrong")
	}
}

// Half a connect is worse than one that nobody waited for.
func TestAChangeGoesOnWhenTheCallerHangsUp(t *testing.T) {
	w := newWorld(t)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	w.want(200, "PUT", at("/connection"), credentials, nil, func(r *http.Request) { *r = *r.WithContext(gone) })
}

func TestAConnectAnswers201WhereNothingWasKnown(t *testing.T) {
	w := newWorld(t)
	w.tenants.Conn = nil
	w.refused(404, "not_connected", "GET", at("/connection"), "")
	w.want(201, "PUT", at("/connection"), credentials, nil)
	w.want(200, "PUT", at("/connection"), credentials, nil)
	if a := w.want(204, "DELETE", at("/connection"), "", nil); len(a.body) > 0 {
		t.Errorf("a body: %s", a.body)
	}
}

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
	if got := w.reads.Last; got.From.Year() != 1900 || got.To.Year() != 2299 {
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
