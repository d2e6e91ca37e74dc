package connect_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/schemas"
)

// outcomes is what became of deliveries, in memory. Its timeline passes the
// tests of the real one.
type outcomes struct {
	mu         sync.Mutex
	activities []connect.Activity
	last       map[schemas.Tenant]time.Time
	arrivals   map[schemas.Tenant][]time.Time
	tally      map[schemas.Tenant]connect.Tally
	err        error
}

var _ connect.Outcomes = (*outcomes)(nil)

// set changes what is told.
func (o *outcomes) set(change func(*outcomes)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = make(map[schemas.Tenant]time.Time)
		o.arrivals = make(map[schemas.Tenant][]time.Time)
		o.tally = make(map[schemas.Tenant]connect.Tally)
	}
	change(o)
}

func (o *outcomes) Activities(_ context.Context, q connect.Query) ([]connect.Activity, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rows []connect.Activity
	for _, a := range o.activities {
		p := q.After
		switch {
		case a.Tenant != string(q.Tenant), q.User != "" && a.User != string(q.User):
		case !q.From.IsZero() && a.OccurredAt.Before(q.From), !q.To.IsZero() && !a.OccurredAt.Before(q.To):
		case p != nil && cmp.Or(a.OccurredAt.Compare(p.OccurredAt), cmp.Compare(a.ID, p.ID)) >= 0:
		default:
			rows = append(rows, a)
		}
	}
	slices.SortFunc(rows, func(a, b connect.Activity) int {
		return cmp.Or(b.OccurredAt.Compare(a.OccurredAt), cmp.Compare(b.ID, a.ID))
	})
	return rows[:min(len(rows), q.Limit)], o.err
}

func (o *outcomes) LastDelivery(_ context.Context, t schemas.Tenant) (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last[t], o.err
}

func (o *outcomes) Arrivals(_ context.Context, t schemas.Tenant, since time.Time) ([]time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.arrivals[t]), func(at time.Time) bool { return at.Before(since) }), o.err
}

func (o *outcomes) Tally(_ context.Context, t schemas.Tenant, _ time.Time) (connect.Tally, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tally[t], o.err
}
