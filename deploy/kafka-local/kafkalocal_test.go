//go:build integration

package kafkalocal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "deliveries"

func cluster(t *testing.T, nodes int) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), nodes, t.TempDir())
	if errors.Is(err, ErrAbsent) {
		t.Skip("this machine has no engine to test:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func client(t *testing.T, c *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.Brokers()...),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.DialTimeout(time.Second),
		kgo.RequestTimeoutOverhead(2 * time.Second),
		kgo.ProduceRequestTimeout(2 * time.Second),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

func create(t *testing.T, cl *kgo.Client, configs map[string]*string) {
	t.Helper()
	r, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, -1, configs, topic)
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
}

func produce(t *testing.T, cl *kgo.Client, from, to int, key func(i int) string) {
	t.Helper()
	for i := from; i < to; i++ {
		r := &kgo.Record{Topic: topic, Key: []byte(key(i)), Value: fmt.Append(nil, i)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// leader is the node, counted from 0, that leads the topic's one partition.
func leader(t *testing.T, cl *kgo.Client) int {
	t.Helper()
	topics, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(topics[topic].Partitions[0].Leader) - 1
}

// read polls cl until it has seen the value last, and returns all values by key.
func read(t *testing.T, cl *kgo.Client, last int) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := make(map[string][]string)
	for {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("value %d never came; seen %d keys", last, len(seen))
		}
		done := false
		f.EachRecord(func(r *kgo.Record) {
			seen[string(r.Key)] = append(seen[string(r.Key)], string(r.Value))
			done = done || string(r.Value) == fmt.Sprint(last)
		})
		if done {
			return seen
		}
	}
}

func unique(i int) string { return fmt.Sprint("key-", i) }

func TestOneNodeCompactsAndRemembersItsGroupsAfterKillNine(t *testing.T) {
	c := cluster(t, 1)
	cl := client(t, c)
	set := func(s string) *string { return &s }
	create(t, cl, map[string]*string{
		"cleanup.policy":            set("compact"),
		"segment.ms":                set("200"),
		"min.cleanable.dirty.ratio": set("0.01"),
		"max.compaction.lag.ms":     set("200"),
	})
	produce(t, cl, 0, 50, func(i int) string { return fmt.Sprint("key-", i%5) })

	group := func() *kgo.Client {
		return client(t, c, kgo.ConsumerGroup("readers"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	first := group()
	read(t, first, 49)
	if err := first.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Close()

	if err := c.Kill(0); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	// The active segment is never compacted; a record a while later closes it.
	i := 50
	compacted := func() bool {
		produce(t, cl, i, i+1, func(int) string { return "closes the segment" })
		i++
		all := read(t, client(t, c, kgo.ConsumeTopics(topic)), i-1)
		n := 0
		for k := range 5 {
			n += len(all[fmt.Sprint("key-", k)])
		}
		return n == 5
	}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !compacted() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("five keys still have more than five records after a minute")
		}
	}
	if got := read(t, group(), i-1); len(got) != 1 {
		t.Errorf("the group read %d keys again that it had committed", len(got)-1)
	}
}

func TestThreeNodesLoseNothingWhenTheLeaderIsKilledFrozenOrRestarted(t *testing.T) {
	c := cluster(t, 3)
	cl := client(t, c)
	create(t, cl, nil)
	produce(t, cl, 0, 20, unique)

	killed := leader(t, cl)
	if err := c.Kill(killed); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, 20, 40, unique)
	if now := leader(t, cl); now == killed {
		t.Fatalf("node %d still leads although it was killed: this proves nothing", now)
	}
	if err := c.Restart(t.Context(), killed); err != nil {
		t.Fatal(err)
	}

	frozen := leader(t, cl)
	if err := c.Freeze(frozen); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, 40, 60, unique)
	if now := leader(t, cl); now == frozen {
		t.Fatalf("node %d still leads although it is frozen: this proves nothing", now)
	}
	if err := c.Thaw(frozen); err != nil {
		t.Fatal(err)
	}

	for i := range 3 {
		if err := c.Restart(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, 60+10*i, 70+10*i, unique)
	}
	seen := read(t, client(t, c, kgo.ConsumeTopics(topic)), 89)
	for i := range 90 {
		if n := len(seen[unique(i)]); n != 1 {
			t.Errorf("record %d is there %d times", i, n)
		}
	}
}

func TestOneOfThreeNodesAcknowledgesNothing(t *testing.T) {
	c := cluster(t, 3)
	cl := client(t, c)
	create(t, cl, nil)
	produce(t, cl, 0, 1, unique)
	last := leader(t, cl)
	for i := range 3 {
		if i == last {
			continue
		}
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	// Not ProduceSync: a record whose fate is unknown outlives its context.
	acknowledged := make(chan error, 1)
	cl.Produce(t.Context(), &kgo.Record{Topic: topic}, func(_ *kgo.Record, err error) { acknowledged <- err })
	select {
	case err := <-acknowledged:
		if err == nil {
			t.Error("a record was acknowledged that only one disk has")
		}
	case <-time.After(8 * time.Second): // longer than a lagging replica stays in the in-sync set
	}
}

func TestAClosedClusterLeavesNoProcess(t *testing.T) {
	c := cluster(t, 1)
	process := c.nodes[0].process
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if process.ProcessState == nil {
		t.Error("the broker was not waited for")
	}
	if err := c.Close(); err != nil {
		t.Error("closing twice:", err)
	}
	if err := c.Freeze(0); err == nil {
		t.Error("a closed node could be frozen")
	}
}
