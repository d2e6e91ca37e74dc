//go:build synctests

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// virtual starts a broker on a network in memory, with a client of its own.
// Both end with stop.
func virtual(t *testing.T, cfg broker.Config) (b *broker.Broker, cl *kgo.Client, stop func()) {
	t.Helper()
	var network kfake.VirtualNetwork
	cfg.Listen, cfg.Dial, cfg.Addr = network.Listen, network.DialContext, "127.0.0.1:9092"
	b = start(t, cfg)
	cl = client(t, b.Addr(), kgo.Dialer(network.DialContext))
	return b, cl, func() {
		cl.Close()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// kept are the offsets of the first and after the last record of a topic's
// one partition.
func kept(t *testing.T, cl *kgo.Client, topic string) (first, end int64) {
	t.Helper()
	starts, err := kafka.StartOffsets(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := kafka.EndOffsets(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	return starts[0], ends[0]
}

func TestAfterARestartOldRecordsGoAndTablesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := broker.Config{Dir: t.TempDir()}
		_, cl, stop := virtual(t, cfg)
		o := broker.TopicOptions()
		o.Partitions, o.MaxBytes = 1, 1<<20
		if err := kafka.EnsureTopics(t.Context(), cl, []schemas.TopicSpec{
			{Name: "young", Retention: time.Hour, Partitions: 1},
			{Name: "small", Retention: 1000 * time.Hour, Partitions: 1},
			{Name: "table", Compact: true, Partitions: 1},
		}, o); err != nil {
			t.Fatal(err)
		}
		// Three files of 16 MiB each in topics that may hold one; half of the
		// records of "table" are of one key, for a compaction to fold.
		const records = 48
		value := make([]byte, 900<<10)
		for i := range records {
			for _, topic := range []string{"young", "small", "table"} {
				r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: value}
				if topic == "table" && i%2 == 1 {
					r.Key = fmt.Append(nil, i)
				}
				if topic == "young" {
					r.Value = value[:10]
				}
				if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		stop()

		_, cl, stop = virtual(t, cfg)
		defer stop()
		if first, _ := kept(t, cl, "small"); first != 0 {
			t.Fatalf("the restart itself has removed records: the timer is not what this tests")
		}
		time.Sleep(61 * time.Second)
		if first, end := kept(t, cl, "small"); first == 0 || end != records {
			t.Errorf("a minute later a topic over its bound holds [%d, %d)", first, end)
		}
		if first, _ := kept(t, cl, "young"); first != 0 {
			t.Errorf("a record of a minute is gone: the topic begins at %d", first)
		}
		time.Sleep(time.Hour)
		if first, end := kept(t, cl, "young"); first != records || end != records {
			t.Errorf("after its hour a topic still holds [%d, %d)", first, end)
		}
		if first, end := kept(t, cl, "table"); first != 0 || end != records {
			t.Errorf("the table's topic holds [%d, %d)", first, end)
		}
		// The broker does not come to compact within this test; it must never.
		configs, err := kadm.NewClient(cl).DescribeTopicConfigs(t.Context(), "table")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs[0].Configs {
			if c.Key == "cleanup.policy" && c.MaybeValue() != "delete" {
				t.Errorf("the table's topic has the policy %s", c.MaybeValue())
			}
		}
		if n := count(t, cl, "table"); n != records {
			t.Errorf("%d of %d records of the table are left", n, records)
		}
	})
}

// count reads topic from its beginning, over the connections of cl.
func count(t *testing.T, cl *kgo.Client, topic string) (n int) {
	t.Helper()
	_, end := kept(t, cl, topic)
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
	for {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			n++
			if r.Offset == end-1 {
				return n
			}
		}
	}
}

func TestCommittedOffsetsOutliveAMachineThatIsOffForWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := broker.Config{Dir: t.TempDir()}
		_, cl, stop := virtual(t, cfg)
		createTopic(t, cl)
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "log", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "log", Partition: 0, At: 1})
		if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "sink", offsets); err != nil {
			t.Fatal(err)
		}
		stop()
		time.Sleep(30 * 24 * time.Hour)
		_, cl, stop = virtual(t, cfg)
		defer stop()
		time.Sleep(time.Hour) // longer than the broker waits before it looks for old ones
		got, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "sink")
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := got.Lookup("log", 0); !ok || o.At != 1 {
			t.Errorf("the group is at %v, want 1", got)
		}
	})
}

func TestAFullDiskTakesNoRecordAndTakesThemAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const floor = 1 << 20
		var free atomic.Uint64
		free.Store(1 << 30)
		b, cl, stop := virtual(t, broker.Config{
			Dir: t.TempDir(), MinFree: floor,
			Free: func(string) (uint64, error) { return free.Load(), nil },
		})
		defer stop()
		createTopic(t, cl)
		produce := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			return cl.ProduceSync(ctx, &kgo.Record{Topic: "log", Value: []byte("x")}).FirstErr()
		}
		if err := errors.Join(produce(), b.Ready()); err != nil {
			t.Fatal(err)
		}

		free.Store(floor - 1)
		time.Sleep(1100 * time.Millisecond)
		if err := b.Ready(); !errors.Is(err, broker.ErrSpace) {
			t.Errorf("Ready on a full disk = %v, want %v", err, broker.ErrSpace)
		}
		if err := produce(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("produce on a full disk = %v, want no answer within the deadline", err)
		}
		if _, end := kept(t, cl, "log"); end != 1 {
			t.Errorf("the topic ends at %d: a refused record is in it", end)
		}
		specs := []schemas.TopicSpec{{Name: "another", Retention: time.Hour, Partitions: 1}}
		if err := kafka.EnsureTopics(t.Context(), cl, specs, broker.TopicOptions()); err == nil {
			t.Error("a topic was created on a full disk")
		}
		// Offsets are still committed.
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "log", Partition: 0, At: 1})
		if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "sink", offsets); err != nil {
			t.Errorf("commit on a full disk = %v", err)
		}

		free.Store(floor + 1) // at the floor it does not flicker
		time.Sleep(2 * time.Second)
		if err := b.Ready(); !errors.Is(err, broker.ErrSpace) {
			t.Errorf("Ready just above the floor = %v, want %v", err, broker.ErrSpace)
		}
		free.Store(1 << 30)
		time.Sleep(2 * time.Second)
		if err := errors.Join(produce(), b.Ready()); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}
