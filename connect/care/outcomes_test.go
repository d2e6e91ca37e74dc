package care_test

import (
	"context"
	"sync"
	"time"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/schemas"
)

// outcomes is what became of deliveries, in memory.
type outcomes struct {
	mu       sync.Mutex
	last     map[schemas.Tenant]time.Time
	reached  map[schemas.Tenant]time.Time
	arrivals map[schemas.Tenant][]time.Time
	tally    map[schemas.Tenant]care.Tally
	unmapped map[schemas.Tenant][]care.AgentCount
	refused  map[schemas.Tenant]care.Refusals
	err      error
}

var _ care.Outcomes = (*outcomes)(nil)

// set changes what is told.
func (o *outcomes) set(change func(*outcomes)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last, o.reached = make(map[schemas.Tenant]time.Time), make(map[schemas.Tenant]time.Time)
		o.arrivals, o.tally = make(map[schemas.Tenant][]time.Time), make(map[schemas.Tenant]care.Tally)
		o.unmapped, o.refused = make(map[schemas.Tenant][]care.AgentCount), make(map[schemas.Tenant]care.Refusals)
	}
	change(o)
}

// told is a part of it, copied.
func told[V any](o *outcomes, part func() map[schemas.Tenant]V) (map[schemas.Tenant]V, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[schemas.Tenant]V)
	for t, v := range part() {
		all[t] = v
	}
	return all, o.err
}

func (o *outcomes) LastDelivery(_ context.Context, t schemas.Tenant) (time.Time, error) {
	all, err := told(o, func() map[schemas.Tenant]time.Time { return o.last })
	return all[t], err
}

func (o *outcomes) LastDeliveries(context.Context, time.Time) (map[schemas.Tenant]time.Time, error) {
	return told(o, func() map[schemas.Tenant]time.Time { return o.last })
}

func (o *outcomes) LastReached(_ context.Context, t schemas.Tenant) (time.Time, error) {
	all, err := told(o, func() map[schemas.Tenant]time.Time { return o.reached })
	return all[t], err
}

func (o *outcomes) Arrivals(_ context.Context, t schemas.Tenant, since time.Time) ([]time.Time, error) {
	all, err := told(o, func() map[schemas.Tenant][]time.Time { return o.arrivals })
	var in []time.Time
	for _, at := range all[t] {
		if !at.Before(since) {
			in = append(in, at)
		}
	}
	return in, err
}

func (o *outcomes) Tally(_ context.Context, t schemas.Tenant, _ time.Time) (care.Tally, error) {
	all, err := told(o, func() map[schemas.Tenant]care.Tally { return o.tally })
	return all[t], err
}

func (o *outcomes) Unmapped(context.Context, time.Time) (map[schemas.Tenant][]care.AgentCount, error) {
	return told(o, func() map[schemas.Tenant][]care.AgentCount { return o.unmapped })
}

func (o *outcomes) Refused(context.Context, time.Time) (map[schemas.Tenant]care.Refusals, error) {
	return told(o, func() map[schemas.Tenant]care.Refusals { return o.refused })
}

// eraser is ClickHouse as an erasure meets it: rows that go when they are told to,
// and those that a sink still held come after.
type eraser struct {
	mu    sync.Mutex
	rows  map[string]uint64 // by "tenant/user", or "tenant"
	calls int
	err   error
}

var _ care.Eraser = (*eraser)(nil)

func (e *eraser) Erase(_ context.Context, t schemas.Tenant, user schemas.UserID, _ time.Time) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if e.err != nil {
		return 0, e.err
	}
	key := schemas.ErasureKey(t, user)
	n := e.rows[key]
	delete(e.rows, key)
	return n, nil
}

func (e *eraser) put(key string, rows uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rows == nil {
		e.rows = make(map[string]uint64)
	}
	e.rows[key] += rows
}

func (e *eraser) left(key string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rows[key]
}
