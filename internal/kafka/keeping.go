package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kept is what decides whether a topic loses records.
type kept struct{ policy, time, bytes string }

// loses names the setting by which the topic loses the last record of a key, or
// is empty where it loses none. Compaction keeps them, and so does a deletion
// that neither time nor size ever bring about: that is how the embedded broker
// keeps its tables, whose compaction a crash breaks.
func (k kept) loses() string {
	const never = "-1"
	if !strings.Contains(k.policy, "delete") {
		return ""
	}
	var by []string
	if k.time != never {
		by = append(by, "retention.ms="+k.time)
	}
	if k.bytes != never {
		by = append(by, "retention.bytes="+k.bytes)
	}
	if len(by) == 0 {
		return ""
	}
	return "cleanup.policy=" + k.policy + " with " + strings.Join(by, " and ")
}

// keeping asks how the topics keep their records. One that is not there, or of
// which Kafka does not tell, is left out.
func keeping(ctx context.Context, cl *kgo.Client, topics []string) (map[string]kept, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		r.ConfigNames = []string{"cleanup.policy", "retention.ms", "retention.bytes"}
		req.Resources = append(req.Resources, r)
	}
	// In shards, since the client asks for each kind of resource where it is.
	all := make(map[string]kept, len(topics))
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			switch err := kerr.ErrorForCode(r.ErrorCode); {
			case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
				continue
			case err != nil:
				return nil, fmt.Errorf("configuration of topic %s: %w", r.ResourceName, err)
			}
			var k kept
			for _, c := range r.Configs {
				if c.Value == nil {
					continue
				}
				switch c.Name {
				case "cleanup.policy":
					k.policy = *c.Value
				case "retention.ms":
					k.time = *c.Value
				case "retention.bytes":
					k.bytes = *c.Value
				}
			}
			all[r.ResourceName] = k
		}
	}
	return all, nil
}
