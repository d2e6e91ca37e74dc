package table

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// The fence. One instance of connect writes the tables at a time. Another may
// think that it does: it was frozen, or its writes were queued. The log decides,
// and in the same way for whoever reads it: each record carries the epoch of the
// term in which it was written, a term begins with a marker, and a record whose
// epoch is below the greatest that stands before it does not count.
//
// Compaction would keep such a record where it is the last one of its key, and
// remove the one that counts. So the writer that acts reads along and writes the
// key anew, within seconds; compaction leaves everybody an hour.

// Record is a record of a table's topic.
type Record struct {
	*kgo.Record
	// Late says that another term had begun before it was written: to who reads
	// the table it was never there.
	Late bool
}

// EpochOf is the epoch in which the record was written; 0 where it does not say,
// or says nonsense, as only a foreign hand does.
func EpochOf(r *kgo.Record) uint64 {
	for _, h := range r.Headers {
		if h.Key != schemas.HeaderEpoch {
			continue
		}
		epoch, err := strconv.ParseUint(string(h.Value), 10, 64)
		if err != nil {
			return 0
		}
		return epoch
	}
	return 0
}

// Stamp puts the epoch on the record.
func Stamp(r *kgo.Record, epoch uint64) *kgo.Record {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderEpoch, Value: strconv.AppendUint(nil, epoch, 10)})
	return r
}

// Marker is the record that begins a term on topic.
func Marker(topic string, term schemas.Term) *kgo.Record {
	return Stamp(kafka.Record(topic, schemas.TermKey, schemas.TermSchema, term.AppendJSON(nil)), term.Epoch)
}

// marks says whether the record is a marker, and no row of the table.
func marks(r *kgo.Record) bool { return string(r.Key) == schemas.TermKey }
