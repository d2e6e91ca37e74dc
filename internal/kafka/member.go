package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrNotMember says that a consumer is in no group, and so is given nothing to
// read: its lag is 0 then, and no step of its work fails.
var ErrNotMember = errors.New("not in its consumer group")

// Member is what a consumer knows of its group: whether it is in it, which
// partitions it lost, whether a rebalance waits for it, and which offsets it
// still owes. Make it with [NewMember] and give its Opts to [NewConsumer].
type Member struct {
	why atomic.Pointer[string] // why it is none; nil: it is one

	mu        sync.Mutex
	began     map[Partition]int64 // of what is its own: where the group's commit was, below 0 without one
	lost      []Partition
	rebalance context.Context // done while a rebalance waits
	begin     context.CancelFunc
	owed      map[string]map[int32]kgo.EpochOffset
	failures  int       // commits that failed since the last that did not
	again     time.Time // when what is owed is tried again
}

// Partition is one partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

// NewMember returns the member of a consumer that has not joined yet.
func NewMember() *Member {
	m := &Member{began: make(map[Partition]int64), owed: make(map[string]map[int32]kgo.EpochOffset)}
	m.rebalance, m.begin = context.WithCancel(context.Background())
	m.outside("joining")
	return m
}

// Opts let the consumer say when it comes into its group, be it to be given no
// partition, when it falls out, what is given to it and what is taken from it.
func (m *Member) Opts() []kgo.Opt {
	taken := func(_ context.Context, _ *kgo.Client, away map[string][]int32) { m.take(away) }
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { m.why.Store(nil) }),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, given map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			m.give(given)
			return given, nil
		}),
		kgo.OnPartitionsRevoked(taken),
		kgo.OnPartitionsLost(taken),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.begin()
		}),
		kgo.WithHooks(m),
	}
}

// OnGroupManageError is called by the client each time it falls out of its
// group or is not let in.
func (m *Member) OnGroupManageError(err error) { m.outside(err.Error()) }

// OnClientClosed is called by the client at its end.
func (m *Member) OnClientClosed(*kgo.Client) { m.outside("stopped") }

func (m *Member) outside(why string) { m.why.Store(&why) }

// Ready is nil while the consumer is in its group; otherwise it wraps
// [ErrNotMember], with what Kafka, or the way to it, had against it.
func (m *Member) Ready() error {
	if why := m.why.Load(); why != nil {
		return fmt.Errorf("%w: %s", ErrNotMember, *why)
	}
	return nil
}

// give notes what is given to the consumer, and where it begins.
func (m *Member) give(given map[string]map[int32]kgo.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, offsets := range given {
		for n, at := range offsets {
			m.began[Partition{topic, n}] = at.EpochOffset().Offset
		}
	}
}

// committed returns how far the group's commits have come in those partitions of
// topic that are the consumer's own; below 0 where there is none. The client knows
// of commits only, and what nobody has ever committed is behind too.
func (m *Member) committed(cl *kgo.Client, topic string) map[int32]int64 {
	known := cl.CommittedOffsets()[topic]
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[int32]int64)
	for p, at := range m.began {
		if p.Topic == topic {
			all[p.Number] = at
			if c, ok := known[p.Number]; ok {
				all[p.Number] = c.Offset
			}
		}
	}
	return all
}

// take forgets what is owed of partitions that are somebody else's: their new
// owner begins with the last commit, and a commit of ours could rewind his. The
// client calls it between polls only, when the loop allows it.
func (m *Member) take(away map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, numbers := range away {
		for _, n := range numbers {
			m.lost = append(m.lost, Partition{topic, n})
			delete(m.began, Partition{topic, n})
			delete(m.owed[topic], n)
		}
	}
}

// TakeLost returns the partitions that were taken away since it was last called.
func (m *Member) TakeLost() []Partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := m.lost
	m.lost = nil
	return lost
}

// Rebalance is done once the group wants to rebalance and waits for this member
// to let go; until [Member.Allow].
func (m *Member) Rebalance() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rebalance
}

// Allow lets the group rebalance until the next poll returns.
func (m *Member) Allow(cl *kgo.Client) {
	m.mu.Lock()
	// A wish that comes late, after it was granted, only makes one batch small.
	if m.rebalance.Err() != nil {
		m.rebalance, m.begin = context.WithCancel(context.Background())
	}
	m.mu.Unlock()
	cl.AllowRebalance()
}

var (
	_ kgo.HookGroupManageError = (*Member)(nil)
	_ kgo.HookClientClosed     = (*Member)(nil)
)
