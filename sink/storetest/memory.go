package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// Memory is a [sink.Store] without a database, which folds as the real one
// does. It is safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	rows     map[key]sink.Outcome
	appended int
}

// key is what outcomes_log is ordered by.
type key struct {
	tenant schemas.Tenant
	event  int64 // ms
	id     schemas.ID
}

func keyOf(o sink.Outcome) key { return key{o.Tenant, o.EventTime.UnixMilli(), o.ID} }

var (
	_ sink.Store = (*Memory)(nil)
	_ Reader     = (*Memory)(nil)
)

// Append keeps rows. It never fails unless ctx is done.
func (m *Memory) Append(ctx context.Context, rows *sink.Rows) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = make(map[key]sink.Outcome)
	}
	m.appended += rows.Len()
	for i := range rows.Len() {
		o := rows.At(i)
		k := keyOf(o)
		if there, ok := m.rows[k]; !ok || o.Version() > there.Version() {
			m.rows[k] = o
		}
	}
	return nil
}

// Retention is for ever.
func (m *Memory) Retention(context.Context) (int, error) { return 0, nil }

// Erase deletes what arrived before before: of a user, or with "" of the tenant. It
// returns how many rows there were.
func (m *Memory) Erase(_ context.Context, t schemas.Tenant, user schemas.UserID, before time.Time) (rows uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := len(m.rows)
	maps.DeleteFunc(m.rows, func(_ key, o sink.Outcome) bool {
		return o.Tenant == t && (user == "" || o.User == user) && o.ReceivedAt.Before(before)
	})
	return uint64(there - len(m.rows)), nil
}

// Appended is how many rows were appended, each repeat counted.
func (m *Memory) Appended() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appended
}

// Folded are the rows as the views show them, sorted by tenant, time and id.
func (m *Memory) Folded(context.Context) ([]sink.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(slices.Collect(maps.Values(m.rows))), nil
}

func sorted(rows []sink.Outcome) []sink.Outcome {
	slices.SortFunc(rows, func(a, b sink.Outcome) int {
		if c := strings.Compare(string(a.Tenant), string(b.Tenant)); c != 0 {
			return c
		}
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return rows
}

// Shown is o as the views show it: they have no event time.
func shown(o sink.Outcome) sink.Outcome {
	o.EventTime = time.Time{}
	o.OccurredAt, o.ReceivedAt = o.OccurredAt.UTC(), o.ReceivedAt.UTC()
	return o
}
