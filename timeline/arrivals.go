package timeline

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// LastDelivery is when the tenant's last event arrived; zero where none ever
// did. It reads the log: a repeat is a delivery too. The last hours are looked at
// first, which is all that there is to see for a connection in use.
func (t *Timeline) LastDelivery(ctx context.Context, tenant schemas.Tenant) (time.Time, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	for w := newWindows(control.Query{}, t.now()); ; {
		from, to, ok := w.step()
		if !ok {
			return time.Time{}, nil
		}
		c := conditions{}.and("tenant_id = ?", string(tenant)).span("received_at", from, to)
		var millis int64
		if err := t.each(ctx, "SELECT toUnixTimestamp64Milli(max(received_at)) FROM outcomes_log WHERE "+c.where(), c.args,
			func(rows driver.Rows) error { return rows.Scan(&millis) }); err != nil {
			return time.Time{}, fmt.Errorf("last delivery: %w", err)
		}
		if millis > 0 {
			return time.UnixMilli(millis).UTC(), nil
		}
	}
}

// ArrivalSpan is the length of the spans of [Timeline.Arrivals].
const ArrivalSpan = 10 * time.Minute

// Arrivals are the spans since since in which events arrived, by their beginning,
// ascending.
func (t *Timeline) Arrivals(ctx context.Context, tenant schemas.Tenant, since time.Time) ([]time.Time, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	var out []time.Time
	err := t.each(ctx, `
		SELECT DISTINCT toInt64(intDiv(toUnixTimestamp64Milli(received_at), ?)) AS span FROM outcomes_log
		WHERE tenant_id = ? AND received_at >= `+at+` ORDER BY span`,
		[]any{ArrivalSpan.Milliseconds(), string(tenant), since.UnixMilli()},
		func(rows driver.Rows) error {
			var span int64
			err := rows.Scan(&span)
			out = append(out, time.UnixMilli(span*ArrivalSpan.Milliseconds()).UTC())
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("arrivals: %w", err)
	}
	return out, nil
}

// since are the events that arrived since since, folded by hand: of the rows of
// an event that arrived in that time the first counts. What else was asked for of
// the log is found by the index on received_at, as it could not under FINAL. An
// event that first arrived earlier, and again since, is told as it was judged
// the second time.
const since = `
	SELECT argMax(reason, version) AS reason, argMax(agent_id, version) AS agent, min(received_at) AS received
	FROM outcomes_log WHERE tenant_id = ? AND received_at >= ` + at + `
	GROUP BY event_time, activity_id`

// Coverage is what became of the events that arrived since the instant.
func (t *Timeline) Coverage(ctx context.Context, tenant schemas.Tenant, from time.Time) (control.Coverage, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	c := control.Coverage{Skipped: map[schemas.Reason]int64{}}
	err := t.each(ctx, "SELECT reason, toInt64(count()) FROM ("+since+") GROUP BY reason", []any{string(tenant), from.UnixMilli()},
		func(rows driver.Rows) error {
			var reason string
			var n int64
			err := rows.Scan(&reason, &n)
			count(&c, schemas.Reason(reason), n)
			return err
		})
	if err != nil {
		return control.Coverage{}, fmt.Errorf("coverage: %w", err)
	}
	return c, nil
}

// Unmapped are the agents whose events arrived since the instant and were
// skipped because they were mapped to nobody, the busiest first, at most 1,000:
// among them those whom Halo's last list had not. An event that was credited at
// its first arrival and skipped at a repeat is counted too, which is what there is
// to see of an agent who was unmapped.
func (t *Timeline) Unmapped(ctx context.Context, tenant schemas.Tenant, from time.Time) ([]control.AgentCount, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out := []control.AgentCount{}
	query, args := unmappedQuery(tenant, from)
	err := t.each(ctx, query, args, func(rows driver.Rows) error {
		var a control.AgentCount
		err := rows.Scan((*uint64)(&a.AgentID), &a.Events, &a.LastAt)
		a.LastAt = a.LastAt.UTC()
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("unmapped agents: %w", err)
	}
	return out, nil
}

func unmappedQuery(tenant schemas.Tenant, from time.Time) (string, []any) {
	return "SELECT agent_id, toInt64(uniqExact(activity_id)) AS events, max(received_at) FROM outcomes_log WHERE tenant_id = ? AND received_at >= " + at +
		" AND reason = 'unmapped' GROUP BY agent_id ORDER BY events DESC, agent_id LIMIT " + fmt.Sprint(most), []any{string(tenant), from.UnixMilli()}
}
