package care

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Connect makes or replaces the tenant's connection. created says that there was
// none. In this order:
//
//  1. Ask Halo: token, agents, catalogue. The tenant's turn is not taken yet, and
//     nothing has changed when that fails.
//  2. Register the webhook: see register. It fails whole, and takes back what it
//     did.
//  3. Save, tell the edge the new webhook, map the agents, say who did it. A crash
//     before it leaves a webhook in Halo that the repeat removes, and a verifier at
//     the edge that the next term withdraws; credentials are nowhere. A crash in
//     the middle of it is healed by the next term, from what was saved.
//  4. Remove the webhooks that the new one replaces. A crash before it, or a
//     failure, is noted in what was saved: the health check tries again.
//
// With the credentials that it has, and a webhook that is as it should be, nothing
// of it is done.
func (c *Care) Connect(ctx context.Context, t schemas.Tenant, by string, in control.Credentials) (conn control.Connection, created bool, err error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	if created, err = c.connect(ctx, c.tenant(t), by, in); err != nil {
		return control.Connection{}, false, explain(err)
	}
	conn, err = c.Connection(ctx, t)
	return conn, created, err
}

func (c *Care) connect(ctx context.Context, tn *tenant, by string, in control.Credentials) (created bool, err error) {
	snap, err := c.snapshot(tn.id)
	if err != nil {
		return false, err
	}
	if snap.Sealed != nil && !in.ReplaceSealed {
		return false, snap.Sealed
	}
	cred := ledger.Credentials{TenantURL: in.TenantURL, ClientID: in.ClientID, ClientSecret: schemas.Secret(in.ClientSecret)}
	if strings.TrimSpace(in.CABundle) != "" {
		cred.CABundle = []byte(in.CABundle)
	}
	halo, err := c.cfg.Dial(tn.id, cred)
	if err != nil {
		return false, err
	}
	taken := false
	defer func() {
		if !taken {
			halo.Close()
		}
	}()
	cred.TenantURL = halo.BaseURL() // as it was understood, not as it was pasted
	if snap.Connected() && snap.TenantURL != cred.TenantURL {
		return false, control.ErrConnectedElsewhere
	}
	control.Progress(ctx, control.StepSignIn)
	if err := halo.Authenticate(ctx); err != nil {
		return false, err
	}
	control.Progress(ctx, control.StepAgents)
	if snap.Connected() && same(*snap.Credentials, cred) && c.whole(ctx, halo, snap) {
		if snap.Findings.Failure == nil {
			return false, nil
		}
		// It could not be asked, and can: that is all there is to change.
		return false, c.relist(ctx, tn, by, schemas.ChangeConnect)
	}
	agents, agentsErr := halo.Agents(ctx)
	if agentsErr != nil && !tolerable(agentsErr) {
		return false, agentsErr
	}
	cat, err := halo.EventCatalogue(ctx)
	if err != nil {
		return false, err
	}

	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return false, err
	}
	defer turn.Back()
	snap = turn.Snapshot()
	if snap.Sealed != nil && !in.ReplaceSealed {
		return false, snap.Sealed
	}
	if snap.Connected() && snap.TenantURL != cred.TenantURL {
		return false, control.ErrConnectedElsewhere
	}
	base := *snap // what the new state grows from
	if snap.Sealed != nil {
		base.Agents, base.Hand = match.Rescued(snap.Mappings)
		if snap.Published != nil { // what the lost record bound, as far as the edge knows it
			base.Notifications = snap.Published.Notifications
		}
	}
	mappings := snap.Mappings
	if snap.TenantURL != "" && snap.TenantURL != cred.TenantURL {
		// Another Halo numbers other people; but see Recognised.
		base.Hand, base.Ignored, base.Kept = match.Recognised(snap.State, listed(agents)), nil, nil
		base.Agents, base.ListedAt, base.Replaced, mappings = nil, time.Time{}, nil, nil
	}
	next := base.State
	next.Credentials, next.TenantURL = &cred, cred.TenantURL
	next.Findings = ledger.Findings{Agents: failureOf(agentsErr), Since: snap.Findings.Since}
	if snap.TenantURL == cred.TenantURL {
		next.LeftInHalo = nil // what is left there is removed with the strays
	}
	if !snap.Connected() {
		next.ConnectedAt = schemas.Truncate(c.now())
	}
	if len(agents) > 0 {
		next.ListedAt = schemas.Truncate(c.now())
		next.Agents = match.Listed(&base, listed(agents), agentsErr == nil)
	}
	tn.registering.Add(1)
	defer tn.registering.Add(1)
	control.Progress(ctx, control.StepWebhook)
	if next, err = c.register(ctx, tn, turn, halo, cat, next); err != nil {
		return false, err
	}
	control.Progress(ctx, control.StepMatching)
	want := match.New(next, mappings).Desired()
	if err := c.settle(ctx, tn, turn, halo, next, schemas.Change{By: by, Change: schemas.ChangeConnect}, want); err != nil {
		return false, err
	}
	tn.settled(cred.TenantURL)
	tn.mu.Lock()
	if tn.halo != nil {
		tn.halo.Close()
	}
	tn.halo, tn.with = halo, turn.Snapshot().Credentials
	tn.mu.Unlock()
	taken = true
	return !snap.Connected() && snap.Sealed == nil, nil
}

// whole says whether the connection is as a connect would make it.
func (c *Care) whole(ctx context.Context, halo Halo, s *ledger.Snapshot) bool {
	if s.Untidy || s.Findings.Agents != nil && halopsa.Cause(s.Findings.Agents.Cause) != halopsa.ListIncomplete {
		return false
	}
	hook, err := halo.Webhook(ctx, s.WebhookID)
	if err != nil {
		return false
	}
	f := s.Findings
	c.look(&f, hook, s)
	return active(f) && compare(hook.URL, c.webhookURL(s.Tenant)) == exact && len(f.Events) == len(schemas.Kinds())
}

// same says whether two sets of credentials are one, but for what is pasted along
// with them.
func same(a, b ledger.Credentials) bool {
	trim := strings.TrimSpace
	return a.TenantURL == b.TenantURL && trim(a.ClientID) == trim(b.ClientID) &&
		trim(a.ClientSecret.Reveal()) == trim(b.ClientSecret.Reveal()) && trim(string(a.CABundle)) == trim(string(b.CABundle))
}

// tolerable failures of the list of agents are problems of a connection, and no
// reason to refuse it.
func tolerable(err error) bool {
	cause := halopsa.CauseOf(err)
	return cause == halopsa.RoleCannotSeeAgents || cause == halopsa.ListIncomplete
}

// listed are Halo's agents as they are kept.
func listed(agents []halopsa.Agent) []ledger.Agent {
	out := make([]ledger.Agent, len(agents))
	for i, a := range agents {
		out[i] = ledger.Agent{ID: a.ID, Name: a.Name, Email: a.Email, Disabled: a.Disabled, API: a.API}
	}
	return out
}

// Reconnect registers a new webhook with a fresh secret.
func (c *Care) Reconnect(ctx context.Context, t schemas.Tenant, by string) (control.Connection, error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	if err := c.reconnect(ctx, c.tenant(t), by); err != nil {
		return control.Connection{}, explain(err)
	}
	return c.Connection(ctx, t)
}

func (c *Care) reconnect(ctx context.Context, tn *tenant, by string) error {
	snap, halo, err := c.connected(tn)
	if err != nil {
		return err
	}
	if err := halo.Authenticate(ctx); err != nil {
		return c.note(ctx, tn, snap, err, by)
	}
	cat, err := halo.EventCatalogue(ctx)
	if err != nil {
		return err
	}
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return err
	}
	defer turn.Back()
	now := turn.Snapshot()
	if !now.Connected() {
		return control.ErrNotConnected
	}
	if now.Credentials != snap.Credentials { // replaced meanwhile: what was asked is of another
		return errBusy
	}
	next := now.State
	next.Findings = ledger.Findings{Agents: now.Findings.Agents, Since: now.Findings.Since}
	tn.registering.Add(1)
	defer tn.registering.Add(1)
	if next, err = c.register(ctx, tn, turn, halo, cat, next); err != nil {
		return err
	}
	return c.settle(ctx, tn, turn, halo, next, schemas.Change{By: by, Change: schemas.ChangeReconnect}, match.New(next, now.Mappings).Desired())
}

// connected is the tenant and the client for its Halo, for operations that need a
// connection.
func (c *Care) connected(tn *tenant) (*ledger.Snapshot, Halo, error) {
	snap, err := c.snapshot(tn.id)
	if err != nil {
		return nil, nil, err
	}
	if snap.Sealed != nil {
		return nil, nil, snap.Sealed
	}
	if !snap.Connected() {
		return nil, nil, control.ErrNotConnected
	}
	halo, err := c.client(tn, snap.Credentials)
	return snap, halo, err
}

// settle saves what was registered and does what follows from it: steps 3 and 4 of
// Connect.
func (c *Care) settle(ctx context.Context, tn *tenant, turn *ledger.Turn, halo Halo, next ledger.State, did schemas.Change, want map[schemas.AgentID]schemas.UserID) error {
	before := turn.Snapshot()
	former := before.WebhookID
	if former == "" && before.Published != nil {
		former = before.Published.WebhookID // of a sealed tenant the edge knows more than we do
	}
	if former != "" && !strings.EqualFold(former, next.WebhookID) {
		next.Replaced = append(slices.Clone(next.Replaced), former)
	}
	next.Replaced = append(next.Replaced, tn.leftAt(next.TenantURL, before.State)...)
	next.Leaving = elsewhereThan(next.TenantURL, before.Leaving)
	next.Untidy = true
	conn := next.Connection(tn.id)
	change := ledger.Change{State: &next, Unseal: before.Sealed != nil, Publish: &conn}
	did.Result = "ok"
	change.Audit = append([]schemas.Change{did}, c.turned(before, &next, did.By)...)
	c.assign(&change, before, want, did.By)
	after, err := turn.Apply(change)
	if err != nil {
		if after.WebhookID == next.WebhookID {
			return err // it is saved, and the rest follows with the next term
		}
		return c.undo(ctx, tn, turn, halo, next, before.Published, err)
	}
	return c.tidy(ctx, tn, turn, halo)
}

// assign makes the mappings what they should be a part of the change, and says so.
func (c *Care) assign(change *ledger.Change, s *ledger.Snapshot, want map[schemas.AgentID]schemas.UserID, by string) (changed []schemas.Mapping) {
	changed = match.Changes(s, want, c.now(), by)
	if len(changed) == 0 {
		return nil
	}
	change.Map = func(at time.Time) []schemas.Mapping { return match.Changes(s, want, at, by) }
	for _, m := range changed {
		said := schemas.Change{By: by, Change: schemas.ChangeMap, Agent: m.Agent, Result: "ok"}
		if cur, open := m.Current(); open {
			said.User = cur.User
		} else {
			was, _ := s.Mapped(m.Agent)
			said.Change, said.User = schemas.ChangeUnmap, was.User
		}
		change.Audit = append(change.Audit, said)
	}
	return changed
}

// tidy removes webhooks of ours that are not the current one. That Halo refuses is
// no failure of the operation.
func (c *Care) tidy(ctx context.Context, tn *tenant, turn *ledger.Turn, halo Halo) error {
	s := turn.Snapshot().State
	if err := c.sweep(ctx, turn, halo, tn.id, s.WebhookID, s.Replaced...); err != nil {
		if standby(err) {
			return err
		}
		c.log.Warn("old webhooks are left in Halo, trying again with the next health check", "tenant", tn.id, "err", err)
		return nil
	}
	s.Untidy, s.Replaced = false, nil
	_, err := turn.Apply(ledger.Change{State: &s})
	return err
}

// kindOf is the kind of an event that is bound to the webhook; ok is false for
// events that we do not ask for.
func kindOf(s ledger.State, n halopsa.Notification) (kind schemas.Kind, ok bool) {
	if kind, ok = s.Notifications[n.ID]; ok {
		return kind, true
	}
	for kind, number := range s.Numbers {
		if number == n.Event {
			return kind, true
		}
	}
	return "", false
}

// mostNotifications bounds what the edge has to know of a tenant whose
// administrators keep binding events.
const mostNotifications = 32

// withBound returns the state with the notifications among events that are not
// known yet: an administrator has bound them. news is false where there are none.
func withBound(s ledger.State, events []halopsa.Notification) (next ledger.State, news bool) {
	all := make(map[int64]schemas.Kind, len(s.Notifications))
	maps.Copy(all, s.Notifications)
	for _, n := range events {
		kind, ok := kindOf(s, n)
		if _, known := all[n.ID]; ok && !known && n.ID > 0 && len(all) < mostNotifications {
			all[n.ID], news = kind, true
		}
	}
	s.Notifications = all
	return s, news
}
