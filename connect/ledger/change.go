package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// How a change, or a question, is refused.
var (
	// ErrStandby says that this instance does not act, or no longer: nothing of
	// what was asked for counts.
	ErrStandby = errors.New("this instance is on standby")

	// ErrUnavailable says that Kafka did not show a write in time. Whether it
	// counts is known before the tenant's next change is written.
	ErrUnavailable = errors.New("the write was not read back from Kafka in time")

	// ErrSealed says that the tenant is sealed.
	ErrSealed = errors.New("what is known of the tenant does not open")

	// ErrTooLarge says that what is known of a tenant does not fit into a record.
	// Nothing was written.
	ErrTooLarge = errors.New("the tenant's record would be too large")
)

// Change is what an operation wants to be true from now on. Its parts are written
// in the order of the fields, each only after the one before it was read back; a
// part that is zero is left as it is. After a failure the parts before it count,
// the one that failed is in doubt (see [ErrUnavailable]), and the rest was not
// written.
type Change struct {
	// Erase returns the erasure of a person, or with User "" of the tenant. It is
	// called with the instant before which everything is forgotten, which is the
	// one that Map is given. The record is the first that is written. While its
	// last receipt is not done all follows that names him: he is taken out of the
	// directory and of what was decided by hand, and of his intervals only the
	// times stay. Of a tenant the connection is withdrawn, the mappings are
	// removed, and the vault record last. Killed in between: whoever begins the
	// next term goes on. A receipt that is done changes the record alone.
	Erase func(at time.Time) schemas.Erasure

	// State is what the vault says from now on.
	State *State
	// Unseal lets State replace what does not open. A person said so.
	Unseal bool

	// Publish is what the edge knows from now on. Withdraw takes it away:
	// deliveries get 401.
	Publish  *schemas.Connection
	Withdraw bool

	// Map returns the mappings that differ if they change at the instant at. It
	// is called when they are about to be written, and the snapshot is still the
	// one that the turn showed last. An instant that it is not given it must not
	// use: at is the first one for which it is true that nothing was judged
	// otherwise. When Apply returns, at lies in the past.
	Map func(at time.Time) []schemas.Mapping

	// Audit is what is said of it, for good. At is that of the mappings, or now,
	// where it is zero; Tenant and ID are filled in.
	Audit []schemas.Change
}

// Turn is the right to change one tenant. Whoever has it gives it back.
type Turn struct {
	term *term
	tn   *tenant
}

// Snapshot is the tenant as it is now.
func (t *Turn) Snapshot() *Snapshot { return t.tn.seen.Load() }

// Back gives the turn back.
func (t *Turn) Back() { t.tn.turn <- struct{}{} }

// Show lets the state be seen without writing it: what a look found again is no
// news for the log.
func (t *Turn) Show(s State) {
	snap := *t.Snapshot()
	snap.State = s
	t.tn.seen.Store(&snap)
}

// Confirm returns nil where no other term had begun when it was called; else it
// wraps [ErrStandby] or [ErrUnavailable]. Ask before each request that changes
// something in Halo: the log takes nothing from an instance that was frozen and
// wakes up behind its successor, and Halo cannot tell the two apart. It costs a
// round trip to Kafka.
func (t *Turn) Confirm(ctx context.Context) error { return t.term.confirm(ctx) }

// Apply writes the change and returns the tenant as it is then. It has no context:
// a caller who goes away breaks nothing off, for half a change is worse than all of
// it, and each part is bounded to five seconds.
func (t *Turn) Apply(c Change) (*Snapshot, error) {
	err := t.term.apply(t.tn, c)
	return t.Snapshot(), err
}
