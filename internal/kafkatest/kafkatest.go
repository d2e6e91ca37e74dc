// Package kafkatest gives tests a Kafka cluster: a real protocol, a real
// client, and faults at will, without a server.
//
// [New] listens on loopback. NewVirtual lives in memory, for a bubble of
// testing/synctest in which hours pass at once; it exists only under the build
// tag synctests, which makes kgo use locks that a bubble can see. Without the
// tag a goroutine that waits for a mutex keeps the bubble's clock from moving
// and the test hangs.
//
// A cluster embeds *kfake.Cluster, so that a test can inject faults (Fault,
// ControlKey), move leaders, or take a node away.
package kafkatest

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// patience bounds each step of a helper: a helper that needs longer has found
// a bug. It is wall-clock time on loopback and virtual time in a bubble.
const patience = 30 * time.Second

// Cluster is a Kafka cluster that ends with its test.
type Cluster struct {
	*kfake.Cluster
	Config kafka.Config // reaches the cluster, together with Opts
	Opts   []kgo.Opt    // to be handed, last, to every client

	dial func(ctx context.Context, network, address string) (net.Conn, error) // of a virtual one
}

// New starts a cluster of one node on a free loopback port. Options override.
func New(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	return start(t, nil, opts)
}

func start(t testing.TB, clientOpts []kgo.Opt, opts []kfake.Opt) *Cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	t.Cleanup(fake.Close)
	return &Cluster{
		Cluster: fake,
		Config:  kafka.Config{Brokers: fake.ListenAddrs(), ClientID: "test"},
		Opts:    clientOpts,
	}
}

// CreateTopics creates the topics of topics, with partitions partitions each
// where the topic is not compacted (0: as many as in production). Compacted
// ones are created uncompacted, as on the embedded broker.
func (c *Cluster) CreateTopics(t testing.TB, topics schemas.Topics, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := kafka.TopicOptions{Partitions: partitions, NoCompaction: true}
	if err := kafka.EnsureTopics(ctx, c.Client(t), topics.Specs(), o); err != nil {
		t.Fatalf("create topics: %v", err)
	}
}

// Client is a producer of the cluster, closed when the test ends. Options come
// last and win.
func (c *Cluster) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewProducer(c.Config, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), slices.Concat(c.Opts, opts)...)
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Produce writes records and returns once all of them are acknowledged.
func (c *Cluster) Produce(t testing.TB, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Client(t).ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// Records are all records that topic holds at the time of the call, by
// partition and offset.
func (c *Cluster) Records(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := kafka.NewReader(c.Config, topic, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), c.Opts...)
	if err != nil {
		t.Fatalf("make a reader: %v", err)
	}
	defer cl.Close()

	open, err := kafka.EndOffsets(ctx, cl, topic)
	if err != nil {
		t.Fatalf("read records: %v", err)
	}
	start, err := kafka.StartOffsets(ctx, cl, topic)
	if err != nil {
		t.Fatalf("read records: %v", err)
	}
	for p, end := range open {
		if start[p] >= end {
			delete(open, p)
		}
	}
	var all []*kgo.Record
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read records of %s: %v", topic, err)
		}
		for r := range fetches.RecordsAll() {
			end, wanted := open[r.Partition]
			if !wanted || r.Offset >= end {
				continue
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset == end-1 {
				delete(open, r.Partition)
			}
		}
	}
	slices.SortFunc(all, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all
}
