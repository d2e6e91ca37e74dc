package timeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Explain says what became of one event and why. It fails with
// [control.ErrUnknownEvent] where the tenant has no such event, it has not been
// judged yet, or it is of somebody who was erased.
func (t *Timeline) Explain(ctx context.Context, tenant schemas.Tenant, id schemas.ID) (control.Explanation, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	row, err := t.event(ctx, tenant, id)
	if err != nil {
		return control.Explanation{}, fmt.Errorf("explain an event: %w", err)
	}
	if t.mappings.Erased(tenant, "", row.ReceivedAt) || row.User != "" && t.mappings.Erased(tenant, row.User, row.ReceivedAt) {
		return control.Explanation{}, control.ErrUnknownEvent
	}
	e := control.Explanation{Outcome: row, Arrivals: 1, FirstReceivedAt: row.ReceivedAt}
	// Kafka and the control plane are asked side by side.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		facts, n, err := t.records.Arrivals(gctx, tenant, id, row.ReceivedAt)
		if err != nil {
			return fmt.Errorf("the event as it arrived: %w", err)
		}
		e.Facts, e.Arrivals = facts, max(n, 1)
		return nil
	})
	if row.Agent.Person() {
		g.Go(func() error {
			intervals, err := t.mappings.History(gctx, tenant, row.Agent)
			if errors.Is(err, control.ErrUnknownAgent) {
				intervals, err = []control.Interval{}, nil
			}
			e.Mapping = &control.MappingAt{Agent: row.Agent, Intervals: intervals, At: row.ReceivedAt}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return control.Explanation{}, err
	}
	e.Why = why(e)
	return e, nil
}

// event is the row that counts of an event. The index over the ids of the log
// finds it; of its rows the one with the greatest version is what a fold keeps.
func (t *Timeline) event(ctx context.Context, tenant schemas.Tenant, id schemas.ID) (control.Event, error) {
	var found *control.Event
	query, args := explainQuery(tenant, id)
	err := t.each(ctx, query, args, func(rows driver.Rows) error {
		e, err := scanEvent(rows)
		found = &e
		return err
	})
	if err != nil {
		return control.Event{}, err
	}
	if found == nil {
		return control.Event{}, control.ErrUnknownEvent
	}
	return *found, nil
}

func explainQuery(tenant schemas.Tenant, id schemas.ID) (string, []any) {
	return eventColumns + " FROM outcomes_log WHERE tenant_id = ? AND activity_id = toUUID(?) ORDER BY version DESC LIMIT 1", []any{string(tenant), id.String()}
}
