package timeline

import (
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// The queries as they are sent, for those who look at their plans.
var (
	EventsQuery = func(tenant schemas.Tenant, q control.Query, from, to time.Time) (string, []any) {
		c := matching(tenant, q).span("received_at", from, to)
		return candidatesQuery(c, 101), c.args
	}
	FoldedQuery = func(tenant schemas.Tenant, event time.Time, id string) (string, []any) {
		return foldedQuery(matching(tenant, control.Query{}), []key{{event: event.UnixMilli(), id: id}})
	}
	ExplainQuery = explainQuery
	SummaryQuery = func(tenant schemas.Tenant, from, to time.Time) (string, []any) {
		return tallies(tenant, []piece{{from.UnixMilli(), to.UnixMilli()}}, from, to)
	}
	UnmappedQuery = unmappedQuery
)
