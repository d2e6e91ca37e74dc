package halopsa

import (
	"log/slog"
	"slices"
	"strings"
)

// FieldReport says which members a delivery had in which no ticket was found,
// so that somebody can see what Halo was told to send. It has names that this
// package knows anyway, in this package's spelling, and of all other names
// their number only: a custom payload may name its members after a person.
type FieldReport struct {
	Known  []string // sorted, without repeats
	Others int
}

// LogValue logs the report as a group.
func (r FieldReport) LogValue() slog.Value {
	return slog.GroupValue(slog.String("known", strings.Join(r.Known, " ")), slog.Int("others", r.Others))
}

// report looks at the outermost object, or at the objects of the outermost
// array. The body is JSON.
func report(b []byte) FieldReport {
	var r FieldReport
	i := skipSpace(b, 0)
	switch b[i] {
	case '{':
		r.object(b, i)
	case '[':
		w := walker{b: b}
		w.elements(i, func(i int) int {
			if b[i] == '{' {
				return r.object(b, i)
			}
			return skipValue(b, i, 0)
		})
	}
	slices.Sort(r.Known)
	return r
}

// object counts the members of the object at i and returns its end.
func (r *FieldReport) object(b []byte, i int) int {
	var buf [maxText]byte
	known := vocabulary()
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		end := skipString(b, i+1)
		r.add(text(b[i:end], &buf), known)
		i = skipValue(b, skipColon(b, end), 0)
		if i = skipSpace(b, i); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return i + 1
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
