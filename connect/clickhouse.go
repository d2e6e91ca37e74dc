package connect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/schemas"
)

// ClickHouse reads outcomes from the database of a connection, which the caller
// closes. It only reads. Its errors quote no row and no query.
type ClickHouse struct{ conn driver.Conn }

var _ Outcomes = (*ClickHouse)(nil)

// NewClickHouse reads through conn.
func NewClickHouse(conn driver.Conn) *ClickHouse { return &ClickHouse{conn} }

// queryTimeout bounds a query where the caller's context does not.
const queryTimeout = 15 * time.Second

// Activities implements [Outcomes].
//
// The order is (occurred_at, the id as text), both descending. ClickHouse sorts
// UUIDs by their second half and compares them the same way, but a cursor that
// rests on that would break with the day on which it changes.
func (c *ClickHouse) Activities(ctx context.Context, q Query) ([]Activity, error) {
	where := []string{"tenant_id = ?"}
	args := []any{string(q.Tenant)}
	and := func(cond string, values ...any) {
		where, args = append(where, cond), append(args, values...)
	}
	// Times go as milliseconds: the driver would cut a time.Time to seconds.
	const at = "fromUnixTimestamp64Milli(?, 'UTC')"
	if q.User != "" {
		and("user_id = ?", string(q.User))
	}
	if !q.From.IsZero() {
		and("occurred_at >= "+at, ceilMilli(q.From))
	}
	if !q.To.IsZero() {
		and("occurred_at < "+at, ceilMilli(q.To))
	}
	if p := q.After; p != nil {
		// The first condition is what prunes; the second is exact.
		and("occurred_at <= "+at, p.OccurredAt.UnixMilli())
		and("(occurred_at < "+at+" OR toString(activity_id) < ?)", p.OccurredAt.UnixMilli(), p.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := c.conn.Query(ctx, `
		SELECT toString(activity_id), tenant_id, user_id, category, kind, weight, ticket_id, agent_id, credited_as, status_id, occurred_at, received_at
		FROM activities WHERE `+strings.Join(where, " AND ")+`
		ORDER BY occurred_at DESC, toString(activity_id) DESC LIMIT `+fmt.Sprint(q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", clickhouse.Redact(err))
	}
	defer rows.Close()
	var out []Activity
	for rows.Next() {
		var a Activity
		if err := rows.Scan(&a.ID, &a.Tenant, &a.User, &a.Category, &a.Kind, &a.Weight, &a.Ticket, &a.Agent, &a.CreditedAs, &a.Status,
			&a.OccurredAt, &a.ReceivedAt); err != nil {
			return nil, fmt.Errorf("timeline: %w", clickhouse.Redact(err))
		}
		a.OccurredAt, a.ReceivedAt = a.OccurredAt.UTC(), a.ReceivedAt.UTC()
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("timeline: %w", clickhouse.Redact(err))
	}
	return out, nil
}

// ceilMilli makes bounds between two milliseconds mean what they say of rows
// that lie on whole ones.
func ceilMilli(t time.Time) int64 {
	n := t.UnixMilli()
	if time.UnixMilli(n).Before(t) {
		n++
	}
	return n
}

// occurredSlack is how much earlier than its arrival an event may have
// occurred, see [schemas.OccurredAt]: a bound on arrivals becomes one on
// occurred_at, by which ClickHouse prunes, when it is put this much earlier.
const occurredSlack = schemas.OccurredBefore + time.Hour

// LastDelivery implements [Outcomes]. It reads the raw table: a repeat is a
// delivery too. The last week is looked at first, which is all that there is to
// see for a connection in use.
func (c *ClickHouse) LastDelivery(ctx context.Context, tenant schemas.Tenant) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	for _, span := range []string{"AND occurred_at >= now64(3, 'UTC') - toIntervalSecond(?)", "AND ? > 0"} {
		var millis int64
		err := c.conn.QueryRow(ctx, `SELECT toUnixTimestamp64Milli(max(received_at)) FROM outcomes_log WHERE tenant_id = ? `+span,
			string(tenant), int64((7*24*time.Hour+occurredSlack)/time.Second)).Scan(&millis)
		if err != nil {
			return time.Time{}, fmt.Errorf("last delivery: %w", clickhouse.Redact(err))
		}
		if millis > 0 {
			return time.UnixMilli(millis).UTC(), nil
		}
	}
	return time.Time{}, nil
}

// Arrivals implements [Outcomes].
func (c *ClickHouse) Arrivals(ctx context.Context, tenant schemas.Tenant, since time.Time) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	rows, err := c.conn.Query(ctx, `
		SELECT DISTINCT toInt64(intDiv(toUnixTimestamp64Milli(received_at), ?)) AS span FROM outcomes_log
		WHERE tenant_id = ? AND received_at >= fromUnixTimestamp64Milli(?, 'UTC') AND occurred_at >= fromUnixTimestamp64Milli(?, 'UTC')
		ORDER BY span`,
		spanWidth.Milliseconds(), string(tenant), since.UnixMilli(), since.Add(-occurredSlack).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("arrivals: %w", clickhouse.Redact(err))
	}
	defer rows.Close()
	var out []time.Time
	for rows.Next() {
		var span int64
		if err := rows.Scan(&span); err != nil {
			return nil, fmt.Errorf("arrivals: %w", clickhouse.Redact(err))
		}
		out = append(out, time.UnixMilli(span*spanWidth.Milliseconds()).UTC())
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("arrivals: %w", clickhouse.Redact(err))
	}
	return out, nil
}

// Tally implements [Outcomes].
func (c *ClickHouse) Tally(ctx context.Context, tenant schemas.Tenant, since time.Time) (Tally, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	const arrived = ` WHERE tenant_id = ? AND received_at >= fromUnixTimestamp64Milli(?, 'UTC') AND occurred_at >= fromUnixTimestamp64Milli(?, 'UTC')`
	bounds := []any{string(tenant), since.UnixMilli(), since.Add(-occurredSlack).UnixMilli()}
	tally := Tally{Skipped: make(map[schemas.Reason]uint64)}
	if err := c.conn.QueryRow(ctx, `SELECT count() FROM activities`+arrived, bounds...).Scan(&tally.Activities); err != nil {
		return Tally{}, fmt.Errorf("tally: %w", clickhouse.Redact(err))
	}
	rows, err := c.conn.Query(ctx, `SELECT reason, agent_id, count() AS events FROM skipped`+arrived+`
		GROUP BY reason, agent_id ORDER BY events DESC, agent_id`, bounds...)
	if err != nil {
		return Tally{}, fmt.Errorf("tally: %w", clickhouse.Redact(err))
	}
	defer rows.Close()
	for rows.Next() {
		var reason string
		var agent, events uint64
		if err := rows.Scan(&reason, &agent, &events); err != nil {
			return Tally{}, fmt.Errorf("tally: %w", clickhouse.Redact(err))
		}
		tally.Skipped[schemas.Reason(reason)] += events
		if schemas.Reason(reason) == schemas.Unmapped && len(tally.Unmapped) < 20 {
			tally.Unmapped = append(tally.Unmapped, AgentCount{schemas.AgentID(agent), events})
		}
	}
	if err := rows.Err(); err != nil {
		return Tally{}, fmt.Errorf("tally: %w", clickhouse.Redact(err))
	}
	return tally, nil
}
