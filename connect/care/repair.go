package care

import (
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// mostRepairs is how often in a day a webhook is switched on again. A Halo
	// that switches it off more often has a reason, and somebody must look.
	mostRepairs = 3

	// correctEvery is how often an address that Halo writes in its own way is put
	// right: where Halo does so each time, it stays as Halo likes it, and the edge
	// takes its deliveries all the same.
	correctEvery = 24 * time.Hour
)

// pauses are how long after a repair the next one comes: the first at once.
func pauses() []time.Duration { return []time.Duration{0, time.Hour, 4 * time.Hour} }

// nextRepair is when a webhook that was repaired at the instants of repairs may be
// repaired again; ok is false where that is too long ago to matter, or not to be
// told.
func nextRepair(repairs []time.Time, now time.Time) (next time.Time, ok bool) {
	repairs = ofTheDay(repairs, now)
	switch n := len(repairs); {
	case n == 0:
		return now, false
	case n >= mostRepairs:
		return repairs[n-mostRepairs].Add(24 * time.Hour), true
	default:
		return repairs[n-1].Add(pauses()[n]), true
	}
}

// ofTheDay are the instants of the last 24 hours.
func ofTheDay(all []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(all), func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
}

// repair switches a webhook on again that Halo switched off, and puts an address
// right that Halo wrote in its own way. next holds what was found, and is made to
// hold what is true afterwards. What a person did is not undone.
//
// A crash after Halo was told and before it is saved costs a repair that is not
// counted.
func (c *Care) repair(ctx context.Context, tn *tenant, turn *ledger.Turn, next *ledger.State, hook halopsa.Webhook) []schemas.Change {
	f, now := &next.Findings, c.now()
	f.Repairs = ofTheDay(f.Repairs, now)
	if len(f.Repairs) == 0 {
		f.Repairs = nil
	}
	what, problem := "", ""
	switch due, waits := nextRepair(f.Repairs, now); {
	case c.cfg.ReportOnly, f.Elsewhere, f.Gone:
	case offByHalo(*f) && (!waits || !now.Before(due)):
		what, problem = "webhook", "webhook_disabled"
	case !f.Inactive && compare(hook.URL, c.webhookURL(tn.id)) == alike && now.Sub(f.Corrected) >= correctEvery:
		what, problem = "webhook_url", "webhook_url_changed"
	}
	if what == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, undoTimeout) // it answered a moment ago
	defer cancel()
	if err := turn.Confirm(ctx); err != nil {
		return nil
	}
	halo, err := c.client(tn, next.Credentials)
	if err == nil {
		spec := halopsa.WebhookSpec{Name: WebhookName, URL: c.webhookURL(tn.id)}
		err = halo.MendWebhook(ctx, next.WebhookID, spec)
	}
	// Counted although it failed: what was tried may have happened.
	if what == "webhook" {
		f.Repairs = append(f.Repairs, schemas.Truncate(now))
	} else {
		f.Corrected = schemas.Truncate(now)
	}
	if err == nil {
		hook, err = halo.Webhook(ctx, next.WebhookID)
	}
	if err != nil {
		c.log.Warn("the webhook could not be repaired", "tenant", tn.id, "what", what, "err", err)
		return nil
	}
	off := f.Inactive
	c.look(f, hook, &ledger.Snapshot{Tenant: tn.id, State: *next})
	if f.Inactive {
		return nil
	}
	if off {
		c.log.Info("Halo had switched the webhook off, and it was switched on again", "tenant", tn.id)
	}
	c.metrics.repairs.WithLabelValues(what).Inc()
	return []schemas.Change{{By: schemas.ByConnector, Change: schemas.ChangeRepaired, Problem: problem, Result: "ok"}}
}
