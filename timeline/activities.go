package timeline

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Timeline are a tenant's activities, newest first, by when they occurred. It
// filters by From, To and User.
func (t *Timeline) Timeline(ctx context.Context, tenant schemas.Tenant, q control.Query) ([]control.Activity, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	who := conditions{}.and("tenant_id = ?", string(tenant))
	if q.User != "" {
		who = who.and("user_id = ?", string(q.User))
	}
	who = who.behind(q.After, "occurred_at")
	limit := min(q.Limit, most+1) // one more than a page tells whether there is a next
	out := []control.Activity{}
	for w := newWindows(q, t.now()); len(out) < limit; {
		from, to, ok := w.step()
		if !ok {
			break
		}
		in := who.span("occurred_at", from, to)
		err := t.each(ctx, `
			SELECT toString(activity_id), user_id, category, kind, weight, ticket_id, agent_id, credited_as, actor_type, status_id, occurred_at, received_at
			FROM activities WHERE `+in.where()+`
			ORDER BY occurred_at DESC, toString(activity_id) DESC LIMIT `+fmt.Sprint(limit-len(out)), in.args,
			func(rows driver.Rows) error {
				a := control.Activity{Tenant: tenant}
				err := rows.Scan(&a.ID, (*string)(&a.User), &a.Category, (*string)(&a.Kind), &a.Weight, &a.Ticket, (*uint64)(&a.Agent),
					(*string)(&a.CreditedAs), (*string)(&a.ActorType), &a.Status, &a.OccurredAt, &a.ReceivedAt)
				a.OccurredAt, a.ReceivedAt = a.OccurredAt.UTC(), a.ReceivedAt.UTC()
				out = append(out, a)
				return err
			})
		if err != nil {
			return nil, fmt.Errorf("timeline: %w", err)
		}
	}
	return out, nil
}
