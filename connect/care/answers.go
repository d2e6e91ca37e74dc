package care

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// All are the tenants of which anything is known, by name. Nobody is asked.
func (c *Care) All(context.Context) ([]control.TenantRow, error) {
	if err := c.Ready(); err != nil {
		return nil, err
	}
	all, err := c.cfg.Ledger.All()
	if err != nil {
		return nil, explain(err)
	}
	rows := []control.TenantRow{}
	for _, s := range all {
		if !s.Known() {
			continue
		}
		v := c.judge(s)
		row := control.TenantRow{Tenant: s.Tenant, State: v.state, TenantURL: s.TenantURL, LastDeliveryAt: stamp(c.arrivedAt(s.Tenant)), Problems: []string{}}
		if s.Connected() {
			row.Agents = match.Of(s).Count()
		}
		for _, p := range v.problems {
			row.Problems = append(row.Problems, p.Code)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b control.TenantRow) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return rows, nil
}

// Connection is how a tenant's connection stands.
func (c *Care) Connection(ctx context.Context, t schemas.Tenant) (control.Connection, error) {
	s, err := c.snapshot(t)
	if err != nil {
		return control.Connection{}, err
	}
	if !s.Known() {
		return control.Connection{}, control.ErrNotConnected
	}
	v := c.judge(s)
	conn := control.Connection{
		Tenant: t, Connection: schemas.ConnectionIDOf(t), State: v.state, TenantURL: s.TenantURL,
		Webhook:        control.Webhook{Name: WebhookName, URL: c.webhookURL(t), Events: []schemas.Kind{}},
		LastDeliveryAt: stamp(c.lastDelivery(ctx, t)), ConnectedAt: stamp(s.ConnectedAt), Problems: append([]control.Problem{}, v.problems...),
	}
	if s.Connected() {
		conn.Agents = match.Of(s).Count()
		conn.Webhook.ID, conn.Webhook.Active = s.WebhookID, active(s.Findings)
		conn.Webhook.Events = append(conn.Webhook.Events, s.Findings.Events...)
		conn.Webhook.CheckedAt = stamp(s.Findings.At)
	}
	return conn, nil
}

// heard is when a tenant's last event arrived, and when that was asked.
type heard struct{ asked, last time.Time }

const (
	// askAgain is how soon the read model is asked again for a tenant's last
	// delivery: a page that looks every second needs no more.
	askAgain = time.Second

	// askPatience is how long an answer waits for it.
	askPatience = 2 * time.Second
)

// lastDelivery is when the tenant's last event arrived; zero where none did, or
// where that cannot be told now.
func (c *Care) lastDelivery(ctx context.Context, t schemas.Tenant) time.Time {
	now := c.now()
	c.mu.Lock()
	h, ok := c.heard[t]
	c.mu.Unlock()
	if ok && now.Sub(h.asked) < askAgain {
		return h.last
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	last, err := c.cfg.Outcomes.LastDelivery(ctx, t)
	if err != nil {
		c.log.Debug("the last delivery cannot be read", "tenant", t, "err", err)
		return h.last
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard[t] = heard{now, last}
	return last
}

// arrivedAt is when the tenant's last event arrived, as the last reading of all
// tenants said.
func (c *Care) arrivedAt(t schemas.Tenant) time.Time {
	if all := c.arrived.Load(); all != nil {
		return (*all)[t]
	}
	return time.Time{}
}

// Users is the directory, by user; none for a tenant that was given none.
func (c *Care) Users(_ context.Context, t schemas.Tenant) ([]control.User, error) {
	s, err := c.open(t)
	if err != nil {
		return nil, err
	}
	return match.Users(s.Users), nil
}

// Agents are all agents, by id.
func (c *Care) Agents(_ context.Context, t schemas.Tenant) ([]control.Agent, error) {
	s, err := c.open(t)
	if err != nil {
		return nil, err
	}
	if !s.Connected() {
		return nil, control.ErrNotConnected
	}
	m := match.Of(s)
	agents := make([]control.Agent, len(s.Agents))
	for i, a := range s.Agents {
		agents[i] = m.Agent(a)
	}
	return agents, nil
}

// History is whom an agent was mapped to, newest first.
func (c *Care) History(_ context.Context, t schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error) {
	s, err := c.snapshot(t)
	if err != nil {
		return nil, err
	}
	m, mapped := s.Mappings[agent]
	if _, listed := s.Agent(agent); !mapped && !listed {
		return nil, control.ErrUnknownAgent
	}
	return control.Intervals(m), nil
}

// open is the tenant where it is not sealed.
func (c *Care) open(t schemas.Tenant) (*ledger.Snapshot, error) {
	s, err := c.snapshot(t)
	if err == nil && s.Sealed != nil {
		err = control.ErrSealed
	}
	return s, err
}

// stamp is a time as the API shows it: in UTC, null where there is none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = schemas.Truncate(t)
	return &t
}
