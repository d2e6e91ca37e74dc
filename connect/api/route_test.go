package api_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/connect/access"
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
		{"GET", at("/timeline?from=yesterday"), "", "query.from: want a time as in RFC 3339, or a date."},
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
		{"GET", at("/events/42"), "", "path.event: id: want a UUID."},
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
		{"PUT", at("/users"), `[{"user_id":" alice"}]`, "blank"},
		{"PATCH", at("/users"), `{"set":[{"user_id":"alice ","email":"a@x"}]}`, "blank"},
		{"PUT", at("/users"), "[{\"user_id\":\"alice\",\"email\":\"a\u202e@x\"}]", "email"},
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
		{control.Refuse(422, "secret_wrong", "No. Mend it."), 422, "secret_wrong"},
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
