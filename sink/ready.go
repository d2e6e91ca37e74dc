package sink

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// unanswered is how long an insert may be under way before the sink says so. A
// full batch takes a second; the client gives up after half a minute, and until
// then nothing has failed. No traffic follows a sink's readiness, so that one
// slow insert costs nothing; a rollout does, which must not go on with a sink
// that hangs, and a person.
const unanswered = 10 * time.Second

// readiness is what keeps a member of the group from being ready. Each reason
// ends by itself: to be given partitions in an outage makes no store well.
type readiness struct {
	step   atomic.Pointer[string] // how the last attempt of a step failed; nil: it did not
	insert atomic.Int64           // since when an insert is under way, in nanoseconds; 0: none is
}

// Ready returns nil when the sink is a member of its group, its last append
// succeeded, and none has been under way for long. A sink that is not ready
// loses nothing; it lags.
func (s *Sink) Ready() error {
	if err := s.member.Ready(); err != nil {
		return err
	}
	if why := s.ready.step.Load(); why != nil {
		return errors.New(*why)
	}
	if began := s.ready.insert.Load(); began != 0 {
		if d := time.Since(time.Unix(0, began)); d > unanswered {
			return fmt.Errorf("append: the store has not answered for %v", d.Round(time.Second))
		}
	}
	return nil
}

// fails says how a step failed.
func (r *readiness) fails(how string) { r.step.Store(&how) }

func (r *readiness) succeeds() { r.step.Store(nil) }

// inserting notes that an insert is under way until the function that it
// returns is called.
func (r *readiness) inserting() (answered func()) {
	r.insert.Store(time.Now().UnixNano())
	return func() { r.insert.Store(0) }
}
