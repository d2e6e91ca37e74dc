package sink

import "github.com/worksights/halo-connector/schemas"

// verdict is what a row is to an earlier one of the same event.
type verdict string

const (
	unseen verdict = ""

	// same: a stage repeated itself, as it does after a crash.
	same verdict = "same"
	// resent: the event arrived again. The first arrival wins.
	resent verdict = "resent"
	// changed: the same arrival has another outcome than before, so that a
	// replay answers otherwise than the first reading did. (Two deliveries of
	// an event within a millisecond that differ in what they say of it would
	// look the same; senders that repeat themselves repeat the bytes.)
	changed verdict = "changed"
	// moved: the same event has another time, or tenant. Both rows stay, and
	// the event counts twice.
	moved verdict = "moved"
)

// remembered is how many rows the sink remembers at most: four megabytes, and
// at a hundred events a second ten minutes of them. What repeats by itself,
// after a crash or a rebalance, does so within seconds.
const remembered = 1 << 16

// repeats remembers late rows, to see whether a repeat says the same. A row has
// one place, which its id gives, and puts out whoever had it before: to miss one
// repeat costs nothing, and nothing has to be kept in order.
type repeats struct{ rows []seenRow }

type seenRow struct {
	id              schemas.ID
	tenant          string
	event, received int64 // milliseconds
	digest          uint32
}

// judge compares row i with what is remembered of its event, and remembers it
// where that is nothing.
func (s *repeats) judge(rows *Rows, i int) verdict {
	if s.rows == nil {
		s.rows = make([]seenRow, remembered)
	}
	id := schemas.ID(rows.id[i])
	// Ids are digests, so that any bytes of theirs will do.
	first := &s.rows[(int(id[0])|int(id[1])<<8^int(id[15]))%remembered]
	if first.id != id {
		*first = seenRow{id, rows.tenant[i], rows.event[i], rows.received[i], rows.digest[i]}
		return unseen
	}
	switch {
	case first.tenant != rows.tenant[i] || first.event != rows.event[i]:
		return moved
	case first.received != rows.received[i]:
		return resent
	case first.digest != rows.digest[i]:
		return changed
	}
	return same
}
