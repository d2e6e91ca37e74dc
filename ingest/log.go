package ingest

import (
	"context"
	"errors"

	"github.com/worksights/halo-connector/schemas"
)

// Log keeps events. Its one user is the edge, which acknowledges a delivery
// after Append and on nothing else.
type Log interface {
	// Append returns nil once every event is kept for good, in the order
	// given. On an error each event may have been kept or not: the caller has
	// the delivery sent again, and the Log may then hold an event twice. It
	// gives up when ctx is done. Errors wrap [ErrUnavailable] where a later try
	// can succeed, and never quote an event. It may be called concurrently and
	// keeps no reference to events.
	Append(ctx context.Context, events []schemas.Event) error
}

// ErrUnavailable says that the log cannot take events now, but may later.
var ErrUnavailable = errors.New("the event log does not acknowledge")
