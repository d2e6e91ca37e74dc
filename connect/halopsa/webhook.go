package halopsa

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// maxWebhookURL is what Halo keeps of a webhook's address, in bytes (its
// database schema).
const maxWebhookURL = 500

// WebhookSpec is what is registered: a webhook that posts JSON, one delivery
// for each event, with Basic authentication.
type WebhookSpec struct {
	Name     string
	URL      string // at most 500 bytes
	Username string
	Password schemas.Secret
}

// Webhook is what Halo says about a registered webhook.
type Webhook struct {
	ID       string // a GUID; compare without case
	Name     string
	URL      string
	Active   bool
	Disabled bool

	// LastStatus is the HTTP status of its last delivery, 0 where unknown;
	// AutoDisabledAt when Halo switched it off after failures, zero if never.
	LastStatus     int
	AutoDisabledAt time.Time

	// Events are bound to it. Only [Client.Webhook] fills them in. An event has
	// an ID or a number of the catalogue, mostly both.
	Events []Notification
}

// webhookCalls are refused for lack of a scope or a role, or because Halo does
// not like the webhook: for the operator these are one thing.
func webhookCalls(name string) call {
	return call{name: name, refused: WebhookRefused, denied: WebhookRefused, absent: NotFound}
}

// CreateWebhook registers a webhook and returns its id.
//
// When the answer is lost the webhook may exist all the same. The caller finds
// it in [Client.Webhooks] by its name and address.
func (c *Client) CreateWebhook(ctx context.Context, spec WebhookSpec) (string, error) {
	k := webhookCalls("create webhook")
	k.absent = WebhookRefused
	if len(spec.URL) > maxWebhookURL {
		return "", describe(WebhookRefused, c.base.Host, 0, "The webhook's address is longer than the 500 characters that Halo keeps.", nil)
	}
	body := webhookBody(spec)
	body["authentication_type"] = 1 // Basic
	body["basic_username"], body["basic_password"] = spec.Username, spec.Password.Reveal()
	row, err := c.post(ctx, k, "Webhook", "webhooks", body)
	if err != nil {
		return "", err
	}
	if w, ok := readWebhook(row); ok {
		return w.ID, nil
	}
	// Accepted without saying as what: it is the one that has this address.
	hooks, err := c.Webhooks(ctx)
	for _, w := range hooks {
		if w.URL == spec.URL && w.Name == spec.Name {
			return w.ID, nil
		}
	}
	if err != nil {
		return "", err
	}
	return "", describe(WebhookRefused, c.base.Host, http.StatusOK, "", nil)
}

// MendWebhook switches the webhook id on and points it to the spec's address
// again. Its credentials are not sent, and stay.
func (c *Client) MendWebhook(ctx context.Context, id string, spec WebhookSpec) error {
	body := webhookBody(spec)
	body["id"], body["disabled"] = id, false
	_, err := c.post(ctx, webhookCalls("mend webhook"), "Webhook", "webhooks", body)
	return err
}

// webhookBody is what was accepted on live tenants. It does not name the events:
// Halo drops them there, and takes them as notifications.
func webhookBody(spec WebhookSpec) map[string]any {
	return map[string]any{
		"name":         spec.Name,
		"url":          spec.URL,
		"type":         0, // outbound
		"method":       0, // POST
		"active":       true,
		"content_type": "application/json",
		"batch_method": 0, // none: one delivery for each event
	}
}

// Webhook returns one webhook with its events; cause [NotFound] where it is
// gone.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	k := webhookCalls("webhook")
	k.refused, k.denied = HaloError, PermissionMissing
	body, err := c.do(ctx, k, http.MethodGet, c.endpoint(url.Values{"includedetails": {"true"}}, "Webhook", id), nil)
	if err != nil {
		return Webhook{}, err
	}
	rows, _, ok := readRows(body, "webhooks")
	if !ok {
		return Webhook{}, c.unreadable(k)
	}
	for _, row := range rows {
		if w, ok := readWebhook(row); ok && strings.EqualFold(w.ID, id) {
			return w, nil
		}
	}
	// Some versions answer a webhook that is gone with 200 and nothing.
	return Webhook{}, describe(NotFound, c.base.Host, http.StatusOK, "", nil)
}

// Webhooks lists all webhooks of the tenant, those of others too. Of a list that
// ends before it should they come with an error of cause [ListIncomplete].
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	k := webhookCalls("webhooks")
	k.refused, k.denied = HaloError, PermissionMissing
	rows, err := c.list(ctx, list{call: k, resource: "Webhook", member: "webhooks", key: rowID})
	if err != nil && CauseOf(err) != ListIncomplete {
		return nil, err
	}
	var hooks []Webhook
	for _, row := range rows {
		if w, ok := readWebhook(row); ok {
			hooks = append(hooks, w)
		}
	}
	return hooks, err
}

// DeleteWebhook removes a webhook. One that is gone already is no error.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.delete(ctx, webhookCalls("delete webhook"), "Webhook", id)
}

func (c *Client) delete(ctx context.Context, k call, resource, id string) error {
	k.denied, k.refused = PermissionMissing, HaloError
	_, err := c.do(ctx, k, http.MethodDelete, c.endpoint(nil, resource, id), nil)
	if CauseOf(err) == NotFound {
		return nil
	}
	return err
}

// readWebhook reads one row; ok is false where it has no id.
func readWebhook(row json.RawMessage) (w Webhook, ok bool) {
	var r struct {
		ID             text            `json:"id"`
		Name           text            `json:"name"`
		URL            text            `json:"url"`
		Active         flag            `json:"active"`
		Disabled       flag            `json:"disabled"`
		LastStatus     number          `json:"last_status"`
		AutoDisabledAt date            `json:"last_auto_disable_date"`
		Events         json.RawMessage `json:"events"`
	}
	if len(row) == 0 || json.Unmarshal(row, &r) != nil || r.ID == "" {
		return Webhook{}, false
	}
	w = Webhook{
		ID: string(r.ID), Name: string(r.Name), URL: string(r.URL), Active: bool(r.Active), Disabled: bool(r.Disabled),
		LastStatus: int(r.LastStatus), AutoDisabledAt: time.Time(r.AutoDisabledAt),
	}
	events, _, _ := readRows(r.Events, "events")
	for _, event := range events {
		if n, ok := readBinding(event); ok {
			w.Events = append(w.Events, n)
		}
	}
	return w, true
}
