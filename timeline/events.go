package timeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Events are a tenant's events and what became of them, newest arrival first.
//
// They are found in two steps. The log, with its repeats, is asked for rows that
// match and arrived in a stretch of time: the index on received_at finds their
// granules, as it could not under FINAL. Of those, the rows that count are read
// folded, by their key, and matched again: a row that is only a repeat of
// something else is not told.
func (t *Timeline) Events(ctx context.Context, tenant schemas.Tenant, q control.Query) ([]control.Event, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	match := matching(tenant, q)
	limit := min(q.Limit, most+1)
	out := []control.Event{}
	after := q.After
	for w := newWindows(q, t.now()); len(out) < limit; {
		from, to, ok := w.step()
		if !ok {
			break
		}
		in := match.span("received_at", from, to)
		for len(out) < limit {
			ask := limit - len(out)
			keys, err := t.candidates(ctx, in.behind(after, "received_at"), ask)
			if err != nil {
				return nil, fmt.Errorf("events: %w", err)
			}
			if len(keys) == 0 {
				break
			}
			rows, err := t.folded(ctx, in, keys)
			if err != nil {
				return nil, fmt.Errorf("events: %w", err)
			}
			// Of an event that has several rows here, one was found by another's key.
			rows = slices.DeleteFunc(rows, func(e control.Event) bool { return !slices.ContainsFunc(keys, func(k key) bool { return k.tells(e) }) })
			out = append(out, rows...)
			if after, err = keys[len(keys)-1].position(); err != nil {
				return nil, fmt.Errorf("events: %w", err)
			}
			if len(keys) < ask {
				break
			}
		}
	}
	return out, nil
}

// matching are the filters of q but for its times.
func matching(tenant schemas.Tenant, q control.Query) conditions {
	c := conditions{}.and("tenant_id = ?", string(tenant))
	switch q.Outcome {
	case control.OutcomeActivity:
		c = c.and("reason = ''")
	case control.OutcomeSkip:
		c = c.and("reason != ''")
	}
	for _, f := range []struct{ column, value string }{{"reason", string(q.Reason)}, {"kind", string(q.Kind)}, {"user_id", string(q.User)}} {
		if f.value != "" {
			c = c.and(f.column+" = ?", f.value)
		}
	}
	if q.Ticket != 0 {
		c = c.and("ticket_id = ?", q.Ticket)
	}
	if q.Agent != 0 {
		c = c.and("agent_id = ?", uint64(q.Agent))
	}
	return c
}

// key is where a row is, and its place in the list. Times are in milliseconds.
type key struct {
	event    int64
	id       string
	received int64
}

func (k key) position() (*control.Position, error) {
	id, err := schemas.ParseID(k.id)
	return &control.Position{At: time.UnixMilli(k.received).UTC(), ID: id}, err
}

func (k key) tells(e control.Event) bool {
	return k.id == e.ID && k.received == e.ReceivedAt.UnixMilli()
}

// candidates are the first rows of the log that match, one for each event and
// arrival, in the order of the list.
func (t *Timeline) candidates(ctx context.Context, c conditions, limit int) ([]key, error) {
	var keys []key
	err := t.each(ctx, candidatesQuery(c, limit), c.args,
		func(rows driver.Rows) error {
			var k key
			err := rows.Scan(&k.event, &k.id, &k.received)
			keys = append(keys, k)
			return err
		})
	return keys, err
}

func candidatesQuery(c conditions, limit int) string {
	return `
		SELECT DISTINCT toUnixTimestamp64Milli(event_time), toString(activity_id) AS id, toUnixTimestamp64Milli(received_at) AS received
		FROM outcomes_log WHERE ` + c.where() + `
		ORDER BY received DESC, id DESC LIMIT ` + fmt.Sprint(limit)
}

// folded are the events of keys that match c when they are folded, in the order
// of the list.
func (t *Timeline) folded(ctx context.Context, c conditions, keys []key) ([]control.Event, error) {
	var out []control.Event
	query, args := foldedQuery(c, keys)
	err := t.each(ctx, query, args, func(rows driver.Rows) error {
		e, err := scanEvent(rows)
		out = append(out, e)
		return err
	})
	slices.SortFunc(out, func(a, b control.Event) int {
		return cmp.Or(b.ReceivedAt.Compare(a.ReceivedAt), cmp.Compare(b.ID, a.ID))
	})
	return out, err
}

func foldedQuery(c conditions, keys []key) (string, []any) {
	var in strings.Builder
	for i, k := range keys {
		if i > 0 {
			in.WriteByte(',')
		}
		fmt.Fprintf(&in, "(fromUnixTimestamp64Milli(%d, 'UTC'), toUUID('%s'))", k.event, k.id)
	}
	c = c.and("(event_time, activity_id) IN (" + in.String() + ")")
	// A filter that ran before the fold would let a repeat stand in for the first
	// arrival that it filtered out.
	return eventColumns + " FROM outcomes_log FINAL WHERE " + c.where() + `
		SETTINGS optimize_move_to_prewhere_if_final = 0, use_skip_indexes_if_final = 0, do_not_merge_across_partitions_select_final = 1`, c.args
}

const eventColumns = `SELECT toString(activity_id), kind, ticket_id, agent_id, user_id, reason, weight, credited_as, actor_type, status_id, occurred_at, received_at`

func scanEvent(rows driver.Rows) (control.Event, error) {
	var e control.Event
	err := rows.Scan(&e.ID, (*string)(&e.Kind), &e.Ticket, (*uint64)(&e.Agent), (*string)(&e.User), (*string)(&e.Reason), &e.Weight,
		(*string)(&e.CreditedAs), (*string)(&e.ActorType), &e.Status, &e.OccurredAt, &e.ReceivedAt)
	e.OccurredAt, e.ReceivedAt = e.OccurredAt.UTC(), e.ReceivedAt.UTC()
	e.Outcome = control.OutcomeActivity
	if e.Reason != "" {
		e.Outcome = control.OutcomeSkip
	}
	return e, err
}
