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

	// remainSpan is how long what a disconnect left is tried. The credentials are
	// destroyed in the vault and live in memory for it: a day covers a Halo that
	// is down for a night, and a restart ends it.
	remainSpan = 24 * time.Hour

	// doubtSpan is how long what a failed registration left is tried. Who meant to
	// connect will have tried again by then, which removes it too.
	doubtSpan = time.Hour

	// mostRemains bounds what is tried of a tenant that keeps failing.
	mostRemains = 4
)

// remain is what is left in a Halo, and what it takes to remove it: webhooks that
// nobody may want any more, by their ids; or, where none is known, whatever bears
// our name and posts to the tenant's address, and is not the current one.
type remain struct {
	ledger.Credentials
	webhooks []string
	until    time.Time
}

// doubtful notes the webhook of a registration that failed, so that the health
// checks remove it. Nothing is saved of credentials with which no connection came
// about.
func (tn *tenant) doubtful(s ledger.State, now time.Time) {
	r := remain{Credentials: *s.Credentials, until: now.Add(doubtSpan)}
	if s.WebhookID != "" {
		r.webhooks = []string{s.WebhookID}
	}
	tn.remain(r)
}

func (tn *tenant) remain(r remain) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.remains = append(tn.remains, r)
	tn.remains = tn.remains[max(0, len(tn.remains)-mostRemains):]
}

// remaining are the webhooks that are left in the Halo at url.
func (tn *tenant) remaining(url string) (webhooks []string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	for _, r := range tn.remains {
		if r.TenantURL == url {
			webhooks = append(webhooks, r.webhooks...)
		}
	}
	return webhooks
}

// settled forgets what is left in the Halo at url: it is a part of what the new
// webhook replaces.
func (tn *tenant) settled(url string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.remains = slices.DeleteFunc(tn.remains, func(r remain) bool { return r.TenantURL == url })
}

// Disconnect ends the connection. In this order:
//
//  1. Save without credentials: from here on the connection is gone, whatever
//     happens. Then withdraw the verifier: deliveries get 401. A crash between the
//     two is healed by the next term; the webhook then stays in Halo until Halo
//     switches it off, or a later connect removes it.
//  2. Remove the webhook and its notifications, in one bounded try. The credentials
//     for that are in memory still, and stay there for a day where it failed.
//  3. Where something was left, save what. The connection says so until it is gone.
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
	audit := append([]schemas.Change{{By: by, Change: schemas.ChangeDisconnect, Result: "ok"}}, c.turned(before, &next, by)...)
	if _, err := turn.Apply(ledger.Change{State: &next, Withdraw: true, Audit: audit}); err != nil {
		return err
	}
	left := c.leave(ctx, tn, turn, before, true)
	tn.forget()
	if len(left) == 0 {
		return nil
	}
	next.LeftInHalo = left
	audit = c.turned(turn.Snapshot(), &next, by)
	_, err = turn.Apply(ledger.Change{State: &next, Audit: audit})
	return err
}

// leave removes everything of ours from the Halo of a connection that is at its
// end, in one bounded try, and returns what was left in words. Where tryOn is set
// the health checks go on trying.
func (c *Care) leave(ctx context.Context, tn *tenant, turn *ledger.Turn, s *ledger.Snapshot, tryOn bool) (left []string) {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	ours := append(slices.Clone(s.Replaced), s.WebhookID)
	ours = append(ours, tn.remaining(s.TenantURL)...)
	halo, err := c.client(tn, s.Credentials)
	if err == nil {
		err = c.sweep(ctx, turn, halo, tn.id, "", ours...)
	}
	tn.settled(s.TenantURL)
	if err == nil {
		return nil
	}
	c.log.Warn("the webhook may be left in Halo; its deliveries are refused", "tenant", tn.id, "err", err)
	if tryOn {
		tn.remain(remain{*s.Credentials, ours, c.now().Add(remainSpan)})
	}
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
	tn.mu.Lock()
	remains := slices.Clone(tn.remains)
	tn.mu.Unlock()
	if len(remains) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	for _, r := range remains {
		err := c.removeLater(ctx, tn, r)
		if err != nil {
			c.log.Debug("what is left in Halo could not be removed", "tenant", tn.id, "err", err)
		}
		if err == nil || c.now().After(r.until) {
			tn.mu.Lock()
			tn.remains = slices.DeleteFunc(tn.remains, func(o remain) bool { return o.until.Equal(r.until) && o.TenantURL == r.TenantURL })
			none := len(tn.remains) == 0
			tn.mu.Unlock()
			if err == nil && none {
				c.nothingLeft(ctx, tn)
			}
		}
	}
}

// errRegistering says that what looks like a stray may be about to be saved.
var errRegistering = errors.New("a webhook is being registered")

func (c *Care) removeLater(ctx context.Context, tn *tenant, r remain) error {
	halo, err := c.cfg.Dial(tn.id, r.Credentials)
	if err != nil {
		return err
	}
	defer halo.Close()
	strays := slices.Clone(r.webhooks)
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

// nothingLeft takes back what was said of things left in Halo.
func (c *Care) nothingLeft(ctx context.Context, tn *tenant) {
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return
	}
	defer turn.Back()
	now := turn.Snapshot()
	if now.Sealed != nil || len(now.LeftInHalo) == 0 {
		return
	}
	next := now.State
	next.LeftInHalo = nil
	audit := c.turned(now, &next, schemas.ByConnector)
	if _, err := turn.Apply(ledger.Change{State: &next, Audit: audit}); err != nil {
		c.log.Warn("what was left in Halo was removed and that was not saved", "tenant", tn.id, "err", err)
	}
}
