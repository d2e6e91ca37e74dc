package halopsa

import (
	"log/slog"
	"slices"
	"strings"
)

// FieldReport says which names stand in what has no ticket, so that somebody can
// see what Halo was told to send. It has names that this package knows anyway, in
// this package's spelling, and of all others their number only: a custom payload
// may name its members after a person.
type FieldReport struct {
	Known  []string // sorted, without repeats
	Others int
}

// LogValue logs the report as a group.
func (r FieldReport) LogValue() slog.Value {
	return slog.GroupValue(slog.String("known", strings.Join(r.Known, " ")), slog.Int("others", r.Others))
}

// read adds the names of all members in b, which is JSON: a name is a string
// before a colon.
func (r *FieldReport) read(b []byte) {
	var buf [maxText]byte
	known := vocabulary()
	for i := 0; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		end := skipString(b, i+1)
		if next := skipSpace(b, end); next < len(b) && b[next] == ':' {
			r.add(text(b[i:end], &buf), known)
		}
		i = end - 1
	}
}

func (r *FieldReport) add(name []byte, vocabulary []string) {
	for _, known := range vocabulary {
		if equalFold(name, known) {
			if !slices.Contains(r.Known, known) {
				r.Known = append(r.Known, known)
			}
			return
		}
	}
	r.Others++
}

// vocabulary is what Halo calls things in envelopes, tickets and actions (the
// vendor's API, and deliveries seen on live tenants). That a name is here does
// not mean that its value is read: see lookup for that.
func vocabulary() []string {
	return []string{
		"action", "actionby_agent_id", "actions", "agent_id", "attachments", "client_id", "client_name",
		"customfields", "data", "dateoccurred", "datetime", "details", "details_html", "emailtolist", "escmsg_id",
		"event", "guid", "hasbeenclosed", "id", "last_update", "lastactiondate", "message", "new_status", "note",
		"note_html", "notification_id", "object", "object_id", "objectid", "old_status", "outcome", "priority_id",
		"reportedby", "site_id", "site_name", "sla_id", "status_id", "summary", "team", "team_id", "ticket",
		"ticket_id", "ticketid", "tickettype_id", "timestamp", "user_email", "user_id", "user_name", "webhook_id",
		"who", "who_agentid", "who_type",
	}
}
