package sink

import (
	"context"
	"errors"
)

// Store keeps outcomes.
//
// Append returns nil once every row is kept for good. After an error any part
// of them may be there, and visible. The caller appends the same rows again, as
// often as it takes, in other batches and another order, and mixed with rows
// that the store has seen before: a store folds the rows of one event, that is
// of one tenant, event time and id, to the one with the greatest Version.
//
// Append is not called twice at a time. It does not keep rows. It returns soon
// after ctx is done. Its errors quote no value of a row.
type Store interface {
	Append(ctx context.Context, rows []Outcome) error
}

// ErrRefused is wrapped by an error of Append that is the fault of a value in
// one of the rows and will be met again whenever that row is appended. Without
// it, an error means that the same rows will be kept later.
var ErrRefused = errors.New("a row is refused")
