package halopsa

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// Notification binds one event to a webhook. Its ID comes with every delivery
// as notification_id: the key of the event's kind that no renaming changes.
type Notification struct {
	ID        int64
	Event     int64 // the event's number in the catalogue
	Name      string
	WebhookID string
}

// notificationCalls are the calls about notifications.
func notificationCalls(name string) call {
	return call{name: name, refused: NotificationRefused, denied: NotificationRefused, absent: NotFound}
}

// CreateNotification binds n.Event to n.WebhookID under n.Name, and returns the
// notification's id. n.ID is not looked at.
func (c *Client) CreateNotification(ctx context.Context, n Notification) (int64, error) {
	k := notificationCalls("create notification")
	k.absent = NotificationRefused
	row, err := c.post(ctx, k, "Notification", "notifications", map[string]any{
		"guid":            nil, // must be there, and null (seen on live tenants)
		"eventno":         n.Event,
		"name":            n.Name,
		"type":            -2,
		"delivery_method": 6, // webhook
		"agent_id":        0,
		"webhook_id":      n.WebhookID,
	})
	if err != nil {
		return 0, err
	}
	if made, ok := readNotification(row); ok {
		return made.ID, nil
	}
	return 0, describe(NotificationRefused, c.base.Host, http.StatusOK, "", nil)
}

// Notifications lists all notifications of the tenant, those of others too. Of a
// list that ends before it should they come with an error of cause
// [ListIncomplete].
func (c *Client) Notifications(ctx context.Context) ([]Notification, error) {
	k := notificationCalls("notifications")
	k.refused, k.denied = HaloError, PermissionMissing
	rows, err := c.list(ctx, list{call: k, resource: "Notification", member: "notifications", key: rowID})
	if err != nil && CauseOf(err) != ListIncomplete {
		return nil, err
	}
	var all []Notification
	for _, row := range rows {
		if n, ok := readNotification(row); ok {
			all = append(all, n)
		}
	}
	return all, err
}

// DeleteNotification removes a notification. One that is gone already is no
// error.
func (c *Client) DeleteNotification(ctx context.Context, id int64) error {
	return c.delete(ctx, notificationCalls("delete notification"), "Notification", strconv.FormatInt(id, 10))
}

// readNotification reads one row; ok is false where it has no usable id.
func readNotification(row json.RawMessage) (n Notification, ok bool) {
	n, ok = readBinding(row)
	return n, ok && n.ID > 0
}

// readBinding reads one row of a webhook's events. The vendor's schema promises
// neither the id nor the event's number; ok is false where it has none of them.
func readBinding(row json.RawMessage) (n Notification, ok bool) {
	var r struct {
		ID        number `json:"id"`
		Event     number `json:"eventno"`
		Name      text   `json:"name"`
		WebhookID text   `json:"webhook_id"`
	}
	if len(row) == 0 || json.Unmarshal(row, &r) != nil || r.ID <= 0 && r.Event <= 0 {
		return Notification{}, false
	}
	return Notification{ID: int64(r.ID), Event: int64(r.Event), Name: string(r.Name), WebhookID: string(r.WebhookID)}, true
}
