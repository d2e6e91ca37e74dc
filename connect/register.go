package connect

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

// register registers a new webhook for the tenant in Halo and returns next with
// it. Nothing is saved. In this order:
//
//  1. The edge learns the new verifier beside the old ones, so that not even
//     the first delivery meets a 401. Killed here: the take-over publishes the
//     former connection again.
//  2. Halo gets the webhook. Killed here or in any later step: Halo has a
//     webhook of ours too many; it bears our name and posts to this tenant's
//     address, by which the repeat knows it and removes it.
//  3. Where no old webhook is delivering, the edge learns the new one's id:
//     what it sends while its events are being bound is taken at once. Where
//     one is, it stays the current one until the new one is complete: of two
//     that deliver the same events, one must count.
//  4. The four events are bound, one after the other.
//  5. The webhook is read back: what it holds counts, not what was asked for.
//
// When a step fails, the steps before it are taken back: see undo.
func (t *term) register(ctx context.Context, tn *tenant, halo Halo, next state) (state, error) {
	cat, err := halo.EventCatalogue(ctx)
	if err != nil {
		return state{}, err
	}
	before := tn.seen.Load().state
	secret := newSecret()
	conn := before.connection()
	conn.Verifiers = succeed(before.Verifiers, schemas.NewVerifier(conn.ID, secret), t.c.now())
	next.WebhookID = "" // not known yet
	next.Verifiers, next.Notifications, next.Numbers = conn.Verifiers, make(map[int64]schemas.Kind), cat.Numbers

	if err := t.publish(ctx, conn); err != nil { // 1
		return state{}, err
	}
	made, err := halo.CreateWebhook(ctx, halopsa.WebhookSpec{ // 2
		Name: WebhookName, URL: t.c.webhookURL(tn.id), Username: string(conn.ID), Password: secret,
	})
	if err != nil {
		return state{}, t.undo(ctx, tn, halo, next, err)
	}
	next.WebhookID = made
	if !t.delivering(ctx, halo, before) {
		conn.WebhookID, conn.Notifications = made, nil
		if err := t.publish(ctx, conn); err != nil { // 3
			return state{}, t.undo(ctx, tn, halo, next, err)
		}
	}
	for _, kind := range schemas.Kinds() { // 4
		number, known := cat.Numbers[kind]
		if !known {
			continue
		}
		id, err := halo.CreateNotification(ctx, halopsa.Notification{
			Event: number, Name: WebhookName + ": " + string(kind), WebhookID: made,
		})
		if halopsa.CauseOf(err) == halopsa.NotificationRefused {
			continue // said as a problem: the webhook has fewer than four events
		}
		if err != nil {
			return state{}, t.undo(ctx, tn, halo, next, err)
		}
		next.Notifications[id] = kind
	}
	hook, err := halo.Webhook(ctx, made) // 5
	if err != nil {
		return state{}, t.undo(ctx, tn, halo, next, err)
	}
	next.Findings.look(hook, t.c.webhookURL(tn.id), next.kindOf, t.c.now())
	return next, nil
}

// undo takes back what a failed register of next did, within a bounded time, and
// returns the failure itself. What Halo has kept by then is left to the health
// checks: see remain.
//
// Where the fate of the webhook is not known, next has no id of one, and all
// webhooks of ours but the former one are looked for. That is for the owner
// only: what this instance finds after it was deposed may be its successor's.
func (t *term) undo(ctx context.Context, tn *tenant, halo Halo, next state, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	former := tn.seen.Load().state
	var err error
	switch {
	case next.WebhookID != "":
		err = t.remove(ctx, halo, next.WebhookID)
	case t.ctx.Err() == nil:
		err = t.sweep(ctx, halo, tn.id, former.WebhookID)
	}
	if err != nil && (next.WebhookID != "" || halopsa.CauseOf(failure) != halopsa.WebhookRefused) {
		tn.remain(next, t.c.now())
	}
	if t.ctx.Err() == nil {
		if former.connected() {
			err = errors.Join(err, t.publish(ctx, former.connection()))
		} else {
			err = errors.Join(err, t.withdraw(ctx, tn.id))
		}
	}
	if err != nil {
		t.c.log.Warn("a failed registration was not taken back whole; the next health checks do, or repeating it", "tenant", tn.id, "err", err)
	}
	return failure
}

// unsaved removes a webhook that was registered and could not be saved, and
// returns the failure itself. Where Kafka did not say whether it has the record
// only the next term knows; if that does not come in time, or on another
// instance, the webhook stays for the repeat to remove.
func (t *term) unsaved(ctx context.Context, tn *tenant, halo Halo, next state, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if !errors.Is(failure, ErrUnavailable) { // nothing was written
		return t.undo(ctx, tn, halo, next, failure)
	}
	made, successor := next.WebhookID, t.successor(ctx)
	if successor == nil {
		t.c.log.Warn("a webhook that may not be saved is left in Halo; repeating the operation removes it", "tenant", tn.id)
		return failure
	}
	if snap := successor.peek(tn.id); snap.sealed != nil || strings.EqualFold(snap.WebhookID, made) {
		return failure
	}
	if err := t.remove(ctx, halo, made); err != nil {
		t.c.log.Warn("a webhook that was not saved is left in Halo; repeating the operation removes it", "tenant", tn.id, "err", err)
	}
	return failure
}

// successor waits for the next term of this instance; nil where none begins
// before ctx ends.
func (t *term) successor(ctx context.Context) *term {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		if next, err := t.c.active(); err == nil && next != t {
			return next
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// delivering says whether the former webhook is alive in this Halo.
func (t *term) delivering(ctx context.Context, halo Halo, former state) bool {
	if !former.connected() || former.WebhookID == "" || former.TenantURL != halo.BaseURL() {
		return false
	}
	hook, err := halo.Webhook(ctx, former.WebhookID)
	return err == nil && hook.Active && !hook.Disabled && sameURL(hook.URL, t.c.webhookURL(former.tenant))
}

// sweep removes every webhook that bears our name and posts to the tenant's
// address, except keep, and the notifications of those and of the webhooks
// gone, which may not exist any more.
func (t *term) sweep(ctx context.Context, halo Halo, id schemas.Tenant, keep string, gone ...string) error {
	hooks, err := halo.Webhooks(ctx)
	if err != nil {
		return err
	}
	strays := slices.Clone(gone)
	for _, w := range hooks {
		if w.Name == WebhookName && sameURL(w.URL, t.c.webhookURL(id)) && (keep == "" || !strings.EqualFold(w.ID, keep)) {
			strays = append(strays, w.ID)
		}
	}
	return t.remove(ctx, halo, strays...)
}

// remove removes webhooks. Their notifications first: Halo does not remove them
// along, and a crash in between leaves the webhook to be found by. What Halo
// refuses is passed over: a notification that is left without its webhook
// delivers nothing, and a webhook that is left does.
func (t *term) remove(ctx context.Context, halo Halo, webhooks ...string) error {
	if len(webhooks) == 0 {
		return nil
	}
	stray := func(id string) bool {
		return id != "" && slices.ContainsFunc(webhooks, func(w string) bool { return strings.EqualFold(w, id) })
	}
	bound, err := halo.Notifications(ctx)
	for _, n := range bound {
		if stray(n.WebhookID) {
			err = errors.Join(err, halo.DeleteNotification(ctx, n.ID))
		}
	}
	slices.Sort(webhooks)
	for _, w := range slices.Compact(webhooks) {
		if w != "" {
			err = errors.Join(err, halo.DeleteWebhook(ctx, w))
		}
	}
	return err
}

// sameURL compares addresses as Halo may have written them.
func sameURL(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// newSecret draws the password of a webhook: 256 bits.
func newSecret() schemas.Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return schemas.Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// succeed puts a new verifier before those that are still good. The one that
// was current ends after the overlap.
func succeed(old []schemas.Verifier, current schemas.Verifier, now time.Time) []schemas.Verifier {
	// A hand that keeps pressing "reconnect" must not grow the record: each
	// delivery is compared with every verifier.
	const most = 4
	out := []schemas.Verifier{current}
	for _, v := range old {
		if v.Until.IsZero() {
			v.Until = schemas.Truncate(now.Add(overlap))
		}
		if now.Before(v.Until) && len(out) < most {
			out = append(out, v)
		}
	}
	return out
}
