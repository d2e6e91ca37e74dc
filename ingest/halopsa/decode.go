package halopsa

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The two ways in which a delivery is refused as a whole. Neither says anything
// of what the delivery holds.
var (
	ErrNotJSON = errors.New("halopsa: not JSON")
	ErrTooDeep = errors.New("halopsa: nested deeper than 1000 levels")
)

// Delivery is what is known of a delivery apart from its body.
type Delivery struct {
	Connection schemas.Connection // whose webhook was authenticated
	ReceivedAt time.Time          // when the request arrived
}

// Result is what a delivery says.
type Result struct {
	// Events has one event per item, in the delivery's order; at least one.
	// Those that make no activity have a refusal.
	Events []schemas.Event

	// Fields helps to find out what Halo sent, where no item named a ticket.
	// Else it is zero.
	Fields FieldReport
}

// Decode reads one delivery. The error is [ErrNotJSON] or [ErrTooDeep] as it
// is; then there are no events. What is JSON always gives events: the same
// ones, with the same ids, whenever the same bytes are decoded.
//
// Strings with invalid UTF-8 or half a surrogate pair pass, and so does a byte
// order mark. The events share no memory with body.
func Decode(body []byte, d Delivery) (Result, error) {
	if len(body) >= 3 && string(body[:3]) == "\xef\xbb\xbf" {
		body = body[3:]
	}
	if len(body) > math.MaxInt32 {
		return Result{}, ErrNotJSON
	}
	w := walker{b: body}
	switch w.delivery() {
	case malformed:
		return Result{}, ErrNotJSON
	case tooDeep:
		return Result{}, ErrTooDeep
	}
	r := Result{Events: make([]schemas.Event, len(w.items))}
	tickets := false
	for i := range w.items {
		r.Events[i] = w.event(&w.items[i], d)
		tickets = tickets || w.items[i].ticket > 0
	}
	if !tickets {
		r.Fields = report(body)
	}
	return r, nil
}

// event judges an item by what is known of the connection.
func (w *walker) event(it *item, d Delivery) schemas.Event {
	received := schemas.Truncate(d.ReceivedAt)
	e := schemas.Event{
		Tenant:        d.Connection.Tenant,
		Connection:    d.Connection.ID,
		Ticket:        it.ticket,
		Assignee:      it.assignee,
		Actor:         it.actor,
		ActorType:     it.actorType,
		EnvelopeAgent: it.envelopeAgent,
		Status:        it.status,
		Action:        it.action,
		EventTime:     schemas.Epoch,
		ReceivedAt:    received,
	}
	if !it.time.IsZero() {
		e.EventTime = it.time
	}
	e.OccurredAt = schemas.OccurredAt(e.EventTime, received)

	kind, name := w.kind(it, d.Connection.Notifications)
	e.Kind = kind
	if e.Status == 0 && kind == schemas.StatusChanged {
		e.Status = it.newStatus
	}
	if it.ticket == 0 {
		e.Refusal = schemas.Undecodable
		e.ID = schemas.UndecodableID(e.Tenant, w.token(it.at))
		return e
	}
	// A connection without a webhook is being made just now: then there is
	// nothing to compare with.
	webhook := string(w.opaque(it.webhook))
	switch current := d.Connection.WebhookID; {
	case webhook != "" && current != "" && !strings.EqualFold(webhook, unbraced(current)):
		e.Refusal = schemas.StaleWebhook
	case kind == "":
		e.Refusal = schemas.UnknownKind
	}
	e.ID = schemas.Occurrence{
		Tenant:       e.Tenant,
		Kind:         kind,
		WebhookID:    webhook,
		EscMsgID:     string(w.opaque(it.escmsg)),
		DeliveryID:   w.deliveryID(it),
		Notification: it.notification,
		EventName:    name,
		Ticket:       it.ticket,
		EventTime:    e.EventTime,
		Action:       it.action,
	}.EventID()
	return e
}

// kind tells the kind by the notification, which no renaming in Halo changes,
// else by the name, which it returns in its folded form. The name is not read
// where the notification is known.
func (w *walker) kind(it *item, notifications map[int64]schemas.Kind) (kind schemas.Kind, name string) {
	if it.notification != 0 {
		if kind = notifications[it.notification]; kind != "" {
			return kind, ""
		}
	}
	name = string(foldName(text(w.token(it.event), &w.buf), &w.buf))
	return kindOf(name), name
}

// opaque reads an id that is compared or digested, and nothing else. A GUID in
// braces, as .NET programs may write it, is the same GUID.
func (w *walker) opaque(s span) []byte {
	t := text(w.token(s), &w.buf)
	if !isID(t) {
		return nil
	}
	return unbraced(t)
}

// deliveryID is the envelope's id, unless that is a number: a bare ticket's id
// is the same at everything that ever happens to it, and an action's is the
// same on every ticket. As an identity either would swallow events.
func (w *walker) deliveryID(it *item) string {
	id := w.opaque(it.id)
	if len(id) == 0 || w.b[it.id.from] != '"' {
		return ""
	}
	if _, _, number := whole(id); number {
		return ""
	}
	return string(id)
}
