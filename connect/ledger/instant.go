package ledger

import (
	"fmt"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// When a mapping begins to hold.
//
// The edge stamps each event with its arrival, and the processor judges it by
// the mappings that were acknowledged before it looked. For a replay to judge
// it the same way, a mapping must not claim an instant at which it was not yet
// in Kafka: an event that arrived after such an instant may have been judged
// without it, and a replay would credit it. So the mapping begins a little in
// the future, is written, and is answered once that future has come:
//
//	request … at chosen (now + lead) … acknowledged … read back … at … at + skew … answer
//
// An event that arrived before the request has an earlier arrival than at; one
// that is sent after the answer a later one, even where the edge's clock is
// behind ours by skew.
const (
	// lead is several times what an acknowledgement takes where things go badly:
	// a millisecond on a quiet machine, up to 33 seen on a busy one. Whoever maps
	// an agent waits for it, once a request; an event in the gap that a shorter
	// one leaves is judged otherwise by every replay. What takes longer is a
	// broker in trouble, and a lead that outlasts an election would be felt.
	lead = 100 * time.Millisecond
	// skew is what two machines kept by NTP differ by, generously.
	skew = 10 * time.Millisecond
)

// instant is the moment from which a change's mappings hold. All of them share
// it, so that a request waits once. The zero one is waited for by nobody.
type instant struct{ from time.Time }

// instant is one that is about to come.
func (t *term) instant() instant {
	return instant{schemas.Truncate(t.l.now().Add(lead))}
}

// pass returns once the instant lies behind every clock of ours, or with an
// error where that would take too long: our clock stepped back by so much that
// the instant is far away.
func (i instant) pass(now func() time.Time) error {
	if i.from.IsZero() {
		return nil
	}
	wait := i.from.Add(skew).Sub(now())
	if wait <= 0 {
		return nil
	}
	if wait > passTimeout {
		return fmt.Errorf("%w: the mappings do not hold yet", ErrUnavailable)
	}
	time.Sleep(wait)
	return nil
}

// passTimeout is how long a change may wait for its instant to come.
const passTimeout = 15 * time.Second
