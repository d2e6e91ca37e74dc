package metric

import (
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// Witness tells the log where a stage saw a broken promise: the record's
// topic, partition and offset, with which a person finds it. What is in the
// record stays there, since it may be what has to be removed.
//
// The metric counts every breach; the log names the first ten of each promise
// and then one in ten seconds, and says how many it has left out since its last
// line. Whatever writes wrong records writes them by the thousand, and the
// first offset is where to begin. Each promise has its own allowance, so that a
// flood of one does not hide another.
//
// It belongs to one loop and must not be called concurrently.
type Witness struct {
	log  *slog.Logger
	said map[Promise]*said
}

type said struct {
	lines  *rate.Limiter
	unsaid int
}

// NewWitness returns a witness of the stage that logs to log.
func NewWitness(log *slog.Logger) *Witness {
	return &Witness{log, make(map[Promise]*said)}
}

// Place is where a record is.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Saw logs that p was broken by the record at the place. More may be tenant ids
// and words of ours, never anything else of the record: a key, too, can hold a
// sentence.
func (w *Witness) Saw(p Promise, at Place, more ...any) {
	s, ok := w.said[p]
	if !ok {
		s = &said{lines: rate.NewLimiter(rate.Every(10*time.Second), 10)}
		w.said[p] = s
	}
	if !s.lines.Allow() {
		s.unsaid++
		return
	}
	w.log.With("promise", p, "topic", at.Topic, "partition", at.Partition, "offset", at.Offset, "unsaid", s.unsaid).
		Error("a record breaks a promise", more...)
	s.unsaid = 0
}
