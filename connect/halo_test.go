//go:build synctests

package connect_test

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
)

// halo is the real client of a Halo that takes a while for each answer. It closes
// its connections after each call: a bubble's clock stands still as long as anybody
// in it reads a socket.
type halo struct {
	*halopsa.Client
	takes func() time.Duration // for each answer; virtual
}

var _ care.Halo = (*halo)(nil)

func answered[T any](h *halo, ctx context.Context, do func() (T, error)) (T, error) {
	select {
	case <-time.After(h.takes()):
	case <-ctx.Done():
	}
	defer h.Close()
	return do()
}

func done(h *halo, ctx context.Context, do func() error) error {
	_, err := answered(h, ctx, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (h *halo) Authenticate(ctx context.Context) error {
	return done(h, ctx, func() error { return h.Client.Authenticate(ctx) })
}

func (h *halo) EventCatalogue(ctx context.Context) (halopsa.Catalogue, error) {
	return answered(h, ctx, func() (halopsa.Catalogue, error) { return h.Client.EventCatalogue(ctx) })
}

func (h *halo) Agents(ctx context.Context) ([]halopsa.Agent, error) {
	return answered(h, ctx, func() ([]halopsa.Agent, error) { return h.Client.Agents(ctx) })
}

func (h *halo) Webhooks(ctx context.Context) ([]halopsa.Webhook, error) {
	return answered(h, ctx, func() ([]halopsa.Webhook, error) { return h.Client.Webhooks(ctx) })
}

func (h *halo) Webhook(ctx context.Context, id string) (halopsa.Webhook, error) {
	return answered(h, ctx, func() (halopsa.Webhook, error) { return h.Client.Webhook(ctx, id) })
}

func (h *halo) CreateWebhook(ctx context.Context, spec halopsa.WebhookSpec) (string, error) {
	return answered(h, ctx, func() (string, error) { return h.Client.CreateWebhook(ctx, spec) })
}

func (h *halo) MendWebhook(ctx context.Context, id string, spec halopsa.WebhookSpec) error {
	return done(h, ctx, func() error { return h.Client.MendWebhook(ctx, id, spec) })
}

func (h *halo) DeleteWebhook(ctx context.Context, id string) error {
	return done(h, ctx, func() error { return h.Client.DeleteWebhook(ctx, id) })
}

func (h *halo) Notifications(ctx context.Context) ([]halopsa.Notification, error) {
	return answered(h, ctx, func() ([]halopsa.Notification, error) { return h.Client.Notifications(ctx) })
}

func (h *halo) CreateNotification(ctx context.Context, n halopsa.Notification) (int64, error) {
	return answered(h, ctx, func() (int64, error) { return h.Client.CreateNotification(ctx, n) })
}

func (h *halo) DeleteNotification(ctx context.Context, id int64) error {
	return done(h, ctx, func() error { return h.Client.DeleteNotification(ctx, id) })
}
