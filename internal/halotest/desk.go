package halotest

import (
	"context"
	"errors"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// errNoTicket is the Err of a delivery that was asked of a ticket that was
// never opened.
var errNoTicket = errors.New("simulated HaloPSA: no such ticket")

// closed is the status that "closed" usually has; 1 is "new".
const closed = 9

type ticket struct {
	id       uint64
	assignee schemas.AgentID
	status   int
	actions  int // how many it has: they are numbered for each ticket
	opened   time.Time
	story    story
}

// NewTicket opens a ticket assigned to an agent, 1 or 0 being nobody, and
// delivers "new ticket logged". Its opening message is the ticket's first
// action, written by an end user, and comes along.
func (s *Sim) NewTicket(ctx context.Context, assignee schemas.AgentID) (uint64, Deliveries) {
	s.mu.Lock()
	s.nextTicket++
	t := &ticket{
		id: s.nextTicket, assignee: assignee, status: 1, opened: s.cfg.Now(), story: s.newStory(),
	}
	s.tickets[t.id] = t
	items := s.occur(schemas.TicketLogged, t, s.act(t, 2, 0, t.status))
	s.mu.Unlock()
	return t.id, s.sendAll(ctx, items)
}

// Assign gives a ticket to another agent. None of the four kinds comes of it.
func (s *Sim) Assign(id uint64, agent schemas.AgentID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tickets[id]; ok {
		t.assignee = agent
	}
}

// ChangeStatus moves a ticket to another status and delivers "ticket status
// changed". by is the acting agent; 0 is the system itself.
func (s *Sim) ChangeStatus(ctx context.Context, id uint64, by schemas.AgentID) Deliveries {
	return s.onTicket(ctx, id, func(t *ticket) map[string][]envelope {
		from := t.status
		t.status = 2 + s.random.IntN(5)
		if t.status == from {
			t.status = 2 + (from-1)%5
		}
		return s.occur(schemas.StatusChanged, t, s.act(t, actor(by), by, from))
	})
}

// Close closes a ticket. Two events come of it, "ticket status changed" and
// "ticket updated by agent", as seen on live tenants.
func (s *Sim) Close(ctx context.Context, id uint64, by schemas.AgentID) Deliveries {
	return s.onTicket(ctx, id, func(t *ticket) map[string][]envelope {
		from := t.status
		t.status = closed
		action := s.act(t, actor(by), by, from)
		items := s.occur(schemas.StatusChanged, t, action)
		for hook, more := range s.occur(schemas.UpdatedByAgent, t, action) {
			items[hook] = append(items[hook], more...)
		}
		return items
	})
}

// UpdateByAgent adds a note by an agent and delivers "ticket updated by agent".
// Its action carries old_status and new_status too, as notes do.
func (s *Sim) UpdateByAgent(ctx context.Context, id uint64, by schemas.AgentID) Deliveries {
	return s.onTicket(ctx, id, func(t *ticket) map[string][]envelope {
		return s.occur(schemas.UpdatedByAgent, t, s.act(t, 1, by, t.status))
	})
}

// UpdateByUser adds a reply by the end user and delivers "ticket updated by
// user".
func (s *Sim) UpdateByUser(ctx context.Context, id uint64) Deliveries {
	return s.onTicket(ctx, id, func(t *ticket) map[string][]envelope {
		return s.occur(schemas.UpdatedByUser, t, s.act(t, 2, 0, t.status))
	})
}

func actor(by schemas.AgentID) int {
	if by == 0 {
		return 0 // the system
	}
	return 1
}

// onTicket lets happen something to a ticket and delivers what comes of it.
func (s *Sim) onTicket(ctx context.Context, id uint64, happen func(*ticket) map[string][]envelope) Deliveries {
	s.mu.Lock()
	t, ok := s.tickets[id]
	if !ok {
		s.mu.Unlock()
		return Deliveries{{Ticket: id, Err: errNoTicket}}
	}
	items := happen(t)
	s.mu.Unlock()
	return s.sendAll(ctx, items)
}

// occur makes the envelopes of one event, one for each webhook that listens to
// it. The caller holds the lock.
func (s *Sim) occur(kind schemas.Kind, t *ticket, action map[string]any) map[string][]envelope {
	s.counters.occurrences[kind]++
	items := make(map[string][]envelope)
	for _, hook := range s.sortedWebhooks() {
		if !hook.Active || hook.Disabled || hook.Deleted {
			continue
		}
		for _, n := range s.bound(hook.ID) {
			if n.event == eventNumber(kind) {
				items[hook.ID] = append(items[hook.ID], s.envelope(kind, t, action, hook.ID, n.id))
			}
		}
	}
	return items
}

// LateDelivery lets a webhook deliver a status change of a ticket although it
// may have been deleted or switched off: what was queued when it was.
func (s *Sim) LateDelivery(ctx context.Context, webhookID string, id uint64, by schemas.AgentID) Delivery {
	s.mu.Lock()
	t, ok := s.tickets[id]
	if !ok {
		s.mu.Unlock()
		return Delivery{Ticket: id, Webhook: webhookID, Err: errNoTicket}
	}
	var notification int64
	for _, n := range s.bound(webhookID) {
		if n.event == eventNumber(schemas.StatusChanged) {
			notification = n.id
		}
	}
	if notification == 0 {
		s.nextID++ // the notification is gone too; its id is nobody else's
		notification = s.nextID
	}
	item := s.envelope(schemas.StatusChanged, t, s.act(t, actor(by), by, t.status), webhookID, notification)
	s.mu.Unlock()
	return s.send(ctx, webhookID, []envelope{item}, Single)
}
