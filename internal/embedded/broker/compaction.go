package broker

import (
	"slices"
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
					t := &req.Topics[i]
					t.Configs = wholeInstead(t.Configs,
						func(c kmsg.CreateTopicsRequestTopicConfig) (string, *string) { return c.Name, c.Value },
						func(name, value string) kmsg.CreateTopicsRequestTopicConfig {
							return kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value}
						})
				}
			case *kmsg.IncrementalAlterConfigsRequest:
				for i := range req.Resources {
					r := &req.Resources[i]
					r.Configs = wholeInstead(r.Configs,
						func(c kmsg.IncrementalAlterConfigsRequestResourceConfig) (string, *string) { return c.Name, c.Value },
						func(name, value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
							return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: kmsg.IncrementalAlterConfigOpSet, Value: &value}
						})
				}
			}
			return nil, nil, false
		})
	}
}

// wholeInstead replaces a compaction, where it is asked for, by a topic that is
// kept for ever.
func wholeInstead[C any](asked []C, read func(C) (name string, value *string), write func(name, value string) C) []C {
	compacts := func(c C) bool {
		name, value := read(c)
		return name == "cleanup.policy" && value != nil && strings.Contains(*value, "compact")
	}
	if !slices.ContainsFunc(asked, compacts) {
		return asked
	}
	whole := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
	instead := slices.DeleteFunc(asked, func(c C) bool {
		name, _ := read(c)
		return whole[name] != ""
	})
	for name, value := range whole {
		instead = append(instead, write(name, value))
	}
	return instead
}
