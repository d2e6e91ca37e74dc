package kafkalocal

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// awaitMembers returns when node i itself names at least members brokers, one
// of them being i. Kafka names only brokers that are not fenced: registered,
// caught up with the metadata, and heard of lately. An open port comes seconds
// earlier, and a topic created then fails for want of replicas.
func (c *Cluster) awaitMembers(ctx context.Context, i, members int) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.nodes[i].address()),
		// Asked directly below; the client's own patience would only hide that
		// the process has died.
		kgo.RequestRetries(0),
		kgo.DialTimeout(time.Second),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if c.member(ctx, cl, i, members) {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.nodes[i].gone:
			return fmt.Errorf("node %d ended while starting; its log ends with:\n%s", i, c.logTail(i))
		case <-ctx.Done():
			return fmt.Errorf("node %d did not join: %w; its log ends with:\n%s", i, context.Cause(ctx), c.logTail(i))
		}
	}
}

func (c *Cluster) member(ctx context.Context, cl *kgo.Client, i, members int) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none: nil would be all
	// To the seed and to nobody else: once the client has heard of the other
	// nodes it might ask one of those, which knows of i before i knows itself.
	resp, err := cl.SeedBrokers()[0].RetriableRequest(ctx, req)
	if err != nil {
		return false
	}
	brokers := resp.(*kmsg.MetadataResponse).Brokers
	for _, b := range brokers {
		if int(b.NodeID) == i+1 {
			return len(brokers) >= members
		}
	}
	return false
}
