package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// usualSpan and longestSpan are of a summary.
	usualSpan   = 30 * 24 * time.Hour
	longestSpan = 400 * 24 * time.Hour
)

// idOf is the id of a row, which the read model gives as a text.
func idOf(text string) schemas.ID {
	id, _ := schemas.ParseID(text) // one that is none would end the walk too early, and no more
	return id
}

func readingRoutes(a *API) {
	add(a, route{
		method: "GET", path: tenantPath + "/timeline", id: "getTimeline", scope: access.Read, everywhere: true,
		summary: "Activities, newest first", about: "from and to are of occurred_at.", says: "A page of activities",
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		User string `query:"user" maxLength:"200" doc:"Only this user's" example:"u-1042"`
		InRange
		InPage
	},
	) (*answer[control.Timeline], error) {
		q, err := page(in.InRange, in.InPage)
		if err != nil {
			return nil, err
		}
		q.User = schemas.UserID(in.User)
		rows, next, err := paged(q, func(r control.Activity) control.Position {
			return control.Position{At: r.OccurredAt, ID: idOf(r.ID)}
		}, func(q control.Query) ([]control.Activity, error) { return a.cfg.Reads.Timeline(ctx, c.tenant, q) })
		return &answer[control.Timeline]{control.Timeline{Activities: rows, Next: next}}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/events", id: "getEvents", scope: access.Read, everywhere: true,
		summary: "Events and what became of each, newest arrival first",
		about:   "from and to are of received_at. Filters that exclude each other give no rows.",
		says:    "A page of events",
		links: map[string]*huma.Link{
			"explain": {OperationID: "getEvent", Parameters: map[string]any{"tenant": "$request.path.tenant", "event": "$response.body#/events/0/event_id"}},
		},
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Outcome string `query:"outcome" enum:"activity,skip"`
		Reason  string `query:"reason" enum:"unmapped,unassigned,unknown_kind,stale_webhook,undecodable" doc:"Of skips"`
		Kind    string `query:"kind" enum:"ticket_logged,status_changed,updated_by_agent,updated_by_user"`
		Ticket  int64  `query:"ticket" minimum:"1" maximum:"9007199254740991" example:"1042"`
		Agent   int64  `query:"agent" minimum:"1" maximum:"9007199254740991" example:"42" doc:"The credited agent"`
		User    string `query:"user" maxLength:"200" example:"u-1042"`
		InRange
		InPage
	},
	) (*answer[control.Events], error) {
		q, err := page(in.InRange, in.InPage)
		if err != nil {
			return nil, err
		}
		q.Outcome, q.Reason, q.Kind = in.Outcome, schemas.Reason(in.Reason), schemas.Kind(in.Kind)
		q.Ticket, q.Agent, q.User = uint64(in.Ticket), schemas.AgentID(in.Agent), schemas.UserID(in.User)
		rows, next, err := paged(q, func(r control.Event) control.Position {
			return control.Position{At: r.ReceivedAt, ID: idOf(r.ID)}
		}, func(q control.Query) ([]control.Event, error) { return a.cfg.Reads.Events(ctx, c.tenant, q) })
		return &answer[control.Events]{control.Events{Events: rows, Next: next}}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/events/{event}", id: "getEvent", scope: access.Read, everywhere: true,
		summary: "What became of one event, and why", says: "The explanation",
		refuses: map[int]string{http.StatusNotFound: "unknown_event: the tenant has no such event, it is not judged yet, or it is of somebody who was erased"},
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Event schemas.ID `path:"event" example:"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11" doc:"The event's id, which its activity has too"`
	},
	) (*answer[control.Explanation], error) {
		e, err := a.cfg.Reads.Explain(ctx, c.tenant, in.Event)
		e.Why = orNone(e.Why)
		if e.Mapping != nil {
			e.Mapping.Intervals = orNone(e.Mapping.Intervals)
		}
		return &answer[control.Explanation]{e}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/deliveries", id: "getDeliveries", scope: access.Read, everywhere: true,
		summary: "The last deliveries that were refused or undecodable, newest first", says: "Deliveries",
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Limit int64 `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	},
	) (*answer[control.Deliveries], error) {
		rows, err := a.cfg.Reads.Deliveries(ctx, c.tenant, int(in.Limit))
		rows = orNone(rows)
		for i := range rows {
			rows[i].Fields = orNone(rows[i].Fields)
		}
		return &answer[control.Deliveries]{control.Deliveries{Deliveries: rows}}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/summary", id: "getSummary", scope: access.Read, everywhere: true,
		summary: "Counts for plots: by day, by hour and weekday, by user, and what share became activities",
		about:   "from and to are of occurred_at: the last 30 days, at most 400. users and agents_skipped are the first of them, by score and by events.",
		says:    "The summary",
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		InRange
		Zone  string `query:"zone" maxLength:"64" default:"UTC" example:"Europe/Berlin" doc:"Whose days and hours: a name of IANA's time zone database"`
		Limit int64  `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most users and the most agents"`
	},
	) (*answer[control.Summary], error) {
		s, err := a.summary(ctx, c.tenant, in.InRange, in.Zone)
		s.Users, s.AgentsSkipped = s.Users[:min(len(s.Users), int(in.Limit))], s.AgentsSkipped[:min(len(s.AgentsSkipped), int(in.Limit))]
		s.ByDay, s.Users, s.AgentsSkipped = orNone(s.ByDay), orNone(s.Users), orNone(s.AgentsSkipped)
		if s.Coverage.Skipped == nil {
			s.Coverage.Skipped = map[schemas.Reason]int64{}
		}
		return &answer[control.Summary]{s}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/changes", id: "getChanges", scope: access.Read, everywhere: true,
		summary: "The audit trail: who changed what, and what the connector did by itself, newest first",
		about:   "from and to are of at. A change is seen within five seconds of its answer.", says: "A page of changes",
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		InRange
		InPage
	},
	) (*answer[control.Changes], error) {
		q, err := page(in.InRange, in.InPage)
		if err != nil {
			return nil, err
		}
		rows, next, err := paged(q, func(r control.Change) control.Position {
			return control.Position{At: r.At, ID: idOf(r.ID)}
		}, func(q control.Query) ([]control.Change, error) { return a.cfg.Reads.Changes(ctx, c.tenant, q) })
		return &answer[control.Changes]{control.Changes{Changes: rows, Next: next}}, err
	})
}

func (a *API) summary(ctx context.Context, t schemas.Tenant, r InRange, name string) (control.Summary, error) {
	if !isZone(name) {
		return control.Summary{}, invalid("query.zone: there is no such time zone in IANA's database.")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return control.Summary{}, err
	}
	from, to := r.From.Time, r.To.Time
	if to.IsZero() {
		to = a.now()
	}
	if from.IsZero() {
		from = to.Add(-usualSpan)
	}
	switch {
	case to.Sub(from) > longestSpan:
		return control.Summary{}, invalid("from and to are at most 400 days apart.")
	case !from.Before(to):
		return control.Summary{}, nil // as every list, nothing is between them
	}
	return a.cfg.Reads.Summary(ctx, t, from, to, zone)
}
