package records

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// late is how long after its instant a change may have been written, and how far
// a topic's records may be out of the order of their times.
const late = 10 * time.Minute

// Deliveries are the last limit of the tenant's refused deliveries, newest
// first; fewer where they are too far back to be read in time.
func (r *Reader) Deliveries(ctx context.Context, t schemas.Tenant, limit int) ([]schemas.Refused, error) {
	l := &list[schemas.Refused]{
		limit: limit, at: func(d schemas.Refused) time.Time { return d.At },
		compare: func(a, b schemas.Refused) int { return b.At.Compare(a.At) },
		parse: func(record *kgo.Record) (schemas.Refused, bool) {
			d, err := schemas.ParseRefused(record.Value)
			return d, err == nil && d.Tenant == t && kafka.Schema(record) == schemas.RefusedSchema
		},
	}
	err := r.backwards(ctx, r.topics.Deliveries, t, time.Time{}, time.Time{}, l)
	if errors.Is(err, ErrTooLong) {
		err = nil // what is newest was read first
	}
	if err != nil {
		return nil, fmt.Errorf("refused deliveries: %w", err)
	}
	return l.rows, nil
}

// LastReached is when Halo last reached the edge with a test of the tenant's; zero
// where that is not known.
func (r *Reader) LastReached(ctx context.Context, t schemas.Tenant) (time.Time, error) {
	l := &list[schemas.Reached]{
		limit: 1, at: func(d schemas.Reached) time.Time { return d.At },
		compare: func(a, b schemas.Reached) int { return b.At.Compare(a.At) },
		parse: func(record *kgo.Record) (schemas.Reached, bool) {
			d, err := schemas.ParseReached(record.Value)
			return d, err == nil && d.Tenant == t && kafka.Schema(record) == schemas.ReachedSchema
		},
	}
	err := r.backwards(ctx, r.topics.Reached, t, time.Time{}, time.Time{}, l)
	if err != nil && !errors.Is(err, ErrTooLong) {
		return time.Time{}, fmt.Errorf("last test: %w", err)
	}
	if len(l.rows) == 0 {
		return time.Time{}, nil
	}
	return l.rows[0].At, nil
}

// Changes are a page of the tenant's audit trail, newest first, those of one
// instant by their ids, descending. A change that was written twice is one.
func (r *Reader) Changes(ctx context.Context, t schemas.Tenant, q control.Query) ([]schemas.Change, error) {
	order := func(a, b schemas.Change) int {
		return cmp.Or(b.At.Compare(a.At), bytes.Compare(b.ID[:], a.ID[:]))
	}
	to := q.To
	if q.After != nil && (to.IsZero() || q.After.At.Before(to)) {
		to = q.After.At.Add(time.Millisecond)
	}
	l := &list[schemas.Change]{
		limit: q.Limit, once: true, compare: order, at: func(c schemas.Change) time.Time { return c.At },
		parse: func(record *kgo.Record) (schemas.Change, bool) {
			c, err := schemas.ParseChange(record.Value)
			switch {
			case err != nil || c.Tenant != t || kafka.Schema(record) != schemas.ChangeSchema,
				!q.From.IsZero() && c.At.Before(q.From), !q.To.IsZero() && !c.At.Before(q.To),
				q.After != nil && order(c, schemas.Change{At: q.After.At, ID: q.After.ID}) <= 0:
				return c, false
			}
			return c, true
		},
	}
	if !to.IsZero() {
		to = to.Add(late)
	}
	if err := r.backwards(ctx, r.topics.Changes, t, q.From, to, l); err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	return l.rows, nil
}

// list is what a walk backwards has found: the newest limit, in order.
type list[T any] struct {
	limit   int
	once    bool // rows that compare as equal are one
	rows    []T
	parse   func(*kgo.Record) (T, bool)
	compare func(a, b T) int
	at      func(T) time.Time
}

func (l *list[T]) take(rows []T) {
	l.rows = append(l.rows, rows...)
	slices.SortStableFunc(l.rows, l.compare)
	if l.once {
		l.rows = slices.CompactFunc(l.rows, func(a, b T) bool { return l.compare(a, b) == 0 })
	}
	l.rows = l.rows[:min(len(l.rows), l.limit)]
}

// full says whether no record that was written before the instant can be one of
// the rows any more.
func (l *list[T]) full(before time.Time) bool {
	return len(l.rows) == l.limit && l.at(l.rows[l.limit-1]).After(before)
}

// Windows begin small, for what is asked for is nearly always near the end, and
// grow up to what one fetch brings.
const (
	firstWindow = 500
	mostWindow  = 20_000
)

// backwards reads the tenant's partitions from their end until l is full, or all
// was read that was written since from.
func (r *Reader) backwards(ctx context.Context, topic string, t schemas.Tenant, from, to time.Time, l walked) error {
	ctx, done, err := r.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	of, err := r.reach(ctx, topic, t, from, to)
	if err != nil {
		return err
	}
	for p, s := range of {
		for window := int64(firstWindow); s.start < s.end; window = min(window*4, mostWindow) {
			here := span{max(s.start, s.end-window), s.end}
			oldest, err := r.window(ctx, topic, t, p, here, l)
			if err != nil {
				return err
			}
			if l.full(oldest.Add(late)) {
				break
			}
			s.end = here.start
		}
	}
	return nil
}

// walked is a list of whatever.
type walked interface {
	full(before time.Time) bool
	window(records []*kgo.Record)
}

func (l *list[T]) window(records []*kgo.Record) {
	var rows []T
	for _, record := range records {
		if row, ok := l.parse(record); ok {
			rows = append(rows, row)
		}
	}
	l.take(rows)
}

// window reads one stretch of a partition, and says when its oldest record was
// written.
func (r *Reader) window(ctx context.Context, topic string, t schemas.Tenant, p int32, s span, l walked) (oldest time.Time, err error) {
	var own []*kgo.Record
	err = r.read(ctx, topic, reach{p: s}, func(record *kgo.Record) bool {
		if oldest.IsZero() || record.Timestamp.Before(oldest) {
			oldest = record.Timestamp
		}
		if string(record.Key) == string(t) {
			own = append(own, record)
		}
		return true
	})
	l.window(own)
	return oldest, err
}
