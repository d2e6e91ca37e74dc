//go:build integration

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// three is a stack on three brokers, with what a test must know of them to
// break the right one. Nodes are counted from 0, as in kafkalocal.
type three struct {
	*stack
	*brokers
	client *kgo.Client
}

func newThree(t *testing.T) *three {
	t.Helper()
	if c := chosen().severalBrokers(); c.kafka != jars {
		t.Skipf("Kafka is %s: three brokers to break come from deploy/kafka-local only, which needs Java and Maven", c.kafka)
	}
	s := newStackOn(t, 3)
	cl := s.kafkaClient()
	t.Cleanup(cl.Close)
	return &three{s, s.kafka.(*brokers), cl}
}

// ask asks the cluster until it answers; with a broker dead or frozen, one try
// in three may not.
func (s *three) ask(what string, question func(context.Context, *kadm.Client) error) {
	t := s.stack.t
	t.Helper()
	await(t, 90*time.Second, what, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return question(ctx, kadm.NewClient(s.client))
	})
}

// leader is the node that leads the partition of a tenant's events.
func (s *three) leader(tenant schemas.Tenant) (node int) {
	s.stack.t.Helper()
	topic := schemas.NewTopics(s.prefix).Events
	s.ask("the partition's leader", func(ctx context.Context, adm *kadm.Client) error {
		details, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		partitions := details[topic].Partitions
		// The partition that the edge's producer puts the tenant into.
		p := kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(&kgo.Record{Key: []byte(tenant)}, len(partitions))
		if leader := partitions[int32(p)].Leader; leader > 0 {
			node = int(leader) - 1
			return nil
		}
		return fmt.Errorf("partition %d has none", p)
	})
	return node
}

// controller is the node that leads the quorum of controllers. Metadata does
// not tell: it names any broker, which passes requests on.
func (s *three) controller() (node int) {
	s.stack.t.Helper()
	s.ask("the quorum's leader", func(ctx context.Context, _ *kadm.Client) error {
		partition := kmsg.NewDescribeQuorumRequestTopicPartition()
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
		req := kmsg.NewPtrDescribeQuorumRequest()
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, s.client)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.LeaderID > 0 {
					node = int(p.LeaderID) - 1
					return nil
				}
			}
		}
		return errors.New("there is none")
	})
	return node
}

// whole waits until every partition has all of its replicas in sync: before
// that, the next fault would be two at once.
func (s *three) whole() {
	s.stack.t.Helper()
	s.ask("all replicas in sync", func(ctx context.Context, adm *kadm.Client) error {
		details, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		behind := 0
		details.EachPartition(func(p kadm.PartitionDetail) {
			if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
				behind++
			}
		})
		if behind > 0 {
			return fmt.Errorf("%d partitions are not", behind)
		}
		return nil
	})
}

// must fails the test when a broker could not be broken or mended.
func (s *three) must(err error) {
	s.stack.t.Helper()
	if err != nil {
		s.stack.t.Fatal(err)
	}
}
