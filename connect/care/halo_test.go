//go:build synctests

package care_test

import (
	"context"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
)

// halo is the real client behind an instance's link. It closes its connections
// after each call: a bubble's clock stands still as long as anybody in it reads
// a socket. For the same reason a call that would wait for the tenant's
// allowance of requests, with a socket open, is refused and told to spent: the
// test would hang instead of failing.
//
// A call can also fail: fault is asked for its name, and what it returns is the
// call's error, in place of the call or after it.
type halo struct {
	*halopsa.Client
	link  *link
	fault func(ctx context.Context, name string) (when moment, failed error)
	spent func()
}

// mostRequests is what one call takes at most in these tests: a token and a few
// pages.
const mostRequests = 8

var _ care.Halo = (*halo)(nil)

func (h *halo) call(ctx context.Context, name string, do func() error) error {
	m := h.link.at(name)
	if m == before {
		<-h.link.dead
		<-ctx.Done() // a process that is gone waits for ever
		return ctx.Err()
	}
	when, failed := never, error(nil)
	if h.fault != nil {
		when, failed = h.fault(ctx, name)
	}
	if when == before {
		return failed
	}
	if h.Left() < mostRequests {
		h.spent()
		return rateLimited
	}
	err := do()
	h.Close()
	if m == after {
		h.link.cut()
		<-ctx.Done()
		return ctx.Err()
	}
	if when == after {
		return failed
	}
	return err
}

func got[T any](ctx context.Context, h *halo, name string, do func(context.Context) (T, error)) (v T, err error) {
	err = h.call(ctx, name, func() (err error) { v, err = do(ctx); return err })
	return v, err
}

func (h *halo) Authenticate(ctx context.Context) error {
	return h.call(ctx, "authenticate", func() error { return h.Client.Authenticate(ctx) })
}

func (h *halo) EventCatalogue(ctx context.Context) (halopsa.Catalogue, error) {
	return got(ctx, h, "catalogue", h.Client.EventCatalogue)
}

func (h *halo) Agents(ctx context.Context) ([]halopsa.Agent, error) {
	return got(ctx, h, "agents", h.Client.Agents)
}

func (h *halo) Webhooks(ctx context.Context) ([]halopsa.Webhook, error) {
	return got(ctx, h, "webhooks", h.Client.Webhooks)
}

func (h *halo) Webhook(ctx context.Context, id string) (halopsa.Webhook, error) {
	return got(ctx, h, "webhook", func(ctx context.Context) (halopsa.Webhook, error) { return h.Client.Webhook(ctx, id) })
}

func (h *halo) CreateWebhook(ctx context.Context, spec halopsa.WebhookSpec) (string, error) {
	return got(ctx, h, "create webhook", func(ctx context.Context) (string, error) { return h.Client.CreateWebhook(ctx, spec) })
}

func (h *halo) DeleteWebhook(ctx context.Context, id string) error {
	return h.call(ctx, "delete webhook", func() error { return h.Client.DeleteWebhook(ctx, id) })
}

func (h *halo) Notifications(ctx context.Context) ([]halopsa.Notification, error) {
	return got(ctx, h, "notifications", h.Client.Notifications)
}

func (h *halo) CreateNotification(ctx context.Context, n halopsa.Notification) (int64, error) {
	return got(ctx, h, "create notification", func(ctx context.Context) (int64, error) { return h.Client.CreateNotification(ctx, n) })
}

func (h *halo) DeleteNotification(ctx context.Context, id int64) error {
	return h.call(ctx, "delete notification", func() error { return h.Client.DeleteNotification(ctx, id) })
}

func (h *halo) MendWebhook(ctx context.Context, id string, spec halopsa.WebhookSpec) error {
	return h.call(ctx, "mend webhook", func() error { return h.Client.MendWebhook(ctx, id, spec) })
}
