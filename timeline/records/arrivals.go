package records

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// clocks is how far the clock that a record's time is from may be behind the one
// of an arrival, where brokers write the time.
const clocks = 10 * time.Second

// Repeats come within seconds, or when somebody in Halo sends it again: whoever
// asks about an event of last month does not wait until the month since is read.
const (
	nearby   = 20_000                 // records in which repeats are always counted
	counting = 100 * time.Millisecond // and as many more as can be read in this time
	overdue  = time.Hour + clocks     // after which a record is given up that could not be written
)

// Arrivals finds the records of an event that were written from the instant on:
// the first, nil where there is none any more, and how many there are: in the
// records after it, as far as they are near, see nearby. When time runs out it
// answers with what it has found so far.
func (r *Reader) Arrivals(ctx context.Context, t schemas.Tenant, id schemas.ID, from time.Time) (first *schemas.Event, n int, err error) {
	ctx, done, err := r.turn(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	of, err := r.reach(ctx, r.topics.Events, t, from.Add(-clocks), time.Time{})
	if err != nil {
		return nil, 0, err
	}
	began, read := time.Now(), 0
	text := []byte(id.String()) // as every record of it has it; parsing all would cost ten times as much
	err = r.read(ctx, r.topics.Events, of, func(record *kgo.Record) bool {
		read++
		more := read < nearby || time.Since(began) < counting
		if first == nil {
			more = record.Timestamp.Before(from.Add(overdue)) // else its retention has passed
		}
		if string(record.Key) != string(t) || !bytes.Contains(record.Value, text) || kafka.Schema(record) != schemas.EventSchema {
			return more
		}
		e, err := schemas.ParseEvent(record.Value)
		if err != nil || e.ID != id || e.Tenant != t {
			return more
		}
		n++
		if first == nil || e.ReceivedAt.Before(first.ReceivedAt) {
			first = &e
		}
		return more
	})
	if errors.Is(err, ErrTooLong) {
		err = nil
	}
	return first, n, err
}
