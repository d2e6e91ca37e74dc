package halotest

import (
	"fmt"
	"maps"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// An envelope is one item of a delivery, and what the simulation wants to know
// about it.
type envelope struct {
	kind   schemas.Kind
	ticket uint64
	fields map[string]any
}

// again is the same occurrence in another delivery, as when an administrator
// sends it again from the delivery log.
func (e envelope) again(deliveryID string) envelope {
	e.fields = maps.Clone(e.fields)
	e.fields["id"] = deliveryID
	return e
}

const (
	// inner is how dates inside objects look: UTC without saying so.
	inner = "2006-01-02T15:04:05.999"

	// stamp is how the envelope's timestamp looks.
	stamp = "2006-01-02T15:04:05.0000000Z"
)

// envelope makes an item in the form seen on a live tenant, with the whole
// ticket and action. The caller holds the lock.
func (s *Sim) envelope(kind schemas.Kind, t *ticket, action map[string]any, webhookID string, notification int64) envelope {
	name := s.eventName(kind)
	return envelope{kind: kind, ticket: t.id, fields: map[string]any{
		"id":              s.guid(),
		"webhook_id":      webhookID,
		"notification_id": s.number(notification),
		"escmsg_id":       s.guid(),
		"event":           name,
		"message":         fmt.Sprintf("%s: %07d %s", name, t.id, t.story.subject),
		"object_id":       s.number(int64(t.id)),
		"agent_id":        s.number(int64(t.assignee)),
		"timestamp":       s.cfg.Now().UTC().Format(stamp),
		"ticket":          s.ticketObject(t),
		"action":          action,
	}}
}

// ticketObject is a full ticket: most of it is content.
func (s *Sim) ticketObject(t *ticket) map[string]any {
	closedAt := "1899-12-30T00:00:00"
	if t.status == closed {
		closedAt = s.cfg.Now().UTC().Format(inner)
	}
	return map[string]any{
		"id": s.number(int64(t.id)), "agent_id": s.number(int64(t.assignee)), "status_id": s.number(int64(t.status)),
		"tickettype_id": 25, "hasbeenclosed": t.status == closed, "last_update": s.cfg.Now().UTC().Format(inner),

		"summary": t.story.subject, "details": t.story.opening, "details_html": "<p>" + t.story.opening + "</p>",
		"client_id": 12, "client_name": t.story.company, "site_id": 18, "site_name": t.story.company + " / Main office",
		"user_id": 412, "user_name": t.story.user, "user_email": t.story.email, "reportedby": t.story.email,
		"emailcclist": "desk@" + t.story.domain, "phonenumber": t.story.phone, "team": "Service Desk", "team_id": 5,
		"dateoccurred": t.opened.UTC().Format(inner), "dateclosed": closedAt, "deadlinedate": t.opened.Add(8 * time.Hour).UTC().Format(inner),
		"priority_id": 3, "impact": 2, "urgency": 2, "category_1": t.story.category, "sla_id": 4, "workflow_id": 0,
		"closure_note": "", "notepad": "Calls back after 14:00. Key to the server room: code " + t.story.phone,
		"customfields": []any{
			map[string]any{"id": 201, "name": "CFBuilding", "value": "North wing, second floor", "display": "North wing"},
			map[string]any{"id": 202, "name": "CFContactMobile", "value": t.story.phone},
		},
		"attachments": []any{map[string]any{"id": 7001, "filename": "screenshot of " + t.story.user + ".png", "desc": t.story.subject}},
		"assets":      []any{map[string]any{"id": 310, "inventory_number": "LT-0310", "username": t.story.user}},
	}
}

// act writes a ticket's next action. who is 0 for the system, 1 for an agent,
// 2 for an end user. The caller holds the lock.
func (s *Sim) act(t *ticket, who int, by schemas.AgentID, oldStatus int) map[string]any {
	t.actions++
	name, outcome, note := t.story.user, "Email from user", s.reply()
	switch who {
	case 0:
		name, outcome, note = "System", "Status changed by rule", "The status was changed by a rule."
	case 1:
		name, outcome, note = s.agentName(by), "Private note", s.note()
	}
	if t.actions == 1 {
		outcome, note = "First user email", t.story.opening
	}
	return map[string]any{
		"id": s.number(int64(t.actions)), "ticket_id": s.number(int64(t.id)),
		"who_type": who, "who_agentid": s.number(int64(by)), "actionby_agent_id": s.number(int64(by)),
		"old_status": oldStatus, "new_status": t.status, "datetime": s.cfg.Now().UTC().Format(inner),

		"who": name, "outcome": outcome, "outcome_id": 16, "note": note, "note_html": "<div>" + note + "</div>",
		"emailfrom": t.story.email, "emailto": "desk@" + t.story.domain, "emailsubject": "RE: " + t.story.subject,
		"hiddenfromuser": who == 1, "timetaken": 0.25, "actionby_name": name, "user_name": t.story.user,
		"attachments": []any{}, "guid": s.guid(),
	}
}

func (s *Sim) agentName(id schemas.AgentID) string {
	for _, a := range s.agents {
		if a.ID == id {
			return a.Name
		}
	}
	return "Unassigned"
}
