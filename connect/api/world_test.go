package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/schemas"
)

// world is an API over fakes of what does the work.
type world struct {
	*testing.T
	now      time.Time
	log      *bytes.Buffer
	registry *prometheus.Registry
	keyset   string
	file     string // the tokens
	token    schemas.Secret
	tenants  *tenants
	reads    *reads
	api      *api.API
}

func newWorld(t *testing.T, edits ...func(*api.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		T: t, now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), log: new(bytes.Buffer), registry: prometheus.NewRegistry(),
		keyset: filepath.Join(dir, "keyset"), file: filepath.Join(dir, "tokens"),
	}
	w.tenants, w.reads = newTenants(w), &reads{w: w}
	if err := vault.NewKeyset(w.keyset); err != nil {
		t.Fatal(err)
	}
	w.token = w.newToken(access.Grant{Name: "operator"})
	w.api = w.start(edits...)
	return w
}

// start starts an instance of the API.
func (w *world) start(edits ...func(*api.Config)) *api.API {
	w.Helper()
	follow := fresh.Options{Now: func() time.Time { return w.now }}
	sealer, err := vault.Open(w.keyset, follow)
	if err != nil {
		w.Fatal(err)
	}
	tokens, err := access.Open(w.file, follow)
	if err != nil {
		w.Fatal(err)
	}
	cfg := api.Config{
		Tenants: w.tenants, Reads: w.reads, Tokens: tokens, Sealer: sealer, Now: follow.Now,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Registry: w.registry,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	a, err := api.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) newToken(g access.Grant) schemas.Secret {
	w.Helper()
	token, err := access.New(w.file, g)
	if err != nil {
		w.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Second)
	return token
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem() control.Refusal {
	var e control.ErrorBody
	_ = json.Unmarshal(a.body, &e) // what is no error has no code
	return e.Error
}

// call makes a request of the API. Every answer is held to the document.
func (w *world) call(method, path, body string, edits ...func(*http.Request)) answer {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, "http://connect.example"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.token.Reveal())
	for _, edit := range edits {
		edit(r)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header(), rec.Body.Bytes()}
	if err := w.document().check(method, r.URL.Path, a); err != nil {
		w.Errorf("%s %s: the answer is not as the document says: %v\n%s", method, path, err, a.body)
	}
	return a
}

func as(token schemas.Secret) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Reveal()) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// want makes a request that must be answered with status, and reads the answer
// into out where that is not nil.
func (w *world) want(status int, method, path, body string, out any, edits ...func(*http.Request)) answer {
	w.Helper()
	a := w.call(method, path, body, edits...)
	if a.status != status {
		w.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			w.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return a
}

// refused makes a request that must be refused with status and code.
func (w *world) refused(status int, code, method, path, body string, edits ...func(*http.Request)) control.Refusal {
	w.Helper()
	a := w.call(method, path, body, edits...)
	p := a.problem()
	if a.status != status || p.Code != code || p.Message == "" {
		w.Errorf("%s %s %.80s: %d %s, want %d %s", method, path, body, a.status, a.body, status, code)
	}
	return p
}

func at(rest string) string { return "/v1/tenants/acme" + rest }

// tenants is what does the work, as far as the API can tell.
type tenants struct {
	w     *world
	mu    sync.Mutex
	err   error // what everything fails with
	ready error
	rows  []control.TenantRow
	conn  *control.Connection
	users []control.User
	by    []string // who called, and for what
	ag    []control.Agent
}

var _ api.Tenants = (*tenants)(nil)

func newTenants(w *world) *tenants {
	t := &tenants{w: w}
	for _, name := range []schemas.Tenant{"acme", "globex", "initech"} {
		t.rows = append(t.rows, control.TenantRow{Tenant: name, State: control.Active, TenantURL: "https://" + string(name) + ".halopsa.com"})
	}
	t.rows[1].State = control.Degraded
	t.conn = &control.Connection{Tenant: "acme", Connection: schemas.ConnectionIDOf("acme"), State: control.Active}
	user, since := schemas.UserID("u-2"), w.now
	t.ag = []control.Agent{
		{ID: 2, Name: "Ann", Email: "ann@acme.example", State: control.Matched, UserID: &user, Since: &since, MatchedBy: "email"},
		{ID: 3, Name: "Bob", State: control.Unmatched, Reason: control.NoEmail, Suggestions: []control.Suggestion{}},
		{ID: 42, Name: "Cid", Email: "cid@acme.example", State: control.Ignored, Reason: control.APIAgent},
	}
	t.users = []control.User{{ID: "u-1", Email: "x@acme.example"}, {ID: "u-2", Email: "ann@acme.example"}}
	return t
}

func (t *tenants) called(what, by string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by = append(t.by, strings.TrimSpace(what+" "+by))
	return cmp.Or(t.ready, t.err)
}

func (t *tenants) Ready() error { return t.ready }

func (t *tenants) All(context.Context) ([]control.TenantRow, error) {
	return slices.Clone(t.rows), t.called("all", "")
}

func (t *tenants) connection() control.Connection {
	if t.conn == nil {
		return control.Connection{}
	}
	return *t.conn
}

func (t *tenants) Connection(context.Context, schemas.Tenant) (control.Connection, error) {
	if t.conn == nil {
		return control.Connection{}, control.ErrNotConnected
	}
	return *t.conn, t.called("connection", "")
}

func (t *tenants) Connect(ctx context.Context, _ schemas.Tenant, by string, c control.Credentials) (control.Connection, bool, error) {
	created := t.conn == nil
	if created {
		t.conn = &control.Connection{Tenant: "acme", State: control.Active, TenantURL: c.TenantURL}
	}
	if err := ctx.Err(); err != nil {
		return control.Connection{}, false, err
	}
	return *t.conn, created, t.called("connect", by)
}

func (t *tenants) Refresh(_ context.Context, _ schemas.Tenant, by string) (control.Connection, error) {
	return t.connection(), t.called("refresh", by)
}

func (t *tenants) Reconnect(_ context.Context, _ schemas.Tenant, by string) (control.Connection, error) {
	return t.connection(), t.called("reconnect", by)
}

func (t *tenants) Disconnect(_ context.Context, _ schemas.Tenant, by string) error {
	return t.called("disconnect", by)
}

func (t *tenants) Diagnosis(context.Context, schemas.Tenant) (control.Diagnosis, error) {
	return control.Diagnosis{Questions: []control.Question{
		{ID: control.AgentsMissing, Finding: "x", NextStep: "y"},
		{ID: control.ActivityMissing, Finding: "x", NextStep: "y", Facts: map[string]any{"days": 7}},
		{ID: control.NoEvents, Finding: "x", NextStep: "y"},
	}}, t.called("diagnosis", "")
}

func (t *tenants) Users(context.Context, schemas.Tenant) ([]control.User, error) {
	return slices.Clone(t.users), t.called("users", "")
}

func (t *tenants) ChangeUsers(_ context.Context, _ schemas.Tenant, by string, c control.UsersChange) ([]control.User, int, error) {
	if err := c.Check(slices.Clone(t.users)); err != nil {
		return nil, 0, err
	}
	next := slices.Clone(t.users)
	if c.Replace {
		next = nil
	}
	for _, u := range c.Set {
		next = append(slices.DeleteFunc(next, func(o control.User) bool { return o.ID == u.ID }), u)
	}
	next = slices.DeleteFunc(next, func(o control.User) bool { return slices.Contains(c.Remove, o.ID) })
	slices.SortFunc(next, func(a, b control.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ended := max(0, len(t.users)-len(next))
	if ended > 1 && c.Ends != ended { // the rule of the real one has another number
		return nil, 0, &control.Refusal{Status: http.StatusConflict, Code: "would_end_mappings", Message: "It would end 2 mappings.", Ends: ended}
	}
	t.users = next
	return slices.Clone(next), ended, t.called("change users", by)
}

func (t *tenants) Agents(context.Context, schemas.Tenant) ([]control.Agent, error) {
	return slices.Clone(t.ag), t.called("agents", "")
}

func (t *tenants) Assign(_ context.Context, _ schemas.Tenant, by string, all []control.Assignment) ([]control.Assigned, error) {
	out := make([]control.Assigned, len(all))
	for i, a := range all {
		out[i] = t.assign(a)
	}
	return out, t.called("assign", by)
}

func (t *tenants) assign(a control.Assignment) control.Assigned {
	i := slices.IndexFunc(t.ag, func(g control.Agent) bool { return g.ID == a.Agent })
	if i < 0 {
		return control.Assigned{Agent: a.Agent, Error: control.ErrUnknownAgent}
	}
	g := &t.ag[i]
	switch {
	case a.User != "" && !slices.ContainsFunc(t.users, func(u control.User) bool { return u.ID == a.User }):
		return control.Assigned{Agent: a.Agent, State: g.State, UserID: g.UserID, Error: control.ErrUnknownUser}
	case a.User != "":
		g.State, g.UserID, g.MatchedBy, g.Reason, g.Suggestions = control.Matched, &a.User, "hand", "", nil
	default:
		g.State, g.UserID, g.MatchedBy, g.Reason, g.Suggestions = a.Set, nil, "", control.ByHand, nil
	}
	return control.Assigned{Agent: a.Agent, State: g.State, UserID: g.UserID}
}

func (t *tenants) History(_ context.Context, _ schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error) {
	if agent == 99 {
		return nil, control.ErrUnknownAgent
	}
	if agent == 3 {
		return nil, t.called("history", "")
	}
	return []control.Interval{{UserID: "u-2", From: t.w.now, By: "operator"}}, t.called("history", "")
}

func (t *tenants) Erase(_ context.Context, _ schemas.Tenant, by string, user schemas.UserID) (control.Erasure, error) {
	return control.Erasure{ID: "e-1", UserID: user, At: t.w.now, State: control.ErasureRunning}, t.called("erase", by)
}

func (t *tenants) EraseTenant(_ context.Context, id schemas.Tenant, by string) (control.Erasure, error) {
	if id == "unknown" {
		return control.Erasure{}, control.ErrUnknownTenant
	}
	return control.Erasure{ID: "e-2", At: t.w.now, State: control.ErasureDone, Stores: []control.Store{{Store: "clickhouse", GoneBy: &t.w.now}}}, t.called("erase tenant", by)
}

func (t *tenants) Erasures(context.Context, schemas.Tenant) ([]control.Erasure, error) {
	return []control.Erasure{{ID: "e-1", UserID: "u-9", At: t.w.now, State: control.ErasureDone}}, t.called("erasures", "")
}

// reads is a read model of rows that a test puts there, newest first.
type reads struct {
	w          *world
	err        error
	last       control.Query
	activities []control.Activity
	events     []control.Event
	changes    []control.Change
	from, to   time.Time
	zone       string
}

var _ api.Reads = (*reads)(nil)

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

func (r *reads) Timeline(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Activity, error) {
	r.last = q
	return after(q, r.activities, func(a control.Activity) control.Position {
		return control.Position{At: a.OccurredAt, ID: parseID(a.ID)}
	}), r.err
}

func (r *reads) Events(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Event, error) {
	r.last = q
	return after(q, r.events, func(a control.Event) control.Position { return control.Position{At: a.ReceivedAt, ID: parseID(a.ID)} }), r.err
}

func (r *reads) Explain(_ context.Context, _ schemas.Tenant, event schemas.ID) (control.Explanation, error) {
	for _, e := range r.events {
		if e.ID == event.String() {
			return control.Explanation{
				Outcome: e, Arrivals: 1, FirstReceivedAt: e.ReceivedAt,
				Facts:   &schemas.Event{ID: event, Tenant: "acme", Kind: e.Kind, Ticket: e.Ticket, OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt, EventTime: e.OccurredAt},
				Mapping: &control.MappingAt{Agent: e.Agent, At: e.ReceivedAt},
			}, r.err
		}
	}
	return control.Explanation{}, control.ErrUnknownEvent
}

func (r *reads) Summary(_ context.Context, _ schemas.Tenant, from, to time.Time, zone *time.Location) (control.Summary, error) {
	r.from, r.to, r.zone = from, to, zone.String()
	return control.Summary{}, r.err
}

func (r *reads) Deliveries(_ context.Context, _ schemas.Tenant, limit int) ([]control.Delivery, error) {
	r.last.Limit = limit
	return []control.Delivery{{At: r.w.now, Result: "malformed", Bytes: 12}}, r.err
}

func (r *reads) Changes(_ context.Context, _ schemas.Tenant, q control.Query) ([]control.Change, error) {
	r.last = q
	return after(q, r.changes, func(a control.Change) control.Position { return control.Position{At: a.At, ID: parseID(a.ID)} }), r.err
}
