package sink

import "context"

// Store keeps outcomes.
//
// Append returns nil once every row is kept for good. After an error any part
// of them may be there, and visible. The caller appends the same rows again, as
// often as it takes, in other batches and another order, and mixed with rows
// that the store has seen before: a store folds the rows of one event, that is
// of one tenant, event time and id, to the one with the greatest Version.
//
// Append is not called twice at a time, nor beside Retention. It does not keep
// rows. It returns soon after ctx is done. Its errors quote no value of a row.
//
// Retention is for how many months after its arrival a row is kept, 0 for ever.
type Store interface {
	Append(ctx context.Context, rows *Rows) error
	Retention(ctx context.Context) (months int, err error)
}
