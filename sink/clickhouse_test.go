package sink_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// migrated is a connection to an empty database with our schema. It keeps rows
// for ever: the suite has arrivals of every year, and the retention, which is
// proven where it is set, may take those at any moment.
func migrated(t testing.TB) driver.Conn {
	t.Helper()
	conn := clickhousetest.Migrated(t)
	if err := conn.Exec(t.Context(), "ALTER TABLE outcomes_log REMOVE TTL"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// views reads the two views, and bounds what it reads by where.
type views struct {
	conn  driver.Conn
	where string
}

var _ storetest.Reader = views{}

func (v views) Folded(ctx context.Context) ([]sink.Outcome, error) {
	activities, err := v.activities(ctx)
	if err != nil {
		return nil, err
	}
	skipped, err := v.skipped(ctx)
	return append(activities, skipped...), err
}

func (v views) query(ctx context.Context, query string, scan func(driver.Rows) (sink.Outcome, error)) (all []sink.Outcome, err error) {
	if v.where != "" {
		query += " WHERE " + v.where
	}
	rows, err := v.conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

func (v views) activities(ctx context.Context) ([]sink.Outcome, error) {
	return v.query(ctx, `SELECT activity_id, tenant_id, user_id, category, kind, weight, ticket_id, agent_id, credited_as, actor_type, status_id,
		occurred_at, received_at FROM activities`, func(rows driver.Rows) (sink.Outcome, error) {
		var (
			id                            uuid.UUID
			tenant, user, kind, as, actor string
			agent                         uint64
			o                             sink.Outcome
		)
		err := rows.Scan(&id, &tenant, &user, &o.Category, &kind, &o.Weight, &o.Ticket, &agent, &as, &actor, &o.Status, &o.OccurredAt, &o.ReceivedAt)
		o.ID, o.Tenant, o.User, o.Kind = schemas.ID(id), schemas.Tenant(tenant), schemas.UserID(user), schemas.Kind(kind)
		o.Agent, o.CreditedAs, o.ActorType = schemas.AgentID(agent), schemas.CreditedAs(as), schemas.ActorType(actor)
		return o, err
	})
}

func (v views) skipped(ctx context.Context) ([]sink.Outcome, error) {
	return v.query(ctx, `SELECT event_id, tenant_id, kind, ticket_id, agent_id, reason, occurred_at, received_at
		FROM skipped`, func(rows driver.Rows) (sink.Outcome, error) {
		var (
			id                   uuid.UUID
			tenant, kind, reason string
			agent                uint64
			o                    sink.Outcome
		)
		err := rows.Scan(&id, &tenant, &kind, &o.Ticket, &agent, &reason, &o.OccurredAt, &o.ReceivedAt)
		o.ID, o.Tenant, o.Kind = schemas.ID(id), schemas.Tenant(tenant), schemas.Kind(kind)
		o.Agent, o.Reason = schemas.AgentID(agent), schemas.Reason(reason)
		return o, err
	})
}

func TestClickHouseIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (sink.Store, storetest.Reader) {
		conn := migrated(t)
		return sink.NewClickHouse(conn), views{conn: conn}
	})
}

func in(rows []sink.Outcome, id schemas.ID) (n int) {
	for _, o := range rows {
		if o.ID == id {
			n++
		}
	}
	return n
}

// A filter that ran before the fold would hide an event's first arrival and
// show a repeat in its place: the event would be in both views, or on two days.
func TestAnEventIsInOneOfTheViewsWhateverIsAskedFor(t *testing.T) {
	conn := migrated(t)
	store := sink.NewClickHouse(conn)
	first := storetest.Skip(1)
	again := storetest.Activity(1)
	again.ReceivedAt = again.ReceivedAt.Add(40 * 24 * time.Hour)
	again.OccurredAt = schemas.OccurredAt(again.EventTime, again.ReceivedAt)
	if again.OccurredAt.Equal(first.OccurredAt) {
		t.Fatal("the repeat is shown when the first arrival is: this proves nothing")
	}
	// Enough of other events, so that the two lie in parts and granules apart.
	filler := func(from int, shift time.Duration) (rows []sink.Outcome) {
		for i := range 20_000 {
			a := storetest.Activity(from + i)
			a.EventTime = a.EventTime.Add(shift)
			a.OccurredAt, a.ReceivedAt = a.EventTime, a.EventTime
			rows = append(rows, sink.OfActivity(a))
		}
		return rows
	}
	for i, rows := range [][]sink.Outcome{
		append(filler(100_000, -time.Hour), sink.OfSkip(first)),
		append(filler(200_000, 40*24*time.Hour), sink.OfActivity(again)),
	} {
		if err := store.Append(t.Context(), storetest.Rows(rows...)); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	day := func(at time.Time) string {
		return fmt.Sprintf("toDate(occurred_at) = '%s'", at.Format(time.DateOnly))
	}
	span := func(at time.Time) string {
		return fmt.Sprintf("occurred_at >= toDateTime64('%[1]s', 3, 'UTC') AND occurred_at < toDateTime64('%[1]s', 3, 'UTC') + 60", at.Format(time.DateTime))
	}
	for _, tt := range []struct {
		where               string
		activities, skipped int
	}{
		{"1", 0, 1},
		{"tenant_id = 'acme-it'", 0, 1},
		{"tenant_id = 'acme-it' AND " + day(first.OccurredAt), 0, 1},
		{"tenant_id = 'acme-it' AND " + span(first.OccurredAt), 0, 1},
		// The later day is the day of the repeat only.
		{"tenant_id = 'acme-it' AND " + day(again.OccurredAt), 0, 0},
		{"tenant_id = 'acme-it' AND " + span(again.OccurredAt), 0, 0},
		{span(again.OccurredAt), 0, 0},
		{"tenant_id = 'acme-it' AND received_at >= toDateTime64('" + again.ReceivedAt.Format(time.DateTime) + "', 3, 'UTC')", 0, 0},
		{fmt.Sprintf("tenant_id = 'acme-it' AND ticket_id = %d", first.Ticket), 0, 1},
	} {
		v := views{conn, tt.where}
		activities, err := v.activities(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", tt.where, err)
		}
		skipped, err := v.skipped(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", tt.where, err)
		}
		if a, s := in(activities, first.ID), in(skipped, first.ID); a != tt.activities || s != tt.skipped {
			t.Errorf("where %s: %d times an activity and %d times a skip, want %d and %d", tt.where, a, s, tt.activities, tt.skipped)
		}
	}
	// Columns that only one of the views has.
	for _, where := range []string{"user_id = '" + string(again.User) + "'", "category = 'Ticket'", "credited_as = 'assignee'", "weight > 0"} {
		rows, err := views{conn, where}.activities(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := in(rows, first.ID); n != 0 || len(rows) == 0 {
			t.Errorf("activities where %s: %d times among %d rows, want none", where, n, len(rows))
		}
	}
}

// An event that is shown at its arrival lies among others that are shown at
// their own time: whoever asks for the day must find it, in whatever words.
func TestAnEventShownAtItsArrivalIsFoundByItsDay(t *testing.T) {
	conn := migrated(t)
	late := storetest.Activity(1)
	late.ReceivedAt = late.EventTime.Add(40 * 24 * time.Hour)
	late.OccurredAt = schemas.OccurredAt(late.EventTime, late.ReceivedAt)
	if !late.OccurredAt.Equal(late.ReceivedAt) {
		t.Fatal("the event is shown at its own time: this proves nothing")
	}
	rows := []sink.Outcome{sink.OfActivity(late)}
	for i := range 100 {
		rows = append(rows, sink.OfActivity(storetest.Activity(1000+i)))
	}
	if err := sink.NewClickHouse(conn).Append(t.Context(), storetest.Rows(rows...)); err != nil {
		t.Fatal(err)
	}
	day, next := late.ReceivedAt.Format(time.DateOnly), late.ReceivedAt.Add(24*time.Hour).Format(time.DateOnly)
	for _, query := range []string{
		"activities WHERE occurred_at >= '" + day + "' AND occurred_at < '" + next + "'",
		"activities WHERE toDate(occurred_at) = '" + day + "'",
		"activities WHERE toDate(occurred_at) >= '" + day + "' AND toDate(occurred_at) < '" + next + "'",
		"activities WHERE toStartOfDay(occurred_at) = '" + day + " 00:00:00'",
		"activities WHERE toMonday(occurred_at) = toMonday(toDate('" + day + "'))",
		"activities WHERE toDateTime(occurred_at) >= '" + day + " 00:00:00' AND toDateTime(occurred_at) < '" + next + " 00:00:00'",
		"activities WHERE toDate(occurred_at, 'UTC') = '" + day + "'",
		"daily_activity WHERE day = '" + day + "'",
		"daily_activity WHERE day >= '" + day + "' AND day < '" + next + "'",
	} {
		var n uint64
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM "+query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("%s: %d, want the one event", query, n)
		}
	}
}
