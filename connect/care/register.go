package care

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

// overlap is how long the edge accepts an old secret after a new one was
// registered, so that late deliveries of the old webhook end as stale and not as
// failures. Deliveries have been seen 79 s late on live tenants.
const overlap = 10 * time.Minute

// register registers a new webhook for the tenant in Halo and returns next with
// it. Of next nothing is saved. In this order:
//
//  1. The edge learns the new verifier beside the old ones, so that not even the
//     first delivery meets a 401. Killed here: the next term publishes the former
//     connection again.
//  2. Halo gets the webhook. Killed here or in any later step: Halo has a webhook
//     of ours too many; it bears our name and posts to this tenant's address, by
//     which the repeat knows it and removes it.
//  3. Where no old webhook is delivering, the edge learns the new one's id: what it
//     sends while its events are being bound is taken at once. Where one is, it
//     stays the current one until the new one is complete: of two that deliver the
//     same events, one must count.
//  4. The four events are bound, one after the other.
//  5. The webhook is read back: what it holds counts, not what was asked for. An
//     address that Halo wrote in its own way is put right once.
//
// When a step fails, the steps before it are taken back: see undo.
func (c *Care) register(ctx context.Context, tn *tenant, turn *ledger.Turn, halo Halo, cat halopsa.Catalogue, next ledger.State) (ledger.State, error) {
	former := turn.Snapshot().Published
	conn := schemas.Connection{ID: schemas.ConnectionIDOf(tn.id), Tenant: tn.id}
	if former != nil {
		conn = *former
	}
	secret, now := newSecret(), c.now()
	conn.Verifiers = succeed(conn.Verifiers, schemas.NewVerifier(conn.ID, secret), now)
	next.WebhookID = "" // not known yet
	next.Former = retire(next, now)
	next.Verifiers, next.Notifications, next.Numbers = conn.Verifiers, make(map[int64]schemas.Kind), cat.Numbers
	fail := func(err error) (ledger.State, error) {
		return ledger.State{}, c.undo(ctx, tn, turn, halo, next, former, err)
	}

	if _, err := turn.Apply(ledger.Change{Publish: &conn}); err != nil { // 1
		return ledger.State{}, err
	}
	if err := turn.Confirm(ctx); err != nil {
		return fail(err)
	}
	spec := halopsa.WebhookSpec{Name: WebhookName, URL: c.webhookURL(tn.id), Username: string(conn.ID), Password: secret}
	made, err := halo.CreateWebhook(ctx, spec) // 2
	if err != nil {
		return fail(err)
	}
	next.WebhookID = made
	if !c.delivering(ctx, halo, former) {
		current := conn
		current.WebhookID = made
		if _, err := turn.Apply(ledger.Change{Publish: &current}); err != nil { // 3
			return fail(err)
		}
	}
	for _, kind := range schemas.Kinds() { // 4
		number, known := cat.Numbers[kind]
		if !known {
			continue
		}
		if err := turn.Confirm(ctx); err != nil {
			return fail(err)
		}
		id, err := halo.CreateNotification(ctx, halopsa.Notification{
			Event: number, Name: WebhookName + ": " + string(kind), WebhookID: made,
		})
		if halopsa.CauseOf(err) == halopsa.NotificationRefused {
			continue // said as a problem: the webhook has fewer than four events
		}
		if err != nil {
			return fail(err)
		}
		next.Notifications[id] = kind
	}
	hook, err := halo.Webhook(ctx, made) // 5
	if err == nil && compare(hook.URL, spec.URL) == alike {
		if err := turn.Confirm(ctx); err != nil {
			return fail(err)
		}
		if err = halo.MendWebhook(ctx, made, spec); err == nil {
			next.Findings.Corrected = schemas.Truncate(c.now())
			hook, err = halo.Webhook(ctx, made)
		}
	}
	if err != nil {
		return fail(err)
	}
	c.look(&next.Findings, hook, &ledger.Snapshot{Tenant: tn.id, State: next})
	return next, nil
}

// undo takes back what a failed registration of next did, within a bounded time,
// and returns the failure itself. What Halo has kept by then is left to the health
// checks: see remain.
//
// Where the fate of the webhook is not known, next has no id of one, and all
// webhooks of ours but the former one are looked for. An instance that no longer
// acts takes nothing back: what it finds may be its successor's.
func (c *Care) undo(ctx context.Context, tn *tenant, turn *ledger.Turn, halo Halo, next ledger.State, former *schemas.Connection, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if standby(failure) || turn.Confirm(ctx) != nil {
		if next.WebhookID != "" || !standby(failure) {
			tn.doubtful(next, c.now()) // should this instance act again
		}
		return failure
	}
	keep := ""
	if former != nil {
		keep = former.WebhookID
	}
	var err error
	if next.WebhookID != "" {
		err = c.remove(ctx, turn, halo, next.WebhookID)
	} else {
		err = c.sweep(ctx, turn, halo, tn.id, keep)
	}
	if err != nil && (next.WebhookID != "" || halopsa.CauseOf(failure) != halopsa.WebhookRefused) {
		tn.doubtful(next, c.now())
	}
	_, back := turn.Apply(ledger.Change{Publish: former, Withdraw: former == nil})
	if err := errors.Join(err, back); err != nil {
		c.log.Warn("a failed registration was not taken back whole; the next health checks do, or repeating it", "tenant", tn.id, "err", err)
	}
	return failure
}

// standby says whether an error means that this instance no longer acts.
func standby(err error) bool {
	return errors.Is(err, ledger.ErrStandby) || errors.Is(err, ledger.ErrUnavailable)
}

// delivering says whether the former webhook is alive in this Halo.
func (c *Care) delivering(ctx context.Context, halo Halo, former *schemas.Connection) bool {
	if former == nil || former.WebhookID == "" {
		return false
	}
	hook, err := halo.Webhook(ctx, former.WebhookID)
	return err == nil && hook.Active && !hook.Disabled && compare(hook.URL, c.webhookURL(former.Tenant)) != elsewhere
}

// sweep removes every webhook that bears our name and posts to the tenant's
// address, except keep, and the notifications of those and of the webhooks gone,
// which may not exist any more.
func (c *Care) sweep(ctx context.Context, turn *ledger.Turn, halo Halo, id schemas.Tenant, keep string, gone ...string) error {
	hooks, err := halo.Webhooks(ctx)
	if err != nil && halopsa.CauseOf(err) != halopsa.ListIncomplete {
		return err
	}
	strays := append(slices.Clone(gone), c.ours(id, hooks)...)
	strays = slices.DeleteFunc(strays, func(w string) bool { return keep != "" && strings.EqualFold(w, keep) })
	return errors.Join(err, c.remove(ctx, turn, halo, strays...))
}

// ours are the webhooks that bear our name and post to the tenant's address.
func (c *Care) ours(id schemas.Tenant, hooks []halopsa.Webhook) (ids []string) {
	for _, w := range hooks {
		if w.Name == WebhookName && compare(w.URL, c.webhookURL(id)) != elsewhere {
			ids = append(ids, w.ID)
		}
	}
	return ids
}

// remove removes webhooks. Their notifications first: Halo does not remove them
// along, and a crash in between leaves the webhook to be found by. What Halo
// refuses is passed over: a notification that is left without its webhook delivers
// nothing, and a webhook that is left does. Without a turn nobody is asked whether
// this instance still acts: the webhooks are then none that anybody may want.
func (c *Care) remove(ctx context.Context, turn *ledger.Turn, halo Halo, webhooks ...string) error {
	webhooks = slices.DeleteFunc(webhooks, func(id string) bool { return id == "" })
	if len(webhooks) == 0 {
		return nil
	}
	confirm := func() error {
		if turn == nil {
			return nil
		}
		return turn.Confirm(ctx)
	}
	bound, err := halo.Notifications(ctx)
	for _, n := range bound {
		if slices.ContainsFunc(webhooks, func(w string) bool { return strings.EqualFold(w, n.WebhookID) }) {
			if err := confirm(); err != nil {
				return err
			}
			err = errors.Join(err, halo.DeleteNotification(ctx, n.ID))
		}
	}
	slices.Sort(webhooks)
	for _, w := range slices.Compact(webhooks) {
		if err := confirm(); err != nil {
			return err
		}
		err = errors.Join(err, halo.DeleteWebhook(ctx, w))
	}
	return err
}

// newSecret draws the password of a webhook: 256 bits.
func newSecret() schemas.Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return schemas.Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// mostVerifiers bounds the webhooks whose deliveries are taken. A hand that keeps
// pressing "reconnect" must not grow the record: each delivery is compared with
// every verifier.
const mostVerifiers = 4

// succeed puts a new verifier before those that are still good. The one that was
// current ends after the overlap.
func succeed(old []schemas.Verifier, current schemas.Verifier, now time.Time) []schemas.Verifier {
	out := []schemas.Verifier{current}
	for _, v := range old {
		if v.Until.IsZero() {
			v.Until = schemas.Truncate(now.Add(overlap))
		}
		if now.Before(v.Until) && len(out) < mostVerifiers {
			out = append(out, v)
		}
	}
	return out
}

// retire puts the notifications of the webhook that is being replaced before those
// of earlier ones whose secrets are still good. They end with their verifiers: see
// succeed.
func retire(s ledger.State, now time.Time) []ledger.Former {
	kept := slices.DeleteFunc(slices.Clone(s.Former), func(f ledger.Former) bool { return !now.Before(f.Until) })
	if len(s.Notifications) > 0 {
		kept = slices.Insert(kept, 0, ledger.Former{Until: schemas.Truncate(now.Add(overlap)), Notifications: s.Notifications})
	}
	return kept[:min(len(kept), mostVerifiers-1)]
}
