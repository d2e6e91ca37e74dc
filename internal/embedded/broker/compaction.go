package broker

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// neverCompact lets a topic that is to be compacted be kept whole instead: the
// same table, a longer log. A crash during a compaction breaks kfake's log, and
// whoever runs "haloctl topics apply" on this broker, as on any other, asks for
// compaction.
func (b *Broker) neverCompact() {
	for _, key := range []kmsg.Key{kmsg.CreateTopics, kmsg.IncrementalAlterConfigs} {
		b.cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			switch req := req.(type) {
			case *kmsg.CreateTopicsRequest:
				for i := range req.Topics {
					created(&req.Topics[i])
				}
			case *kmsg.IncrementalAlterConfigsRequest:
				for i := range req.Resources {
					altered(&req.Resources[i])
				}
			}
			return nil, nil, false
		})
	}
}

// whole is the configuration of a topic that is kept for ever.
func whole() map[string]string {
	return map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
}

func compacts(name string, value *string) bool {
	return name == "cleanup.policy" && value != nil && strings.Contains(*value, "compact")
}

func created(t *kmsg.CreateTopicsRequestTopic) {
	asked := false
	var kept []kmsg.CreateTopicsRequestTopicConfig
	for _, c := range t.Configs {
		asked = asked || compacts(c.Name, c.Value)
		if whole()[c.Name] == "" {
			kept = append(kept, c)
		}
	}
	if !asked {
		return
	}
	for name, value := range whole() {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		kept = append(kept, c)
	}
	t.Configs = kept
}

func altered(r *kmsg.IncrementalAlterConfigsRequestResource) {
	asked := false
	var kept []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, c := range r.Configs {
		asked = asked || compacts(c.Name, c.Value)
		if whole()[c.Name] == "" {
			kept = append(kept, c)
		}
	}
	if !asked {
		return
	}
	for name, value := range whole() {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = name, kmsg.IncrementalAlterConfigOpSet, &value
		kept = append(kept, c)
	}
	r.Configs = kept
}
