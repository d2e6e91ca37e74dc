package care

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// leaveTimeout bounds a later try to remove what we left in a Halo. Four
	// answers come before the first removal, and a slow Halo takes 6 s for each.
	// Every try leaves less for the next.
	leaveTimeout = 30 * time.Second

	// leaveSpan is how long what a disconnect left is tried, for which the vault keeps
	// the credentials sealed: a day covers a Halo that is down for a night.
	leaveSpan = 24 * time.Hour

	// doubtSpan is how long what a failed registration left is tried. Who meant to
	// connect will have tried again by then, which removes it too.
	doubtSpan = time.Hour

	// mostRemains bounds what is tried of a tenant that keeps failing.
	mostRemains = 4
)

// doubtful notes the webhook of a registration that failed, so that the health
// checks remove it; where its id is not known, whatever bears our name and posts to
// the tenant's address, and is not the current one. It is noted in memory: nothing is
// saved of credentials with which no connection came about.
func (tn *tenant) doubtful(s ledger.State, now time.Time) {
	r := ledger.Leaving{Credentials: *s.Credentials, Until: now.Add(doubtSpan)}
	if s.WebhookID != "" {
		r.Webhooks = []string{s.WebhookID}
	}
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.remains = latest(append(tn.remains, r))
}

func latest(all []ledger.Leaving) []ledger.Leaving { return all[max(0, len(all)-mostRemains):] }

// leftAt are the webhooks that are left in the Halo at url.
func (tn *tenant) leftAt(url string, s ledger.State) (webhooks []string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	for _, r := range slices.Concat(tn.remains, s.Leaving) {
		if r.TenantURL == url {
			webhooks = append(webhooks, r.Webhooks...)
		}
	}
	return webhooks
}

// elsewhereThan is what is left in other Halos than the one at url.
func elsewhereThan(url string, all []ledger.Leaving) []ledger.Leaving {
	return slices.DeleteFunc(slices.Clone(all), func(r ledger.Leaving) bool { return r.TenantURL == url })
}

// settled forgets what is left in the Halo at url: it is a part of what the new
// webhook replaces.
func (tn *tenant) settled(url string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.remains = elsewhereThan(url, tn.remains)
}

// Disconnect ends the connection. In this order:
//
//  1. Save without the connection's credentials: from here on it is gone, whatever
//     happens. What it takes to leave Halo is saved beside, sealed, and good for
//     nothing else. Then withdraw the verifier: deliveries get 401. A crash between
//     the two, or before the next step, is healed by the next term.
//  2. Remove the webhook and its notifications, in one bounded try.
//  3. Save what was left, in words, or that nothing was: then what it takes to leave
//     is destroyed. Else the health checks go on trying, whatever instance acts, and
//     destroy it when nothing is left or a day has passed.
//
// Mappings stay as they are: without deliveries they credit nothing, and a tenant
// that connects again finds what was mapped by hand.
func (c *Care) Disconnect(ctx context.Context, t schemas.Tenant, by string) error {
	ctx, cancel := operation(ctx)
	defer cancel()
	return explain(c.disconnect(ctx, c.tenant(t), by))
}

func (c *Care) disconnect(ctx context.Context, tn *tenant, by string) error {
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return err
	}
	defer turn.Back()
	before := turn.Snapshot()
	switch {
	case !before.Known():
		return control.ErrNotConnected
	case before.Sealed != nil:
		// A person says so: what does not open is destroyed. What the mappings
		// tell stays, and in Halo nothing can be removed.
		next := ledger.State{LeftInHalo: []string{"the webhook " + WebhookName + ": the credentials for its removal are lost"}}
		next.Agents, next.Hand = match.Rescued(before.Mappings)
		audit := append([]schemas.Change{{By: by, Change: schemas.ChangeDisconnect, Result: "ok"}}, c.turned(before, &next, by)...)
		_, err := turn.Apply(ledger.Change{State: &next, Unseal: true, Withdraw: true, Audit: audit})
		return err
	case !before.Connected():
		return nil
	}
	next := before.State
	next.Credentials = nil
	next.ConnectedAt = time.Time{}
	next.WebhookID, next.Verifiers, next.Notifications, next.Former, next.Numbers = "", nil, nil, nil, nil
	next.Untidy, next.Replaced = false, nil
	next.Findings = ledger.Findings{Since: before.Findings.Since}
	others := elsewhereThan(before.TenantURL, before.Leaving)
	ours := c.bound(tn, before)
	next.Leaving = latest(append(others, ledger.Leaving{Credentials: *before.Credentials, Webhooks: ours, Until: schemas.Truncate(c.now().Add(leaveSpan))}))
	audit := append([]schemas.Change{{By: by, Change: schemas.ChangeDisconnect, Result: "ok"}}, c.turned(before, &next, by)...)
	if _, err := turn.Apply(ledger.Change{State: &next, Withdraw: true, Audit: audit}); err != nil {
		return err
	}
	next.LeftInHalo = c.leave(ctx, tn, turn, before)
	tn.forget()
	if len(next.LeftInHalo) == 0 {
		next.Leaving = others
	}
	audit = c.turned(turn.Snapshot(), &next, by)
	_, err = turn.Apply(ledger.Change{State: &next, Audit: audit})
	return err
}

// bound are the webhooks that a connection has, or had and has not removed yet.
func (c *Care) bound(tn *tenant, s *ledger.Snapshot) []string {
	return slices.Concat(s.Replaced, []string{s.WebhookID}, tn.leftAt(s.TenantURL, s.State))
}

// leave removes everything of ours from the Halo of a connection that is at its
// end, in one bounded try, and returns what was left in words.
func (c *Care) leave(ctx context.Context, tn *tenant, turn *ledger.Turn, s *ledger.Snapshot) (left []string) {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	ours := c.bound(tn, s)
	halo, err := c.client(tn, s.Credentials)
	if err == nil {
		err = c.sweep(ctx, turn, halo, tn.id, "", ours...)
	}
	tn.settled(s.TenantURL)
	if err == nil {
		return nil
	}
	c.log.Warn("the webhook may be left in Halo; its deliveries are refused", "tenant", tn.id, "err", err)
	return []string{leftWords(s.TenantURL, s.WebhookID, err)}
}

// leftWords say what is left where, and why.
func leftWords(url, webhook string, err error) string {
	why := "Halo did not answer in time."
	if e, ok := errors.AsType[*halopsa.Error](err); ok {
		why = e.Message
	}
	return "the webhook " + WebhookName + " (" + webhook + ") at " + url + ": " + why
}

// leaveLater tries again to remove what is left in Halos, without the tenant's
// turn: what it removes by its id nobody wants, and a Halo that does not answer
// holds nobody up.
func (c *Care) leaveLater(ctx context.Context, tn *tenant) {
	snap, err := c.snapshot(tn.id)
	if err != nil {
		return
	}
	tn.mu.Lock()
	remains := slices.Concat(tn.remains, snap.Leaving)
	tn.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	for _, r := range remains {
		err := c.removeLater(ctx, tn, r)
		if err != nil {
			c.log.Debug("what is left in Halo could not be removed", "tenant", tn.id, "err", err)
		}
		c.tried(context.WithoutCancel(ctx), tn, r, err)
	}
}

// errRegistering says that what looks like a stray may be about to be saved.
var errRegistering = errors.New("a webhook is being registered")

func (c *Care) removeLater(ctx context.Context, tn *tenant, r ledger.Leaving) error {
	halo, err := c.cfg.Dial(tn.id, r.Credentials)
	if err != nil {
		return err
	}
	defer halo.Close()
	strays := slices.Clone(r.Webhooks)
	if len(strays) == 0 {
		began := tn.registering.Load()
		hooks, err := halo.Webhooks(ctx)
		if err != nil {
			return err
		}
		if now := tn.registering.Load(); now != began || now%2 == 1 {
			return errRegistering
		}
		strays = c.ours(tn.id, hooks)
	}
	// One of them may have been saved, after all or meanwhile.
	snap, err := c.snapshot(tn.id)
	if err != nil {
		return err
	}
	strays = slices.DeleteFunc(strays, func(id string) bool { return snap.WebhookID != "" && strings.EqualFold(id, snap.WebhookID) })
	return c.remove(ctx, nil, halo, strays...)
}

// tried takes in how a try to remove what is left ended. What was removed, or has been
// tried for long enough, is forgotten, and the credentials for it are destroyed; once
// nothing is left anywhere, what was said of it is taken back. A disconnect that was
// killed said nothing: then it is said now.
func (c *Care) tried(ctx context.Context, tn *tenant, r ledger.Leaving, failure error) {
	over := failure == nil || c.now().After(r.Until)
	same := func(o ledger.Leaving) bool { return over && o.Until.Equal(r.Until) && o.TenantURL == r.TenantURL }
	tn.mu.Lock()
	tn.remains = slices.DeleteFunc(tn.remains, same)
	none := len(tn.remains) == 0
	tn.mu.Unlock()
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return // the next check tries again
	}
	defer turn.Back()
	now := turn.Snapshot()
	next := now.State
	next.Leaving = slices.DeleteFunc(slices.Clone(next.Leaving), same)
	switch {
	case failure == nil && none && len(next.Leaving) == 0:
		next.LeftInHalo = nil
	case failure != nil && len(now.Leaving) > 0 && len(now.LeftInHalo) == 0:
		next.LeftInHalo = []string{leftWords(r.TenantURL, strings.Join(r.Webhooks, ", "), failure)}
	}
	if now.Sealed != nil || len(next.Leaving) == len(now.Leaving) && len(next.LeftInHalo) == len(now.LeftInHalo) {
		return
	}
	audit := c.turned(now, &next, schemas.ByConnector)
	if _, err := turn.Apply(ledger.Change{State: &next, Audit: audit}); err != nil {
		c.log.Warn("what became of what is left in Halo was not saved", "tenant", tn.id, "err", err)
	}
}
