package timeline

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// LastDeliveries are, for all tenants, when their last event since the instant
// arrived. A question of its own for each of ten thousand would cost as many times
// more.
func (t *Timeline) LastDeliveries(ctx context.Context, since time.Time) (map[schemas.Tenant]time.Time, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	all := make(map[schemas.Tenant]time.Time)
	err := t.each(ctx, "SELECT tenant_id, max(received_at) FROM outcomes_log WHERE received_at >= "+at+" GROUP BY tenant_id", []any{since.UnixMilli()},
		func(rows driver.Rows) error {
			var tenant string
			var last time.Time
			err := rows.Scan(&tenant, &last)
			all[schemas.Tenant(tenant)] = last.UTC()
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("last deliveries: %w", err)
	}
	return all, nil
}

// AllUnmapped is Unmapped for all tenants at once, of each the busiest hundred.
func (t *Timeline) AllUnmapped(ctx context.Context, from time.Time) (map[schemas.Tenant][]control.AgentCount, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	all := make(map[schemas.Tenant][]control.AgentCount)
	err := t.each(ctx, "SELECT tenant_id, agent_id, toInt64(uniqExact(activity_id)) AS events, max(received_at) FROM outcomes_log WHERE received_at >= "+at+
		" AND reason = 'unmapped' GROUP BY tenant_id, agent_id ORDER BY tenant_id, events DESC, agent_id LIMIT 100 BY tenant_id", []any{from.UnixMilli()},
		func(rows driver.Rows) error {
			var tenant string
			var a control.AgentCount
			err := rows.Scan(&tenant, (*uint64)(&a.AgentID), &a.Events, &a.LastAt)
			a.LastAt = a.LastAt.UTC()
			all[schemas.Tenant(tenant)] = append(all[schemas.Tenant(tenant)], a)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("unmapped agents: %w", err)
	}
	return all, nil
}
