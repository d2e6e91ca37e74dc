package connect

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// connectionBody is the connection as the API shows it.
type connectionBody struct {
	Tenant         schemas.Tenant       `json:"tenant"`
	Connection     schemas.ConnectionID `json:"connection"`
	State          string               `json:"state"`
	TenantURL      string               `json:"tenant_url"`
	Webhook        webhookBody          `json:"webhook"`
	Agents         agentCounts          `json:"agents"`
	LastDeliveryAt *time.Time           `json:"last_delivery_at"`
	ConnectedAt    *time.Time           `json:"connected_at"`
	Problems       []Problem            `json:"problems"`
}

type webhookBody struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	URL       string         `json:"url"`
	Active    bool           `json:"active"`
	Events    []schemas.Kind `json:"events"`
	CheckedAt *time.Time     `json:"checked_at"`
}

type agentCounts struct {
	Total     int `json:"total"`
	Matched   int `json:"matched"`
	Unmatched int `json:"unmatched"`
	Ignored   int `json:"ignored"`
}

// agentBody is an agent as the API shows it.
type agentBody struct {
	ID     schemas.AgentID `json:"agent_id"`
	Name   string          `json:"name"`
	Email  string          `json:"email"`
	State  string          `json:"state"`
	UserID *schemas.UserID `json:"user_id"`
	Since  *time.Time      `json:"since"`
}

func (s *snapshot) agentBody(a Agent) agentBody {
	b := agentBody{ID: a.ID, Name: a.Name, Email: a.Email}
	cur, mapped := s.mappings[a.ID].Current()
	if mapped {
		b.UserID, b.Since = &cur.User, stamp(cur.From)
	}
	b.State = agentState(a, mapped)
	return b
}

func (s *snapshot) counts() agentCounts {
	var n agentCounts
	for _, a := range s.Agents {
		_, mapped := s.mapped(a.ID)
		n.Total++
		switch agentState(a, mapped) {
		case Matched:
			n.Matched++
		case Unmatched:
			n.Unmatched++
		default:
			n.Ignored++
		}
	}
	return n
}

// show is the connection's body. last is the last delivery, zero where it is
// not known.
func (c *Connect) show(s *snapshot, last time.Time) connectionBody {
	state, problems := judge(s.state)
	b := connectionBody{
		Tenant: s.tenant, Connection: schemas.ConnectionIDOf(s.tenant), State: state, TenantURL: s.TenantURL,
		Webhook:        webhookBody{Name: WebhookName, URL: c.webhookURL(s.tenant), Events: []schemas.Kind{}},
		LastDeliveryAt: stamp(last), ConnectedAt: stamp(s.ConnectedAt), Problems: append([]Problem{}, problems...),
	}
	if s.connected() {
		b.Agents = s.counts()
		b.Webhook.ID, b.Webhook.Active = s.WebhookID, s.Findings.active()
		b.Webhook.Events = append([]schemas.Kind{}, s.Findings.Events...)
		b.Webhook.CheckedAt = stamp(s.Findings.At)
	}
	return b
}

// connection is the answer of every route that answers the connection.
func (c *Connect) connection(r *request, status int) (int, any, error) {
	snap, err := r.snapshot()
	if err != nil {
		return 0, nil, err
	}
	if !snap.known() {
		return 0, nil, ErrNotConnected
	}
	return status, c.show(snap, c.lastDelivery(r.Context(), r.tenant)), nil
}

func (c *Connect) getConnection(r *request) (int, any, error) {
	return c.connection(r, http.StatusOK)
}

func (c *Connect) putConnection(r *request) (int, any, error) {
	var in struct {
		TenantURL    string         `json:"tenant_url"`
		ClientID     string         `json:"client_id"`
		ClientSecret schemas.Secret `json:"client_secret"`
		CABundle     string         `json:"ca_bundle"`
	}
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if strings.TrimSpace(in.TenantURL) == "" || strings.TrimSpace(in.ClientID) == "" || strings.TrimSpace(in.ClientSecret.Reveal()) == "" {
		return 0, nil, refuse(http.StatusBadRequest, "invalid_request", "tenant_url, client_id and client_secret are needed.")
	}
	cred := Credentials{TenantURL: in.TenantURL, ClientID: in.ClientID, ClientSecret: in.ClientSecret, CABundle: []byte(in.CABundle)}
	status := http.StatusOK
	err := r.change(func(ctx context.Context, tn *tenant) error {
		made, err := r.term.connect(ctx, tn, cred)
		if made {
			status = http.StatusCreated
		}
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return c.connection(r, status)
}

func (c *Connect) deleteConnection(r *request) (int, any, error) {
	if err := r.existing(); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, r.change(r.term.disconnect)
}

func (c *Connect) postRefresh(r *request) (int, any, error) {
	if err := r.existing(); err != nil {
		return 0, nil, err
	}
	if err := r.change(r.term.refresh); err != nil {
		return 0, nil, err
	}
	return c.connection(r, http.StatusOK)
}

func (c *Connect) postReconnect(r *request) (int, any, error) {
	if err := r.existing(); err != nil {
		return 0, nil, err
	}
	if err := r.change(r.term.reconnect); err != nil {
		return 0, nil, err
	}
	return c.connection(r, http.StatusOK)
}

// existing refuses a tenant that never had a connection before anything is made
// for it.
func (r *request) existing() error {
	snap, err := r.snapshot()
	if err == nil && !snap.known() {
		return ErrNotConnected
	}
	return err
}

func (c *Connect) getTenants(r *request) (int, any, error) {
	type row struct {
		Tenant schemas.Tenant `json:"tenant"`
		State  string         `json:"state"`
	}
	rows := []row{}
	for _, tn := range r.term.all() {
		snap := tn.seen.Load()
		if snap.known() && r.grant.Allows(tn.id) {
			state, _ := judge(snap.state)
			rows = append(rows, row{tn.id, state})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(string(a.Tenant), string(b.Tenant)) })
	return http.StatusOK, map[string]any{"tenants": rows}, nil
}

// maxUserID is the longest user id, in bytes.
const maxUserID = 200

func (c *Connect) putUsers(r *request) (int, any, error) {
	users := []User{}
	if err := decode(r, &users); err != nil {
		return 0, nil, err
	}
	if users == nil { // null
		return 0, nil, refuse(http.StatusBadRequest, "invalid_json", "An array of users is needed; [] empties the directory.")
	}
	ids := make(map[schemas.UserID]bool, len(users))
	for i, u := range users {
		if u.ID == "" || len(u.ID) > maxUserID {
			return 0, nil, refuse(http.StatusBadRequest, "invalid_user", "Entry "+strconv.Itoa(i)+": user_id is 1 to 200 bytes.")
		}
		ids[u.ID] = true
	}
	err := r.change(func(ctx context.Context, tn *tenant) error { return r.term.replaceUsers(ctx, tn, users) })
	return http.StatusOK, map[string]int{"users": len(ids)}, err
}

func (c *Connect) getAgents(r *request) (int, any, error) {
	snap, err := r.snapshot()
	if err != nil {
		return 0, nil, err
	}
	if !snap.connected() {
		return 0, nil, ErrNotConnected
	}
	agents := make([]agentBody, len(snap.Agents))
	for i, a := range snap.Agents {
		agents[i] = snap.agentBody(a)
	}
	return http.StatusOK, map[string]any{"agents": agents}, nil
}

// agent reads the agent's id from the path.
func (r *request) agent() (schemas.AgentID, error) {
	n, err := strconv.ParseUint(r.PathValue("agent"), 10, 64)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "invalid_agent", "An agent's id is Halo's, a whole number.")
	}
	if !schemas.AgentID(n).Person() {
		return 0, ErrNoAgent // 0 and 1 are nobody
	}
	return schemas.AgentID(n), nil
}

func (c *Connect) putAgentUser(r *request) (int, any, error) {
	agent, err := r.agent()
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		UserID schemas.UserID `json:"user_id"`
	}
	if err := decode(r, &in); err != nil {
		return 0, nil, err
	}
	if in.UserID == "" || len(in.UserID) > maxUserID {
		return 0, nil, refuse(http.StatusBadRequest, "invalid_user", "user_id is 1 to 200 bytes.")
	}
	if err := r.assign(agent, in.UserID); err != nil {
		return 0, nil, err
	}
	snap, err := r.snapshot()
	if err != nil {
		return 0, nil, err
	}
	a, _ := snap.agent(agent)
	return http.StatusOK, snap.agentBody(a), nil
}

func (c *Connect) deleteAgentUser(r *request) (int, any, error) {
	agent, err := r.agent()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, r.assign(agent, "")
}

func (r *request) assign(agent schemas.AgentID, user schemas.UserID) error {
	if err := r.existing(); err != nil {
		return err
	}
	return r.change(func(ctx context.Context, tn *tenant) error { return r.term.mapByHand(ctx, tn, agent, user) })
}
