package care

import (
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// listEvery is how often agents are listed without anybody asking.
	listEvery = 24 * time.Hour

	// listAgain is how soon agents are listed again because an event named one
	// that nobody listed.
	listAgain = 5 * time.Minute

	// What is left of a tenant's allowance of requests for those who change
	// something and wait for it: a connect takes some 25, and one more for every
	// 50 agents. Health checks of a connection that is checked every few seconds,
	// or a page that keeps asking for the diagnosis, would use up all of it, and a
	// disconnect could not even remove its webhook.
	leftByChecks    = 50
	leftByDiagnoses = 40
)

// look takes in what Halo says about the webhook.
func (c *Care) look(f *ledger.Findings, w halopsa.Webhook, s *ledger.Snapshot) {
	f.At = schemas.Truncate(c.now())
	f.Failure, f.Failed, f.Gone = nil, 0, false
	f.Inactive = !w.Active || w.Disabled
	f.Elsewhere = compare(w.URL, c.webhookURL(s.Tenant)) == elsewhere
	f.AutoDisabledAt, f.LastStatus = w.AutoDisabledAt, w.LastStatus
	if !f.Inactive {
		f.SeenOff = w.AutoDisabledAt
	}
	f.Events = nil
	for _, kind := range schemas.Kinds() {
		if slices.ContainsFunc(w.Events, func(n halopsa.Notification) bool { k, ok := kindOf(s.State, n); return ok && k == kind }) {
			f.Events = append(f.Events, kind)
		}
	}
}

// offByHalo says whether it was Halo that switched the webhook off: it keeps the
// date, and the date is later than the one that was known when the webhook was
// last seen on. Anything else is a person's doing.
func offByHalo(f ledger.Findings) bool { return f.Inactive && f.AutoDisabledAt.After(f.SeenOff) }

// mayAsk says whether the tenant's Halo may be asked by something that must leave
// that many requests.
func (c *Care) mayAsk(tn *tenant, s *ledger.Snapshot, leave int) bool {
	halo, err := c.client(tn, s.Credentials)
	return err != nil || halo.Left() > leave
}

// seen is what a look at Halo found. Nothing of it is saved yet.
type seen struct {
	ledger.Findings
	hook   halopsa.Webhook
	looked bool // hook was read
	failed bool // Failure is new, and not what was known before
	agents []halopsa.Agent
	listed bool // agents were read; Findings.Agents says whether they are whole
}

// inspect asks Halo: is the token still granted, with all scopes, how is the
// webhook, and, where they are wanted, who are the agents. It holds nobody's turn.
func (c *Care) inspect(ctx context.Context, tn *tenant, s *ledger.Snapshot, agents bool) (found seen, err error) {
	found.Findings = s.Findings
	halo, err := c.client(tn, s.Credentials)
	if err == nil {
		// Anew each time: a token at hand stays good for an hour after the secret
		// was replaced or a scope taken away.
		err = halo.Authenticate(ctx)
	}
	if err == nil {
		found.hook, err = halo.Webhook(ctx, s.WebhookID)
	}
	switch cause := halopsa.CauseOf(err); {
	case err == nil:
		found.looked = true
		c.look(&found.Findings, found.hook, s)
	case cause == halopsa.NotFound:
		found.At, found.Failure, found.Failed = schemas.Truncate(c.now()), nil, 0
		found.Gone, found.Events = true, nil
		err = nil
	case cause == halopsa.RateLimited, cause == "":
		// Nothing was learnt: Halo is there, or we were interrupted.
		return found, err
	default:
		found.Failure, found.failed = failureOf(err), true
		// That the webhook may not be read says nothing about the agents.
		if cause != halopsa.PermissionMissing {
			return found, err
		}
	}
	if agents {
		list, listErr := halo.Agents(ctx)
		switch {
		case listErr == nil, tolerable(listErr):
			found.Findings.Agents = failureOf(listErr)
			found.agents, found.listed = list, len(list) > 0
		case err == nil:
			err = listErr
		}
	}
	return found, err
}

// check looks at one connection, and does what follows: repairs, lists agents,
// tidies. What was found of a webhook that has been replaced meanwhile is dropped.
// The caller has made the tenant busy.
func (c *Care) check(ctx context.Context, tn *tenant) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	c.leaveLater(ctx, tn)
	before, err := c.snapshot(tn.id)
	if err != nil || before.Sealed != nil {
		return
	}
	var found seen
	if before.Connected() {
		if !c.mayAsk(tn, before, leftByChecks) {
			return
		}
		wanted := c.agentsDue(tn, before)
		if wanted {
			tn.listed = c.now()
		}
		found, _ = c.inspect(ctx, tn, before, wanted) // found says it all
		if ctx.Err() != nil && c.cfg.Ledger.Ready() != nil {
			return
		}
		if found.failed {
			found.Failed = before.Findings.Failed + 1
		}
		c.metrics.check(found.Failure)
		if now := c.now(); !now.Before(tn.listen) {
			tn.listen = now.Add(min(30*time.Minute, 6*c.cfg.HealthInterval))
			if since, ok := c.silence(ctx, tn.id); ok {
				found.SilentSince = since
			}
		}
	} else if !before.Stale() {
		return
	}
	if err := c.takeIn(ctx, tn, before, found, schemas.ByConnector, nil); err != nil {
		c.log.Warn("what a health check found was not saved", "tenant", tn.id, "err", err)
		return
	}
	if found.looked {
		c.tidyLater(ctx, tn)
	}
}

// agentsDue says whether the agents are to be listed: a day has passed, or an
// event named one that nobody listed since the last list.
func (c *Care) agentsDue(tn *tenant, s *ledger.Snapshot) bool {
	now := c.now()
	if now.Sub(tn.listed) < listAgain {
		return false
	}
	if now.Sub(s.ListedAt) >= listEvery && now.Sub(tn.listed) >= min(listEvery, 12*c.cfg.HealthInterval) {
		return true
	}
	return slices.ContainsFunc(c.skippedOf(tn.id), func(n AgentCount) bool {
		_, known := s.Agent(n.Agent)
		return !known && n.Agent.Person() && n.LastAt.After(s.ListedAt)
	})
}

// takeIn takes what was found into what is known of the tenant, in its turn: what
// can be repaired is, new agents are matched, and what changed is saved and said.
// did, where there is one, is the operation whose call it was.
func (c *Care) takeIn(ctx context.Context, tn *tenant, before *ledger.Snapshot, found seen, by string, did *schemas.Change) error {
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return err
	}
	defer turn.Back()
	now := turn.Snapshot()
	if now.WebhookID != before.WebhookID || now.Credentials != before.Credentials {
		return nil
	}
	next := now.State
	if now.Connected() {
		if !found.listed && found.Findings.Agents == before.Findings.Agents {
			found.Findings.Agents = now.Findings.Agents // another list in between knows better
		}
		found.Since = now.Findings.Since
		next.Findings = found.Findings
	}
	next, news := withBound(next, found.hook.Events)
	var audit []schemas.Change
	if found.looked {
		audit = c.repair(ctx, tn, turn, &next, found.hook)
	}
	if found.listed {
		next.ListedAt = schemas.Truncate(c.now())
		next.Agents = match.Listed(now, listed(found.agents), found.Findings.Agents == nil)
	}
	audit = append(audit, c.turned(now, &next, by)...)
	change := ledger.Change{State: &next, Audit: audit}
	var changed []schemas.Mapping
	if found.listed {
		changed = c.assign(&change, now, match.New(next, now.Mappings).Desired(), by)
	}
	newAgents := found.listed && !slices.Equal(next.Agents, now.Agents)
	if did != nil && (newAgents || len(change.Audit) > 0) {
		change.Audit = slices.Insert(change.Audit, 0, *did)
	}
	switch {
	case !sameFindings(next.Findings, now.Findings), news, now.Stale(), newAgents, len(changed) > 0, len(audit) > 0, found.listed && by == schemas.ByConnector:
	default:
		// Only the time of the look is new. It is shown and not written: a record
		// every five minutes for each tenant would say nothing.
		turn.Show(next)
		return nil
	}
	if news { // the edge knows their kinds by name until then
		conn := next.Connection(tn.id)
		change.Publish = &conn
	}
	was := c.judge(now).state
	after, err := turn.Apply(change)
	if err == nil {
		if is := c.judge(after).state; is != was {
			c.log.Info("connection changed", "tenant", tn.id, "state", is)
		}
	}
	return err
}

// sameFindings compares findings but for the time at which they were made: what is
// found again is not written again.
func sameFindings(f, g ledger.Findings) bool {
	sameFailure := func(a, b *ledger.Failure) bool { return a == b || a != nil && b != nil && *a == *b }
	// The first two checks that fail count; later ones say nothing new.
	return sameFailure(f.Failure, g.Failure) && min(f.Failed, failuresToTurn) == min(g.Failed, failuresToTurn) && sameFailure(f.Agents, g.Agents) &&
		f.Gone == g.Gone && f.Inactive == g.Inactive && f.Elsewhere == g.Elsewhere &&
		f.AutoDisabledAt.Equal(g.AutoDisabledAt) && f.SeenOff.Equal(g.SeenOff) && f.LastStatus == g.LastStatus && slices.Equal(f.Events, g.Events) &&
		f.SilentSince.Equal(g.SilentSince) && slices.EqualFunc(f.Repairs, g.Repairs, time.Time.Equal) && f.Corrected.Equal(g.Corrected)
}

// tidyLater removes the webhooks that a connect or a reconnect could not. Halo is
// asked without the tenant's turn.
func (c *Care) tidyLater(ctx context.Context, tn *tenant) {
	snap, err := c.snapshot(tn.id)
	if err != nil || !snap.Connected() || !snap.Untidy {
		return
	}
	halo, err := c.client(tn, snap.Credentials)
	if err != nil {
		return
	}
	// What looks like a stray of ours may be a webhook that is being registered.
	began := tn.registering.Load()
	hooks, err := halo.Webhooks(ctx)
	if err != nil || began%2 == 1 {
		return
	}
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return
	}
	defer turn.Back()
	if now := turn.Snapshot(); tn.registering.Load() != began || now.WebhookID != snap.WebhookID || len(hooks) == 0 {
		return
	}
	if err := c.tidy(ctx, tn, turn, halo); err != nil {
		c.log.Warn("webhooks were tidied and that was not saved", "tenant", tn.id, "err", err)
	}
}

// note keeps a failure of Halo that an operation met, so that the connection says
// it at once, and returns the failure. The state turns with the checks.
func (c *Care) note(ctx context.Context, tn *tenant, before *ledger.Snapshot, err error, by string) error {
	f := failureOf(err)
	if f == nil || halopsa.Cause(f.Cause) == halopsa.RateLimited {
		return err
	}
	found := seen{Findings: before.Findings}
	found.Failure = f
	if saveErr := c.takeIn(ctx, tn, before, found, by, nil); saveErr != nil {
		c.log.Warn("a failure of Halo was not saved", "tenant", tn.id, "err", saveErr)
	}
	return err
}

// Refresh lists the agents again and matches them, and looks at the webhook. A
// list that is empty or refused removes nobody and is said as a problem; another
// failure of Halo is the operation's.
func (c *Care) Refresh(ctx context.Context, t schemas.Tenant, by string) (control.Connection, error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	if err := c.relist(ctx, c.tenant(t), by, schemas.ChangeRefresh); err != nil {
		return control.Connection{}, explain(err)
	}
	return c.Connection(ctx, t)
}

// relist is a refresh, by whatever call it came.
func (c *Care) relist(ctx context.Context, tn *tenant, by string, call schemas.ChangeKind) error {
	before, _, err := c.connected(tn)
	if err != nil {
		return err
	}
	found, err := c.inspect(ctx, tn, before, true)
	if err != nil && !(found.listed && found.Failure != nil) {
		return c.note(ctx, tn, before, err, by)
	}
	return c.takeIn(ctx, tn, before, found, by, &schemas.Change{By: by, Change: call, Result: "ok"})
}
