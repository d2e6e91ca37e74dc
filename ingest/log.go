package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Log keeps events. Its one user is the edge, which acknowledges a delivery
// after Append and on nothing else.
type Log interface {
	// Append returns nil once every event is kept for good, in the order
	// given. It gives up after patience; the events may then still be kept, and
	// usually are: the caller has the delivery sent again, and the Log may hold
	// an event twice. Errors wrap [ErrUnavailable] where a later try can succeed,
	// and never quote an event. ctx carries a trace and ends nothing. Append may
	// be called concurrently and keeps no reference to events.
	Append(ctx context.Context, events []schemas.Event, patience time.Duration) error

	// Note writes down a delivery that was refused, for those who look for it
	// later. It returns at once. What cannot be written is dropped: the metrics
	// have counted it.
	Note(r schemas.Refused)

	// Reached writes down that a test came, in the same way.
	Reached(r schemas.Reached)
}

// ErrUnavailable says that the log cannot take events now, but may later.
var ErrUnavailable = errors.New("the event log does not acknowledge")
