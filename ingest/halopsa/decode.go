package halopsa

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The ways in which a delivery is refused as a whole. None says anything of what
// the delivery holds.
var (
	ErrNotJSON = errors.New("halopsa: not JSON")
	ErrTooDeep = errors.New("halopsa: nested deeper than 1000 levels")
	ErrTooMany = errors.New("halopsa: more than 2000 items")
)

// Delivery is what is known of a delivery apart from its body.
type Delivery struct {
	Connection schemas.Connection // whose webhook was authenticated
	ReceivedAt time.Time          // when the request arrived
}

// Result is what a delivery says.
type Result struct {
	// Events has one event per item, in the delivery's order. Those that make
	// no activity have a refusal. It is empty where the delivery is a test: no
	// bytes but blanks, or JSON without a single name that Halo is known to use.
	// That is what an administrator's test button sends, and it says nothing of
	// a ticket because there is none.
	Events []schemas.Event

	// Items is how many items were found, also where they are too many.
	Items int

	// Fields helps to find out what Halo sent in the items that name no ticket.
	// It is zero where there are none.
	Fields FieldReport
}

// Decode reads one delivery. The error is [ErrNotJSON], [ErrTooDeep] or
// [ErrTooMany] as it is; then there are no events. The same bytes always give
// the same events, with the same ids, for one Connection.
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
	if skipSpace(body, 0) == len(body) {
		return Result{}, nil
	}
	w := walker{b: body}
	switch w.delivery() {
	case malformed:
		return Result{}, ErrNotJSON
	case tooDeep:
		return Result{}, ErrTooDeep
	}
	var r Result
	tickets := false
	for i := range w.items {
		if it := &w.items[i]; it.ticket > 0 {
			tickets = true
		} else {
			r.Fields.read(w.token(it.at))
		}
	}
	switch {
	case !tickets && len(r.Fields.Known) == 0:
		return Result{}, nil
	case w.surplus > 0:
		return Result{Items: len(w.items) + w.surplus}, ErrTooMany
	}
	slices.Sort(r.Fields.Known)
	r.Items = len(w.items)
	r.Events = make([]schemas.Event, len(w.items))
	for i := range w.items {
		r.Events[i] = w.event(&w.items[i], d)
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
	webhook, foreign := w.webhook(it.webhook, d.Connection.WebhookID)
	switch {
	case foreign:
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
		EventTime:    it.identifyingTime(e.EventTime),
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

// webhook reads the id of the webhook that sent an item, and reports whether it
// is another one than the connection's current webhook. No id is none, and so is
// a GUID of zeros, by which .NET programs say so; but a text that is no GUID
// names somebody, and whoever it is, it is not our webhook.
//
// A connection without a webhook is being made just now: then there is nothing to
// compare with.
func (w *walker) webhook(s span, current string) (id string, foreign bool) {
	token := w.token(s)
	t := text(token, &w.buf)
	switch id = string(unbraced(t)); {
	case len(token) == 0 || current == "":
		return id, false
	case id == "":
		return "", len(token) > maxText // longer than any id, and no blank
	case noGUID(t):
		return "", false
	}
	return id, !strings.EqualFold(id, unbraced(current))
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
