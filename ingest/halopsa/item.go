package halopsa

import (
	"math"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// item is what one item of a delivery says, before it is compared with what is
// known of the connection. Tokens stay in the body until they are needed.
type item struct {
	at       span // the item itself
	marked   bool // has a member that only envelopes and tickets have
	known    bool // is told apart by more than a number: see standsAlone
	byAction bool // has its ticket from its action only

	escmsg, id, webhook, event span
	notification               int64

	ticket        uint64
	assignee      schemas.AgentID
	actor         schemas.AgentID
	actorType     schemas.ActorType
	envelopeAgent schemas.AgentID
	status        int32 // the ticket's
	newStatus     int32 // the action's
	action        uint64
	time          time.Time // the delivery's timestamp; zero where there is none
	changed       time.Time // the action's time, or the ticket's last update; zero where there is none
}

func (it item) hasEnvelope() bool { return it.marked || it.ticket > 0 }

// standsAlone reports whether a lone object is the delivery's one item, however
// many arrays it holds: a ticket has custom fields, attachments and actions. An
// object with nothing but a number may be a wrapper that is numbered.
func (it *item) standsAlone() bool { return it.ticket > 0 && it.known }

// inherit takes what the item does not say from the object around it.
func (it *item) inherit(outer *item) {
	if it.webhook == (span{}) {
		it.webhook = outer.webhook
	}
	if it.notification == 0 && it.event == (span{}) {
		it.notification, it.event = outer.notification, outer.event
	}
}

// read makes an item of the objects that were remembered.
func (w *walker) read(it *item) {
	envelope := &w.objects[rEnvelope]
	ticket, hasTicket := w.ticket()
	action, numbered := w.action()

	it.escmsg = envelope.span(fEscmsgID)
	it.id = envelope.span(fID)
	it.webhook = envelope.span(fWebhookID)
	it.event = envelope.span(fEvent)
	it.notification = w.int(envelope, fNotificationID)
	it.envelopeAgent = schemas.AgentID(w.uint(envelope, fAgentID))

	it.ticket = w.first(
		place{envelope, fTicketID}, place{envelope, fTicketid}, place{ticket, fID},
		place{envelope, fObjectID}, place{envelope, fObjectid})
	if it.ticket == 0 {
		it.ticket = w.first(place{action, fTicketID}, place{action, fTicketid})
		it.byAction = it.ticket > 0
	}
	named := it.ticket > 0
	if !named {
		it.ticket = w.uint(envelope, fID)
	}
	if !hasTicket && (!named || envelope.any(ticketMarks)) {
		ticket = envelope // a bare ticket
	}
	it.marked = hasTicket ||
		envelope.any(envelopeFields&^(1<<fID|1<<fAgentID|1<<fTimestamp)) ||
		envelope.any(ticketMarks) && it.ticket > 0
	it.known = named || hasTicket || envelope.any(1<<fNotificationID|1<<fEscmsgID|1<<fEvent|ticketMarks)

	if ticket != nil {
		it.assignee = schemas.AgentID(w.uint(ticket, fAgentID))
		it.status = w.status(ticket, fStatusID)
	}
	if action != nil {
		if numbered {
			it.action = w.uint(action, fID)
		}
		it.newStatus = w.status(action, fNewStatus)
		it.actor, it.actorType = w.actor(action)
	}
	it.time = w.time(place{envelope, fTimestamp})
	if it.time.IsZero() && it.action == 0 {
		it.changed = w.time(place{action, fDatetime}, place{ticket, fLastUpdate})
	}
}

// identifyingTime is the time by which two events of one ticket are told apart
// where Halo gave neither of them an id: the delivery's timestamp.
//
// A bare ticket has none, and no action that is numbered. There its last change
// has to serve: without it, all changes of the ticket would have the same
// identity, and all but the first would be lost. It is no event time, and it is
// not asked where anything else tells the events apart, since it moves on: a
// delivery that Halo builds anew when it sends it again may bring a later one.
func (it *item) identifyingTime(eventTime time.Time) time.Time {
	if it.changed.IsZero() {
		return eventTime
	}
	return it.changed
}

// ticket finds the ticket among the objects, or nil.
func (w *walker) ticket() (*object, bool) {
	if o := &w.objects[rTicket]; o.any(ticketFields) {
		return o, true
	}
	for r := rObject; r <= rData; r++ {
		if o := &w.objects[r]; o.any(ticketFields&^(1<<fID)) && !o.any(actionMarks) {
			return o, true
		}
	}
	return nil, false
}

// action finds the action among the objects, or nil, and reports whether its id
// is that of an action.
func (w *walker) action() (action *object, numbered bool) {
	for r := rAction; r < numRoles; r++ {
		marks := actionFields
		switch r {
		case rObject, rData, rTicketObject, rTicketData:
			marks = actionMarks // they may hold anything that has an id
		}
		if o := &w.objects[r]; o.any(marks) {
			return o, true
		}
	}
	for _, r := range [...]role{rTicket, rEnvelope} {
		if o := &w.objects[r]; o.any(looseMarks) {
			return o, false
		}
	}
	return nil, false
}

// actor reads whom the action names. A who_type that is none of the three says
// that somebody acted who was not an agent, so nobody is named then.
func (w *walker) actor(action *object) (schemas.AgentID, schemas.ActorType) {
	var kind schemas.ActorType
	if who, negative, ok := w.number(action, fWhoType); ok {
		switch {
		case negative || who > 2:
			return 0, ""
		case who == 0:
			kind = schemas.ActorSystem
		case who == 1:
			kind = schemas.ActorAgent
		case who == 2:
			kind = schemas.ActorEndUser
		}
	}
	agent := schemas.AgentID(w.uint(action, fWhoAgentid))
	if agent <= 1 {
		agent = schemas.AgentID(w.uint(action, fActionbyAgentID))
	}
	if agent <= 1 {
		agent = 0
	}
	return agent, kind
}

// place is a member of an object that may be nil.
type place struct {
	o *object
	f field
}

// span is where the value of f stands, or zero.
func (o *object) span(f field) span {
	if o == nil || !o.any(1<<f) {
		return span{}
	}
	return o.at[f]
}

// number reads a member as a whole number.
func (w *walker) number(o *object, f field) (magnitude uint64, negative, ok bool) {
	token := w.token(o.span(f))
	t := text(token, &w.buf)
	if len(token) > 0 && token[0] == '"' && len(t) > maxNumberText {
		return 0, false, false
	}
	return whole(t)
}

// uint reads an id: 0 where there is none.
func (w *walker) uint(o *object, f field) uint64 {
	v, negative, ok := w.number(o, f)
	if !ok || negative {
		return 0
	}
	return v
}

// int reads a number that may be negative: 0 where there is none.
func (w *walker) int(o *object, f field) int64 {
	v, negative, ok := w.number(o, f)
	switch {
	case !ok || v > math.MaxInt64:
		return 0
	case negative:
		return -int64(v)
	}
	return int64(v)
}

// status reads a status id: 0 where there is none.
func (w *walker) status(o *object, f field) int32 {
	v := w.uint(o, f)
	if v > math.MaxInt32 {
		return 0
	}
	return int32(v)
}

// first is the first of the places that holds an id above 0.
func (w *walker) first(places ...place) uint64 {
	for _, p := range places {
		if v := w.uint(p.o, p.f); v > 0 {
			return v
		}
	}
	return 0
}

// time is the first of the places that holds a time, else the zero time.
func (w *walker) time(places ...place) time.Time {
	for _, p := range places {
		if t, ok := parseTime(text(w.token(p.o.span(p.f)), &w.buf)); ok {
			return t
		}
	}
	return time.Time{}
}
