package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// commitTimeout bounds one commit. One that is not answered by then is owed
	// like one that was refused.
	commitTimeout = 5 * time.Second

	// The wait before a commit that failed is tried again, doubling.
	firstCommitRetry, lastCommitRetry = 100 * time.Millisecond, 5 * time.Second
)

// Settled notes that a partition is settled up to and including r: its offset is
// owed to the group until a commit succeeds, or until the partition is lost.
func (m *Member) Settled(r *kgo.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	offsets := m.owed[r.Topic]
	if offsets == nil {
		offsets = make(map[int32]kgo.EpochOffset)
		m.owed[r.Topic] = offsets
	}
	offsets[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
}

// Commit commits all that is owed. It may be called only while rebalances are
// blocked, that is after a poll returned: brokers check that a commit comes from
// a member, not that the partition is his. After an error everything is still
// owed: see [Member.Again].
func (m *Member) Commit(ctx context.Context, cl *kgo.Client) error {
	m.mu.Lock()
	owed := make(map[string]map[int32]kgo.EpochOffset, len(m.owed))
	for topic, offsets := range m.owed {
		if len(offsets) > 0 {
			owed[topic] = offsets
		}
	}
	m.mu.Unlock()
	if len(owed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var failed error
	cl.CommitOffsetsSync(ctx, owed, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err != nil {
			return
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = err
				}
			}
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if failed != nil {
		m.again = time.Now().Add(min(firstCommitRetry<<min(m.failures, 10), lastCommitRetry))
		m.failures++
		return failed
	}
	clear(m.owed)
	m.failures = 0
	return nil
}

// Rest is how long a loop should rest after a commit that failed: whoever is
// refused may be given the same records again, and where Kafka refuses for long
// they would be repeated as fast as they can be worked through.
func (m *Member) Rest() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failures == 0 {
		return 0
	}
	return max(0, time.Until(m.again))
}

// Again is when to try again what is owed. A loop that waits for records waits
// no longer than until then: a commit that failed would otherwise stand until
// the next record comes, perhaps for a night, and the lag with it.
func (m *Member) Again() (at time.Time, owed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, offsets := range m.owed {
		owed = owed || len(offsets) > 0
	}
	return m.again, owed
}
