package processor

import (
	"hash/maphash"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/metric"
)

// breach is a promise that the record at a place breaks. Nothing is refused for
// it: the event was answered 200 and goes its way; a person is called.
type breach struct {
	promise metric.Promise
	at      metric.Place
	more    []any // for the log: tenant ids, nothing else of the record
}

func (b *batch) breaks(p metric.Promise, r *kgo.Record, more ...any) {
	b.breaches = append(b.breaches, breach{p, metric.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, more})
}

// judgements remember, of each agent, the last event that was judged and by
// what history, so that a mapping which says otherwise later is noticed: it
// claims to hold from an instant at which events were judged without it, and a
// replay would give another answer than ClickHouse has.
//
// It notices with the agent's next event, and what this process judged itself.
// An agent is known by a hash of his key, which takes a third of the memory that
// the key would: 50 bytes in all, for each agent who had an event.
type judgements struct {
	seed maphash.Seed
	last map[uint64]judgement
}

type judgement struct {
	by      History
	arrived int64 // ms
}

func newJudgements() *judgements {
	return &judgements{maphash.MakeSeed(), make(map[uint64]judgement)}
}

// contradicted reports whether the history under key no longer gives the
// answer that was given last, and remembers that an event which arrived at
// arrived is judged by it. To be erased contradicts nothing.
func (j *judgements) contradicted(key []byte, h History, arrived time.Time) bool {
	agent := maphash.Bytes(j.seed, key)
	last, judged := j.last[agent]
	j.last[agent] = judgement{h, arrived.UnixMilli()}
	if !judged || last.by == h {
		return false
	}
	at := time.UnixMilli(last.arrived)
	was, wasMapped := last.by.At(at)
	is, isMapped := h.At(at)
	if isMapped && is == "" || wasMapped && was == "" {
		return false
	}
	return was != is
}
