package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// Gaps finds records that a consumer was never given, because Kafka had deleted
// them before the consumer came to them: by retention during a long stop, or by
// hand. They are lost, and nothing else says so, since a consumer whose offset
// is gone goes on with the oldest record there is.
//
// It relies on topics whose offsets have no holes, which ours are: those that
// are not compacted and not written in transactions.
type Gaps struct {
	next map[string]map[int32]int64 // the offset that comes next, as far as we have read
}

// Missing returns how many records lie between what was read or committed
// before and the records of fetches. Call it with each poll, and with the
// client that polled.
func (g *Gaps) Missing(cl *kgo.Client, fetches kgo.Fetches) (missing int64) {
	if fetches.NumRecords() == 0 {
		return 0
	}
	if g.next == nil {
		g.next = make(map[string]map[int32]int64)
	}
	committed := cl.CommittedOffsets()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		seen := g.next[p.Topic]
		if seen == nil {
			seen = make(map[int32]int64)
			g.next[p.Topic] = seen
		}
		// A partition that was somebody else's in between has moved on: his
		// commit is then beyond what we have read. One that nobody ever read
		// begins where it begins.
		expected, known := seen[p.Partition]
		if at, ok := committed[p.Topic][p.Partition]; ok && at.Offset >= 0 {
			expected, known = max(expected, at.Offset), true
		}
		if known {
			missing += max(0, p.Records[0].Offset-expected)
		}
		seen[p.Partition] = p.Records[len(p.Records)-1].Offset + 1
	})
	return missing
}
