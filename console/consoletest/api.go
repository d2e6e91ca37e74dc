// Package consoletest is a small control API for tests of the console: the
// JSON of each route, and what it says in every state, without anything behind
// it.
//
// It keeps the API's promises as far as pages depend on them: a session ends
// with its token, a link opens once, a scope and a tenant that are not covered
// are refused, and a change is seen by the next read.
package consoletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Token is one that the API knows.
type Token struct {
	Name    string
	Tenant  schemas.Tenant // "" for all
	Scopes  []string
	Expired bool
}

// Link opens the console once.
type Link struct {
	Token   string
	Tenant  schemas.Tenant
	Path    string
	Scopes  []string
	Expires time.Time
}

// API is the fake. Fields may be changed between requests with [API.Do].
type API struct {
	mu       sync.Mutex
	Now      func() time.Time
	Keyset   string // sessions of another do not open
	Tokens   map[string]Token
	Links    map[string]Link
	Tenants  map[schemas.Tenant]*Tenant
	Fail     map[string]*control.Refusal // by the route's last words, such as "/summary"
	Hold     chan struct{}               // PUT /connection waits for it, where there is one
	Requests []string                    // what was asked, in order
}

// Tenant is what the API knows of one.
type Tenant struct {
	Connection *control.Connection // nil: not connected
	Users      []control.User
	Agents     []control.Agent
	History    map[schemas.AgentID][]control.Interval
	Activities []control.Activity // newest first
	Events     []control.Event    // newest first
	Why        map[string]control.Explanation
	Summary    control.Summary
	Deliveries []control.Delivery
	Changes    []control.Change
	Diagnosis  control.Diagnosis
}

// New is an API that knows nobody.
func New(now func() time.Time) *API {
	return &API{Now: now, Keyset: "one", Tokens: map[string]Token{}, Links: map[string]Link{}, Tenants: map[schemas.Tenant]*Tenant{}, Fail: map[string]*control.Refusal{}}
}

// Do changes the API between requests.
func (a *API) Do(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// RoundTrip answers a request in the process.
func (a *API) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

type grant struct {
	Token  string
	Tenant schemas.Tenant
	Scopes []string
	End    time.Time
}

// session is a grant as it lies in a cookie. It is not sealed: nobody attacks a
// fake.
func (a *API) session(g grant) string {
	b, _ := json.Marshal(g)
	return a.Keyset + "." + url.QueryEscape(string(b))
}

func (a *API) grant(r *http.Request) (grant, *control.Refusal) {
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := grant{Token: bearer, End: a.Now().Add(24 * time.Hour)}
	if keyset, sealed, ok := strings.Cut(bearer, "."); ok {
		text, err := url.QueryUnescape(sealed)
		if keyset != a.Keyset || err != nil || json.Unmarshal([]byte(text), &g) != nil {
			return g, control.Refuse(http.StatusUnauthorized, "unauthorized", "A bearer token is needed that this API knows.")
		}
	}
	t, known := a.Tokens[g.Token]
	switch {
	case !known, !a.Now().Before(g.End):
		return g, control.Refuse(http.StatusUnauthorized, "unauthorized", "A bearer token is needed that this API knows.")
	case t.Expired:
		return g, control.Refuse(http.StatusUnauthorized, "token_expired", "The token has ended. Ask for another.")
	}
	if g.Scopes == nil {
		g.Tenant, g.Scopes = t.Tenant, t.Scopes
	}
	return g, nil
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	hold := a.Hold
	a.mu.Unlock()
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/connection") {
		control.Progress(r.Context(), control.StepSignIn)
		if hold != nil {
			control.Progress(r.Context(), control.StepWebhook)
			<-hold
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Requests = append(a.Requests, r.Method+" "+r.URL.RequestURI())
	body, refusal := a.answer(r)
	if refusal == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
		return
	}
	if refusal.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter.Seconds())))
	}
	w.WriteHeader(refusal.Status)
	_ = json.NewEncoder(w).Encode(control.ErrorBody{Error: *refusal})
}

func (a *API) answer(r *http.Request) (any, *control.Refusal) {
	for route, refusal := range a.Fail {
		if strings.HasSuffix(r.URL.Path, route) {
			return nil, refusal
		}
	}
	if r.URL.Path == "/v1/console-session" {
		return a.openSession(r)
	}
	g, refusal := a.grant(r)
	if refusal != nil {
		return nil, refusal
	}
	if r.URL.Path == "/v1/tenants" {
		return a.list(), nil
	}
	name, route, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/tenants/"), "/")
	tenant := schemas.Tenant(name)
	if g.Tenant != "" && g.Tenant != tenant {
		return nil, control.Refuse(http.StatusForbidden, "forbidden", "This token does not cover the tenant.")
	}
	if need := needs(r.Method, route); !slices.Contains(g.Scopes, need) {
		return nil, control.Refuse(http.StatusForbidden, "scope_missing", "This needs the scope %s.", need)
	}
	t := a.Tenants[tenant]
	if t == nil {
		t = &Tenant{}
		a.Tenants[tenant] = t
	}
	return a.serve(r, tenant, t, route, a.Tokens[g.Token].Name)
}

func needs(method, route string) string {
	switch {
	case method == http.MethodGet:
		return control.ScopeRead
	case strings.HasPrefix(route, "agents"), route == "connection/refresh":
		return control.ScopeMap
	}
	return control.ScopeManage
}

func (a *API) openSession(r *http.Request) (any, *control.Refusal) {
	var in control.SessionRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	var g grant
	end, path := a.Now().Add(8*time.Hour), ""
	if r.Method == http.MethodGet {
		g, refusal := a.grant(r)
		if refusal != nil {
			return nil, refusal
		}
		return a.shape(g, control.Session{}), nil
	}
	if in.Link != "" {
		l, known := a.Links[in.Link]
		delete(a.Links, in.Link)
		if _, there := a.Tokens[l.Token]; !known || !there || !a.Now().Before(l.Expires) {
			return nil, control.Refuse(http.StatusGone, "link_gone", "The link has been used or has ended.")
		}
		g, path = grant{l.Token, l.Tenant, l.Scopes, end}, l.Path
	} else {
		var refusal *control.Refusal
		if g, refusal = a.grant(r); refusal != nil {
			return nil, refusal
		}
		if g.End.Before(end) {
			end = g.End
		}
		g.End = end
	}
	return a.shape(g, control.Session{Session: a.session(g), ExpiresAt: &end, Path: path}), nil
}

func (a *API) shape(g grant, s control.Session) control.Session {
	s.Name, s.Scopes, s.Tenants = a.Tokens[g.Token].Name, g.Scopes, []schemas.Tenant{}
	if g.Tenant != "" {
		s.Tenants = append(s.Tenants, g.Tenant)
	}
	return s
}

func (a *API) list() control.Tenants {
	out := control.Tenants{Tenants: []control.TenantRow{}}
	for name, t := range a.Tenants {
		if c := t.Connection; c != nil {
			row := control.TenantRow{Tenant: name, State: c.State, TenantURL: c.TenantURL, Agents: t.counts(), LastDeliveryAt: c.LastDeliveryAt, Problems: []string{}}
			for _, p := range c.Problems {
				row.Problems = append(row.Problems, p.Code)
			}
			out.Tenants = append(out.Tenants, row)
		}
	}
	slices.SortFunc(out.Tenants, func(a, b control.TenantRow) int { return strings.Compare(string(a.Tenant), string(b.Tenant)) })
	return out
}

func (t *Tenant) counts() control.AgentCounts {
	var n control.AgentCounts
	for _, a := range t.Agents {
		n.Total++
		switch a.State {
		case control.Matched:
			n.Matched++
		case control.Unmatched:
			n.Unmatched++
		default:
			n.Ignored++
		}
	}
	return n
}

var errNotConnected = control.Refuse(http.StatusNotFound, "not_connected", "The tenant has no connection. Connect it first.")

// readable are the routes of a sealed tenant that answer.
func readable(method, route string) bool {
	last := route[strings.LastIndex(route, "/")+1:]
	return method == http.MethodGet && !slices.Contains([]string{"agents", "users"}, last)
}

func (a *API) serve(r *http.Request, tenant schemas.Tenant, t *Tenant, route, by string) (any, *control.Refusal) {
	q := r.URL.Query()
	if c := t.Connection; c != nil && c.State == control.Sealed && !readable(r.Method, route) && r.Method+route != "PUTconnection" {
		return nil, control.Refuse(http.StatusConflict, "sealed", "The tenant is sealed: its record cannot be opened.")
	}
	switch r.Method + " " + route {
	case "GET connection":
		if t.Connection == nil {
			return nil, errNotConnected
		}
		c := *t.Connection
		c.Agents = t.counts()
		return c, nil
	case "PUT connection":
		return a.connect(r, tenant, t, by)
	case "DELETE connection":
		t.Connection.State, t.Connection.Problems = control.Disconnected, nil
		t.Agents = nil
		a.change(t, control.Change{By: by, Change: "disconnect"})
		return nil, nil
	case "POST connection/refresh", "POST connection/reconnect":
		if t.Connection == nil {
			return nil, errNotConnected
		}
		_, what, _ := strings.Cut(route, "/")
		if what == "reconnect" {
			t.Connection.State, t.Connection.Problems, t.Connection.Webhook.Active = control.Active, nil, true
		}
		a.change(t, control.Change{By: by, Change: what})
		return *t.Connection, nil
	case "GET users":
		return control.Users{Users: t.Users}, nil
	case "GET agents":
		if t.Connection == nil || t.Connection.State == control.Disconnected {
			return nil, errNotConnected
		}
		return control.Agents{Agents: t.Agents}, nil
	case "PUT agents/users":
		var all []control.Assignment
		_ = json.NewDecoder(r.Body).Decode(&all)
		out := control.BulkResults{}
		for _, one := range all {
			out.Results = append(out.Results, a.assign(t, one, by))
		}
		return out, nil
	case "GET timeline":
		return t.timeline(q), nil
	case "GET events":
		out := control.Events{Events: []control.Event{}}
		for _, e := range t.Events {
			if q.Get("ticket") == "" || q.Get("ticket") == fmt.Sprint(e.Ticket) {
				out.Events = append(out.Events, e)
			}
		}
		return out, nil
	case "GET summary":
		return t.Summary, nil
	case "GET deliveries":
		return control.Deliveries{Deliveries: t.Deliveries}, nil
	case "GET changes":
		n, _ := strconv.Atoi(q.Get("limit"))
		return control.Changes{Changes: t.Changes[:min(n, len(t.Changes))]}, nil
	case "GET diagnosis":
		if t.Connection == nil || t.Connection.State == control.Disconnected {
			return nil, errNotConnected
		}
		return t.Diagnosis, nil
	}
	return a.serveOne(r, t, route, by)
}

// serveOne serves the routes of one agent and of one event.
func (a *API) serveOne(r *http.Request, t *Tenant, route, by string) (any, *control.Refusal) {
	parts := strings.Split(route, "/")
	switch {
	case parts[0] == "events" && len(parts) == 2:
		if why, known := t.Why[parts[1]]; known {
			return why, nil
		}
		return nil, control.Refuse(http.StatusNotFound, "unknown_event", "No such event is known.")
	case parts[0] == "agents" && len(parts) == 3:
		id, _ := strconv.ParseUint(parts[1], 10, 63)
		agent := schemas.AgentID(id)
		if parts[2] == "history" {
			return control.History{Intervals: append([]control.Interval{}, t.History[agent]...)}, nil
		}
		var one control.Assignment
		_ = json.NewDecoder(r.Body).Decode(&one)
		one.Agent = agent
		done := a.assign(t, one, by)
		if done.Error != nil {
			return nil, done.Error
		}
		return done, nil
	}
	return nil, control.Refuse(http.StatusNotFound, "not_found", "There is no such resource.")
}

func (a *API) connect(r *http.Request, tenant schemas.Tenant, t *Tenant, by string) (any, *control.Refusal) {
	var in control.Credentials
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch {
	case t.Connection != nil && t.Connection.State == control.Sealed && !in.ReplaceSealed:
		return nil, control.Refuse(http.StatusConflict, "sealed", "The stored credentials of this tenant cannot be opened. Say that they are to be replaced.")
	case strings.Contains(in.TenantURL, "nowhere"):
		return nil, control.Refuse(http.StatusBadGateway, "unreachable", "No host answers at this tenant URL. Look whether it is typed right.")
	case in.ClientSecret == "wrong":
		return nil, control.Refuse(http.StatusUnprocessableEntity, "secret_wrong", "Halo does not accept this client ID and secret. Copy both again, without spaces, and look whether the secret has expired.")
	}
	now := a.Now()
	t.Connection = Connected(tenant, now)
	if t.Agents == nil {
		t.Agents, t.Users = People(119)
	}
	a.change(t, control.Change{By: by, Change: "connect"})
	return *t.Connection, nil
}

func (a *API) change(t *Tenant, c control.Change) {
	c.At, c.Result = a.Now(), "ok"
	t.Changes = slices.Insert(t.Changes, 0, c)
}

func (a *API) assign(t *Tenant, one control.Assignment, by string) control.Assigned {
	i := slices.IndexFunc(t.Agents, func(b control.Agent) bool { return b.ID == one.Agent })
	if i < 0 {
		return control.Assigned{Agent: one.Agent, Error: control.Refuse(http.StatusNotFound, "unknown_agent", "Halo listed no agent with this id.")}
	}
	b, now := &t.Agents[i], a.Now()
	switch {
	case one.User != "" && !slices.ContainsFunc(t.Users, func(u control.User) bool { return u.ID == one.User }):
		return control.Assigned{Agent: one.Agent, State: b.State, UserID: b.UserID, Error: control.Refuse(http.StatusNotFound, "unknown_user", "The tenant’s user directory has no such user.")}
	case one.User != "":
		b.State, b.UserID, b.Since, b.MatchedBy, b.Reason, b.Suggestions = control.Matched, &one.User, &now, "hand", "", nil
		a.change(t, control.Change{By: by, Change: "map", Agent: one.Agent, User: one.User})
	default:
		b.State, b.UserID, b.Since, b.MatchedBy, b.Reason, b.Suggestions = control.Unmatched, nil, nil, "", control.ByHand, nil
		if one.Set == control.SetIgnored {
			b.State = control.Ignored
		}
		a.change(t, control.Change{By: by, Change: map[string]string{control.SetIgnored: "ignore", control.SetUnmatched: "unmap", control.SetAutomatic: "automatic"}[one.Set], Agent: one.Agent})
	}
	return control.Assigned{Agent: one.Agent, State: b.State, UserID: b.UserID}
}

func (t *Tenant) timeline(q url.Values) control.Timeline {
	from, _ := time.Parse(time.RFC3339, q.Get("from"))
	to, _ := time.Parse(time.RFC3339, q.Get("to"))
	skip, _ := strconv.Atoi(q.Get("cursor"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	out := control.Timeline{Activities: []control.Activity{}}
	for _, a := range t.Activities {
		if q.Get("user") != string(a.User) || a.OccurredAt.Before(from) || !a.OccurredAt.Before(to) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(out.Activities) == limit {
			n, _ := strconv.Atoi(q.Get("cursor"))
			out.Next = strconv.Itoa(n + limit)
			break
		}
		out.Activities = append(out.Activities, a)
	}
	return out
}
