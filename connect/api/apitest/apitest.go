// Package apitest is what a control API needs, without anything behind it: the
// operations on tenants and the read model as a test wants them.
//
// It promises the words of the interfaces and no more: nothing is kept in a log,
// nobody's Halo is asked, and the rules of matching and of the guard are not
// here.
package apitest

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Tenants is what does the work, as far as the API can tell: a tenant acme with
// three agents and two users, and two others.
type Tenants struct {
	mu       sync.Mutex
	now      func() time.Time
	Err      error // what everything fails with
	NotReady error
	Rows     []control.TenantRow
	Conn     *control.Connection // nil: not connected
	Dir      []control.User      // by user
	List     []control.Agent     // by id
	Calls    []string            // what was called, and by whom
}

var _ api.Tenants = (*Tenants)(nil)

// NewTenants makes it.
func NewTenants(now func() time.Time) *Tenants {
	t := &Tenants{now: now}
	for _, name := range []schemas.Tenant{"acme", "globex", "initech"} {
		t.Rows = append(t.Rows, control.TenantRow{Tenant: name, State: control.Active, TenantURL: "https://" + string(name) + ".halopsa.com"})
	}
	t.Rows[1].State = control.Degraded
	t.Conn = &control.Connection{Tenant: "acme", Connection: schemas.ConnectionIDOf("acme"), State: control.Active}
	user, since := schemas.UserID("u-2"), now()
	t.List = []control.Agent{
		{ID: 2, Name: "Ann", Email: "ann@acme.example", State: control.Matched, UserID: &user, Since: &since, MatchedBy: "email"},
		{ID: 3, Name: "Bob", State: control.Unmatched, Reason: control.NoEmail, Suggestions: []control.Suggestion{}},
		{ID: 42, Name: "Cid", Email: "cid@acme.example", State: control.Ignored, Reason: control.APIAgent},
	}
	t.Dir = []control.User{{ID: "u-1", Email: "x@acme.example"}, {ID: "u-2", Email: "ann@acme.example"}}
	return t
}

func (t *Tenants) called(what, by string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Calls = append(t.Calls, strings.TrimSpace(what+" "+by))
	return cmp.Or(t.NotReady, t.Err)
}

func (t *Tenants) Ready() error { return t.NotReady }

func (t *Tenants) All(context.Context) ([]control.TenantRow, error) {
	return slices.Clone(t.Rows), t.called("all", "")
}

func (t *Tenants) connection() control.Connection {
	if t.Conn == nil {
		return control.Connection{}
	}
	return *t.Conn
}

func (t *Tenants) Connection(context.Context, schemas.Tenant) (control.Connection, error) {
	if t.Conn == nil {
		return control.Connection{}, control.ErrNotConnected
	}
	return *t.Conn, t.called("connection", "")
}

func (t *Tenants) Connect(ctx context.Context, _ schemas.Tenant, by string, c control.Credentials) (control.Connection, bool, error) {
	created := t.Conn == nil
	if created {
		t.Conn = &control.Connection{Tenant: "acme", State: control.Active, TenantURL: c.TenantURL}
	}
	if err := ctx.Err(); err != nil {
		return control.Connection{}, false, err
	}
	return *t.Conn, created, t.called("connect", by)
}

func (t *Tenants) Refresh(_ context.Context, _ schemas.Tenant, by string) (control.Connection, error) {
	return t.connection(), t.called("refresh", by)
}

func (t *Tenants) Reconnect(_ context.Context, _ schemas.Tenant, by string) (control.Connection, error) {
	return t.connection(), t.called("reconnect", by)
}

func (t *Tenants) Disconnect(_ context.Context, _ schemas.Tenant, by string) error {
	return t.called("disconnect", by)
}

func (t *Tenants) Diagnosis(context.Context, schemas.Tenant) (control.Diagnosis, error) {
	return control.Diagnosis{Questions: []control.Question{
		{ID: control.AgentsMissing, Finding: "x", NextStep: "y"},
		{ID: control.ActivityMissing, Finding: "x", NextStep: "y", Facts: map[string]any{"days": 7}},
		{ID: control.NoEvents, Finding: "x", NextStep: "y"},
	}}, t.called("diagnosis", "")
}

func (t *Tenants) Users(context.Context, schemas.Tenant) ([]control.User, error) {
	return slices.Clone(t.Dir), t.called("users", "")
}

func (t *Tenants) ChangeUsers(_ context.Context, _ schemas.Tenant, by string, c control.UsersChange) ([]control.User, int, error) {
	if err := c.Check(slices.Clone(t.Dir)); err != nil {
		return nil, 0, err
	}
	next := slices.Clone(t.Dir)
	if c.Replace {
		next = nil
	}
	for _, u := range c.Set {
		next = append(slices.DeleteFunc(next, func(o control.User) bool { return o.ID == u.ID }), u)
	}
	next = slices.DeleteFunc(next, func(o control.User) bool { return slices.Contains(c.Remove, o.ID) })
	slices.SortFunc(next, func(a, b control.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ended := max(0, len(t.Dir)-len(next))
	if ended > 1 && c.Ends != ended { // the rule of the real one has another number
		return nil, 0, &control.Refusal{Status: http.StatusConflict, Code: "would_end_mappings", Message: "It would end 2 mappings.", Ends: ended}
	}
	t.Dir = next
	return slices.Clone(next), ended, t.called("change users", by)
}

func (t *Tenants) Agents(context.Context, schemas.Tenant) ([]control.Agent, error) {
	return slices.Clone(t.List), t.called("agents", "")
}

func (t *Tenants) Assign(_ context.Context, _ schemas.Tenant, by string, all []control.Assignment) ([]control.Assigned, error) {
	out := make([]control.Assigned, len(all))
	for i, a := range all {
		out[i] = t.assign(a)
	}
	return out, t.called("assign", by)
}

func (t *Tenants) assign(a control.Assignment) control.Assigned {
	i := slices.IndexFunc(t.List, func(g control.Agent) bool { return g.ID == a.Agent })
	if i < 0 {
		return control.Assigned{Agent: a.Agent, Error: control.ErrUnknownAgent}
	}
	g := &t.List[i]
	switch {
	case a.User != "" && !slices.ContainsFunc(t.Dir, func(u control.User) bool { return u.ID == a.User }):
		return control.Assigned{Agent: a.Agent, State: g.State, UserID: g.UserID, Error: control.ErrUnknownUser}
	case a.User != "":
		g.State, g.UserID, g.MatchedBy, g.Reason, g.Suggestions = control.Matched, &a.User, "hand", "", nil
	default:
		g.State, g.UserID, g.MatchedBy, g.Reason, g.Suggestions = a.Set, nil, "", control.ByHand, nil
		if a.Set == control.SetAutomatic { // nobody is matched here
			g.State, g.Reason = control.Unmatched, control.NoUser
		}
	}
	return control.Assigned{Agent: a.Agent, State: g.State, UserID: g.UserID}
}

func (t *Tenants) History(_ context.Context, _ schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error) {
	if agent == 99 {
		return nil, control.ErrUnknownAgent
	}
	if agent == 3 {
		return nil, t.called("history", "")
	}
	return []control.Interval{{UserID: "u-2", From: t.now(), By: "operator"}}, t.called("history", "")
}

func (t *Tenants) Erase(_ context.Context, _ schemas.Tenant, by string, user schemas.UserID) (control.Erasure, error) {
	return control.Erasure{ID: "e-1", UserID: user, At: t.now(), State: control.ErasureRunning}, t.called("erase", by)
}

func (t *Tenants) EraseTenant(_ context.Context, id schemas.Tenant, by string) (control.Erasure, error) {
	if id == "unknown" {
		return control.Erasure{}, control.ErrUnknownTenant
	}
	at := t.now()
	return control.Erasure{ID: "e-2", At: at, State: control.ErasureDone, Stores: []control.Store{{Store: "clickhouse", GoneBy: &at}}}, t.called("erase tenant", by)
}

func (t *Tenants) Erasures(context.Context, schemas.Tenant) ([]control.Erasure, error) {
	return []control.Erasure{{ID: "e-1", UserID: "u-9", At: t.now(), State: control.ErasureDone}}, t.called("erasures", "")
}

// Reads is a read model of rows that a test puts there, newest first.
type Reads struct {
	Err        error
	Last       control.Query // that was asked
	Activities []control.Activity
	EventRows  []control.Event
	ChangeRows []control.Change
	Refused    []control.Delivery
	From, To   time.Time // of the last summary
	Zone       string
}

var _ api.Reads = (*Reads)(nil)

// after are the rows of a page.
func after[T any](q control.Query, rows []T, at func(T) control.Position) []T {
	var page []T
	for _, r := range rows {
		p := at(r)
		if q.After != nil && (p.At.After(q.After.At) || p.At.Equal(q.After.At) && bytes.Compare(p.ID[:], q.After.ID[:]) >= 0) {
			continue
		}
		if len(page) < q.Limit {
			page = append(page, r)
		}
	}
	return page
}

func parseID(s string) schemas.ID { id, _ := schemas.ParseID(s); return id }

func (r *Reads) Timeline(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Activity, error) {
	r.Last = q
	return after(q, r.Activities, func(a control.Activity) control.Position {
		return control.Position{At: a.OccurredAt, ID: parseID(a.ID)}
	}), r.Err
}

func (r *Reads) Events(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Event, error) {
	r.Last = q
	return after(q, r.EventRows, func(a control.Event) control.Position { return control.Position{At: a.ReceivedAt, ID: parseID(a.ID)} }), r.Err
}

func (r *Reads) Explain(_ context.Context, _ schemas.Tenant, event schemas.ID) (control.Explanation, error) {
	for _, e := range r.EventRows {
		if e.ID == event.String() {
			return control.Explanation{
				Outcome: e, Arrivals: 1, FirstReceivedAt: e.ReceivedAt,
				Facts:   &schemas.Event{ID: event, Tenant: "acme", Kind: e.Kind, Ticket: e.Ticket, OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt, EventTime: e.OccurredAt},
				Mapping: &control.MappingAt{Agent: e.Agent, At: e.ReceivedAt},
			}, r.Err
		}
	}
	return control.Explanation{}, control.ErrUnknownEvent
}

func (r *Reads) Summary(_ context.Context, _ schemas.Tenant, from, to time.Time, zone *time.Location) (control.Summary, error) {
	r.From, r.To, r.Zone = from, to, zone.String()
	return control.Summary{}, r.Err
}

func (r *Reads) Deliveries(_ context.Context, _ schemas.Tenant, limit int) ([]control.Delivery, error) {
	r.Last.Limit = limit
	return r.Refused[:min(limit, len(r.Refused))], r.Err
}

func (r *Reads) Changes(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Change, error) {
	r.Last = q
	return after(q, r.ChangeRows, func(a control.Change) control.Position { return control.Position{At: a.At, ID: parseID(a.ID)} }), r.Err
}
