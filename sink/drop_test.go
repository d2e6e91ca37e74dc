package sink

import (
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// A partition that is taken away and given back while a batch is collected, and
// then another one that is taken away: whatever is committed has its row.
func TestWhatComesAgainIsNotDroppedWithWhatWasTakenAway(t *testing.T) {
	b, parser := new(batch), schemas.NewParser()
	take := func(partition int32, offsets ...int64) {
		for _, offset := range offsets {
			at := time.UnixMilli(1_790_000_000_000 + offset).UTC()
			s := schemas.Skip{
				ID: schemas.ID{byte(partition + 1), byte(offset)}, Tenant: "acme", Kind: schemas.TicketLogged, Ticket: 42, Reason: schemas.Unassigned,
				EventTime: at, OccurredAt: at, ReceivedAt: at,
			}
			r := kafka.Record("halo.skipped", "acme", schemas.SkipSchema, s.AppendJSON(nil))
			r.Partition, r.Offset = partition, offset
			if !b.add(parser, r) || len(b.dead) > 0 {
				t.Fatalf("%d of partition %d is no record: %+v", offset, partition, b.dead)
			}
		}
	}
	away := func(partition int32) { b.drop([]kafka.Partition{{Topic: "halo.skipped", Number: partition}}) }

	take(1, 7)
	take(0, 3, 4)
	away(0)
	take(0, 3, 4, 5) // it is ours again
	away(1)
	take(0, 6)
	away(2) // nothing of it is in hand

	if b.rows.Len() != 4 || b.records != 4 {
		t.Errorf("%d rows of %d records, want the four that came again", b.rows.Len(), b.records)
	}
	last := map[int32]int64{}
	for _, p := range b.parts {
		if p.last != nil {
			last[p.Number] = p.last.Offset
		}
	}
	if len(last) != 1 || last[0] != 6 {
		t.Errorf("to be committed are %v, want partition 0 up to 6 only", last)
	}
	for i, from := range b.from {
		if p := b.parts[from.part]; p.Number != 0 || from.offset != int64(3+i) {
			t.Errorf("row %d is from %d of %+v", i, from.offset, p.Partition)
		}
	}
}
