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

// Arrivals finds the records of an event that were written from the instant on:
// the first, nil where there is none any more, and how many there are. When time
// runs out it answers with what it has found so far.
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
	text := []byte(id.String()) // as every record of it has it; parsing all would cost ten times as much
	err = r.read(ctx, r.topics.Events, of, func(record *kgo.Record) {
		if string(record.Key) != string(t) || !bytes.Contains(record.Value, text) || kafka.Schema(record) != schemas.EventSchema {
			return
		}
		e, err := schemas.ParseEvent(record.Value)
		if err != nil || e.ID != id || e.Tenant != t {
			return
		}
		n++
		if first == nil || e.ReceivedAt.Before(first.ReceivedAt) {
			first = &e
		}
	})
	if errors.Is(err, ErrTooLong) {
		err = nil
	}
	return first, n, err
}
